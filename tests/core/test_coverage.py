"""Every requested target has one status."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.coverage import LISTED, coverage

numbers = st.sets(st.integers(0, 255), max_size=40)


def texts(found: set[int]) -> list[str]:
    return [f"192.0.2.{number}" for number in sorted(found)]


def test_it_says_what_was_not_reached() -> None:
    asked = ["192.0.2.0/27", "www.example.com"]
    assert coverage(asked, ["192.0.2.30", "192.0.2.31", "www.example.com"], 8) == {
        "requested": 33,
        "answered": 8,
        "silent": 22,
        "not_reached": 3,
        "not_reached_targets": ["192.0.2.30/31", "www.example.com"],
        "not_reached_left_out": 0,
    }


@given(asked=numbers, left=numbers, answered=st.integers(0, 50))
def test_the_counts_add_up(asked: set[int], left: set[int], answered: int) -> None:
    found = coverage(texts(asked), texts(left), answered)
    assert found["requested"] == len(asked)
    assert found["not_reached"] == len(asked & left)
    assert found["answered"] + found["silent"] + found["not_reached"] == len(asked)
    assert found["answered"] == min(answered, len(asked - left))


def test_a_long_list_is_cut() -> None:
    every_other = [f"192.0.2.{number}" for number in range(0, 256, 2)]
    found = coverage(["192.0.2.0/24"], every_other, 0)
    assert len(found["not_reached_targets"]) == LISTED
    assert found["not_reached_left_out"] == 128 - LISTED
