from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.pool.slots import Slots


def test_slots_are_borrowed_up_to_the_limit_and_come_back() -> None:
    slots = Slots(2)
    slots.borrow("a")
    slots.borrow("b")
    assert slots.free == 0
    with pytest.raises(trio.WouldBlock):
        slots.borrow("c")
    slots.release("a")
    assert (slots.free, slots.borrowers()) == (1, ("b",))


def test_a_slot_is_neither_borrowed_nor_given_back_twice() -> None:
    slots = Slots(2)
    slots.borrow("a")
    with pytest.raises(RuntimeError):
        slots.borrow("a")
    slots.release("a")
    with pytest.raises(RuntimeError):
        slots.release("a")
    assert slots.free == 2


def test_a_lowered_limit_lets_running_scans_finish_and_no_new_one_in() -> None:
    slots = Slots(3)
    for task_id in "abc":
        slots.borrow(task_id)
    slots.set_limit(1)
    assert (slots.active, slots.capacity, slots.free) == (3, 1, 0)
    for task_id in "abc":
        with pytest.raises(trio.WouldBlock):
            slots.borrow("d")
        slots.release(task_id)
    slots.borrow("d")


def test_adopted_scans_count_even_above_the_limit() -> None:
    slots = Slots(1)
    for task_id in "abc":
        slots.adopt(task_id)
    assert (slots.active, slots.capacity, slots.free) == (3, 1, 0)
    slots.set_limit(4)
    assert slots.free == 1
    with pytest.raises(RuntimeError):
        slots.adopt("a")
    assert slots.capacity == 4


@pytest.mark.parametrize(
    ("max_scans", "foreign", "capacity"),
    [(None, 7, 4), (10, 0, 4), (10, 7, 3), (4, 1, 3), (2, 0, 2), (2, 5, 0)],
)
def test_the_scanners_own_limit_and_other_peoples_scans_count(
    max_scans: int | None, foreign: int, capacity: int
) -> None:
    slots = Slots(4)
    slots.report(max_scans=max_scans, foreign=foreign)
    assert slots.capacity == capacity
    figures = slots.statistics()
    assert (figures.limit, figures.max_scans, figures.foreign) == (4, max_scans, foreign)


def test_what_the_scanner_reported_outlives_a_new_limit() -> None:
    slots = Slots(4)
    slots.report(max_scans=5, foreign=3)
    slots.set_limit(9)
    assert slots.capacity == 2


@given(st.lists(st.tuples(st.sampled_from("tarl"), st.integers(0, 5))))
def test_borrowers_are_exactly_those_who_hold_a_slot(steps: list[tuple[str, int]]) -> None:
    slots, limit, holders = Slots(2), 2, set[str]()
    for action, number in steps:
        task_id = f"t{number}"
        if action == "l":
            limit = number
            slots.set_limit(number)
        elif action == "r" and task_id in holders:
            slots.release(task_id)
            holders.remove(task_id)
        elif action == "a" and task_id not in holders:
            slots.adopt(task_id)
            holders.add(task_id)
        elif action == "t" and task_id not in holders:
            if len(holders) < limit:
                slots.borrow(task_id)
                holders.add(task_id)
            else:
                with pytest.raises(trio.WouldBlock):
                    slots.borrow(task_id)
        assert set(slots.borrowers()) == holders
        assert (slots.active, slots.free) == (len(holders), max(0, limit - len(holders)))
