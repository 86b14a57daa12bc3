from __future__ import annotations

from random import Random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.pool.queues import ParkedGroup, Queues
from nessus_sched.core.task import Priority
from support.pools import entry

HOUR = 3600.0
ALL = frozenset({"a", "b"})


def queues() -> Queues:
    return Queues(ageing_after=HOUR, fairness_after=900.0)


def served(waiting: Queues, scanner_id: str) -> list[str]:
    """Everything that scanner would take, in order."""
    found = []
    while (head := waiting.head_for(scanner_id)) is not None:
        found.append(waiting.remove(head.entry.task_id).entry.task_id)
    return found


def test_first_come_first_served_within_a_priority() -> None:
    waiting = queues()
    for order in (3, 1, 2):
        waiting.enqueue(entry(order), "a", ALL)
    assert served(waiting, "a") == ["t1", "t2", "t3"]


def test_urgent_entries_go_first() -> None:
    waiting = queues()
    for order, priority in enumerate([Priority.LOW, Priority.NORMAL, Priority.HIGH] * 2):
        waiting.enqueue(entry(order, priority=priority), "a", ALL)
    assert served(waiting, "a") == ["t2", "t5", "t1", "t4", "t0", "t3"]


@pytest.mark.parametrize(
    ("slow", "quick", "steps"),
    [
        (Priority.NORMAL, Priority.HIGH, 1),
        (Priority.LOW, Priority.NORMAL, 1),
        (Priority.LOW, Priority.HIGH, 2),
    ],
)
def test_an_entry_rises_a_priority_with_each_ageing_time(
    slow: Priority, quick: Priority, steps: int
) -> None:
    waiting = queues()
    waiting.enqueue(entry(0, priority=slow), "a", ALL)
    waiting.enqueue(entry(1, priority=quick, accepted_at=steps * HOUR - 1), "a", ALL)
    waiting.enqueue(entry(2, priority=quick, accepted_at=steps * HOUR + 1), "a", ALL)
    assert served(waiting, "a") == ["t1", "t0", "t2"]


def test_its_own_queue_comes_before_the_overflow_queue() -> None:
    waiting = queues()
    waiting.enqueue(entry(1), None, ALL)
    waiting.enqueue(entry(2), "a", ALL)
    waiting.enqueue(entry(3), "b", ALL)
    assert served(waiting, "a") == ["t2", "t1"]


@pytest.mark.parametrize(("later", "expected"), [(900.0, ["t2", "t1"]), (900.5, ["t1", "t2"])])
def test_an_overflow_head_that_waited_longer_by_more_than_the_fairness_time_goes_first(
    later: float, expected: list[str]
) -> None:
    waiting = queues()
    waiting.enqueue(entry(1, accepted_at=0.0), None, ALL)
    waiting.enqueue(entry(2, accepted_at=later), "a", ALL)
    assert served(waiting, "a") == expected


def test_a_scanner_finds_only_what_it_may_run_in_the_overflow_queue() -> None:
    waiting = queues()
    waiting.enqueue(entry(1), None, frozenset({"b"}))
    waiting.enqueue(entry(2), None, ALL)
    waiting.enqueue(entry(3), None, frozenset({"a"}))
    waiting.enqueue(entry(4), None, frozenset())
    assert served(waiting, "a") == ["t2", "t3"]
    assert served(waiting, "b") == ["t1"]


def test_positions_are_places_in_the_queue() -> None:
    waiting = queues()
    lone = waiting.enqueue(entry(1), None, frozenset({"c"}))
    shared = [waiting.enqueue(entry(order), None, ALL) for order in (2, 4)]
    partly = waiting.enqueue(entry(3), None, frozenset({"a"}))
    own = [waiting.enqueue(entry(order), "a", ALL) for order in (5, 6)]
    overflow = (lone, shared[0], partly, shared[1])
    assert [waiting.position(each) for each in overflow] == [1, 2, 3, 4]
    assert [waiting.competing_before(each) for each in overflow] == [0, 0, 1, 2]
    assert [waiting.position(each) for each in own] == [1, 2]


def test_parked_entries_keep_their_place_but_are_not_served() -> None:
    waiting = queues()
    first, second = (waiting.enqueue(entry(order), "a", ALL) for order in (1, 2))
    waiting.park(first, ParkedGroup(blocker="other", name=(None, "a", first.entry.packed)))
    assert first.parked_on == "other"
    head = waiting.head_for("a")
    assert head is second
    assert waiting.position(second) == 2
    assert waiting.ready_before(second) == 0
    assert waiting.statistics("a").parked == 1
    waiting.park(first, None)
    assert waiting.head_for("a") is first


