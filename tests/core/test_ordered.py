"""`OrderedKeys` against a sorted list."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.pool import ordered
from nessus_sched.core.pool.ordered import Key, OrderedKeys


def key(number: int) -> Key:
    return (float(number // 3), number, f"t{number}")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few keys make many chunks."""
    monkeypatch.setattr(ordered, "CHUNK", 2)


def check(keys: OrderedKeys, expected: list[int]) -> None:
    assert list(keys) == [key(number) for number in expected]
    assert len(keys) == len(expected)
    assert keys.first() == (key(expected[0]) if expected else None)


@given(st.lists(st.integers(0, 60)))
def test_adding_and_removing_in_any_order_is_like_a_sorted_list(numbers: list[int]) -> None:
    keys, expected = OrderedKeys(), list[int]()
    for number in numbers:
        if number in expected:
            keys.remove(key(number))
            expected.remove(number)
        else:
            keys.add(key(number))
            expected = sorted([*expected, number])
        check(keys, expected)
        for asked in range(0, 61, 7):
            assert keys.rank(key(asked)) == sum(each < asked for each in expected)


def test_ranks_stay_right_between_splits() -> None:
    random = Random(5)
    keys, expected = OrderedKeys(), set[int]()
    for _ in range(3000):
        number = random.randrange(400)
        if number in expected:
            keys.remove(key(number))
        else:
            keys.add(key(number))
        expected ^= {number}
        asked = random.randrange(400)
        assert keys.rank(key(asked)) == sum(each < asked for each in expected)


@pytest.mark.parametrize("present", [[], [1, 3], list(range(0, 40, 2))])
def test_removing_what_is_not_there_is_an_error_and_changes_nothing(present: list[int]) -> None:
    keys = OrderedKeys()
    for number in present:
        keys.add(key(number))
    for absent in (-1, 5, 99):
        with pytest.raises(KeyError):
            keys.remove(key(absent))
    check(keys, present)