def test_a_moved_entry_gets_the_place_of_its_acceptance() -> None:
    waiting = queues()
    moved = waiting.enqueue(entry(2), "a", ALL)
    for order in (1, 3):
        waiting.enqueue(entry(order), None, ALL)
    waiting.move(moved, None)
    assert waiting.own_length("a") == 0
    assert waiting.position(moved) == 2
    assert served(waiting, "b") == ["t1", "t2", "t3"]


def test_a_clock_that_was_set_back_changes_nothing_in_the_order() -> None:
    waiting = queues()
    for order, accepted_at in enumerate([100.0, 5000.0, 50.0, 60.0]):
        waiting.enqueue(entry(order, accepted_at=accepted_at), "a", ALL)
    assert served(waiting, "a") == ["t0", "t1", "t2", "t3"]


def test_an_entry_that_comes_back_keeps_its_place_after_the_clock_was_set_back() -> None:
    waiting = queues()
    taken = [waiting.enqueue(entry(n, accepted_at=at), "a", ALL) for n, at in ((0, 5e3), (1, 50.0))]
    for each in reversed(taken):
        waiting.enqueue(waiting.remove(each.entry.task_id).entry, "a", ALL)
    assert served(waiting, "a") == ["t0", "t1"]


def test_a_draft_leaves_no_trace() -> None:
    waiting = queues()
    waiting.draft(entry(9, accepted_at=9e9), "a", ALL)
    assert len(waiting) == 0
    waiting.enqueue(entry(10, accepted_at=5.0), "a", ALL)
    assert waiting.statistics("a").oldest == 5.0


def test_the_order_survives_other_settings() -> None:
    waiting, random = queues(), Random(3)
    entries = [
        entry(order, accepted_at=order * 1000.0, priority=random.choice(list(Priority)))
        for order in range(40)
    ]
    for each in random.sample(entries, len(entries)):
        waiting.enqueue(each, random.choice(["a", None]), ALL)
    waiting.ageing_after = 0.0
    for moved in random.sample(list(waiting), len(entries)):
        waiting.refile(moved, frozenset({"a"}))
    assert served(waiting, "b") == []
    assert served(waiting, "a") == [each.task_id for each in entries]


def test_statistics() -> None:
    waiting = queues()
    assert waiting.statistics(None).length == 0
    assert waiting.statistics("a").oldest is None
    waiting.enqueue(entry(7), None, ALL)
    waiting.enqueue(entry(8), None, frozenset({"b"}))
    waiting.enqueue(entry(9), "a", ALL)
    assert attrs.astuple(waiting.statistics(None)) == (2, 0, 7.0)
    assert attrs.astuple(waiting.statistics("a")) == (1, 0, 9.0)
    assert len(waiting) == 3


def test_only_a_task_that_waits_can_be_removed() -> None:
    waiting = queues()
    waiting.enqueue(entry(1), "a", ALL)
    assert "t1" in waiting
    waiting.remove("t1")
    assert "t1" not in waiting
    with pytest.raises(KeyError):
        waiting.remove("t1")


def ready(waiting: Queues) -> list[list[str]]:
    lines = waiting.first_ready("a", 99).values()
    return [[each.entry.task_id for each in line] for line in lines]


@given(st.data(), st.sampled_from([1, 3, 30, 40]))
def test_returning_many_is_returning_each(data: st.DataObject, count: int) -> None:
    """Whether they are removed one by one or all at once."""
    at_once, each = queues(), queues()
    orders = data.draw(st.permutations(range(40)))
    for order in range(40):
        owner = data.draw(st.sampled_from(["a", None]))
        for one in (at_once, each):
            waiting = one.enqueue(entry(order), owner, ALL)
            name = (None, waiting.queue_name, waiting.entry.packed)
            one.park(waiting, ParkedGroup(blocker="t99", name=name))
    freed = [f"t{order}" for order in orders[:count]]
    owners = at_once.unpark(freed)
    for task_id in freed:
        found = each.get(task_id)
        assert found is not None
        assert found.scanner_id in owners
        each.park(found, None)
    for queue in ("a", None):
        assert at_once.statistics(queue) == each.statistics(queue)
    assert ready(at_once) == ready(each)
    for task_id in [waiting.entry.task_id for waiting in at_once]:
        at_once.remove(task_id)
    assert len(at_once) == 0
