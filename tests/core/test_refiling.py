"""A reload with many waiting tasks: which of them move, and how much is done at once."""

from __future__ import annotations

import pytest

from nessus_sched.core.pool import refiling
from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.queues import Reach
from nessus_sched.core.pool.routing import Reachability
from nessus_sched.core.pool.state import PoolSettings
from nessus_sched.core.task import Priority
from support.pools import WatchedPool, entry, spec

NARROW, WIDE = "192.0.2.0/28", "192.0.2.0/24"
A_STEP = refiling.PATIENCE // refiling.EACH


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks whose scanners were looked for, most of the work of a step."""
    found: list[str] = []
    reach = Reachability.reach

    def watched(self: Reachability, entry: QueueEntry) -> Reach:
        found.append(entry.task_id)
        return reach(self, entry)

    monkeypatch.setattr(Reachability, "reach", watched)
    return found


def crowded(
    count: int, targets: str = "192.0.2.1", settings: PoolSettings | None = None
) -> WatchedPool:
    """One task runs on `a`, and all others are parked."""
    pool = WatchedPool([spec("a", 2, NARROW)], settings or PoolSettings())
    pool.restore([entry(order, targets) for order in range(count)], 0.0)
    assert pool.take_all("a", 0.0) == ["t0"]
    assert pool.statistics(0.0).overflow.parked == count - 1
    return pool


def test_tasks_stay_parked_where_a_reload_changes_nothing_for_them(judged: list[str]) -> None:
    pool = crowded(50)
    judged.clear()
    pool.configure([spec("a", 4, NARROW)], PoolSettings(fairness_after=5.0), 1.0)
    assert not judged
    assert not pool.refile(1.0)
    assert pool.statistics(1.0).overflow.parked == 49


def test_a_reload_is_carried_out_in_small_steps(judged: list[str]) -> None:
    pool = crowded(3 * A_STEP)
    judged.clear()
    pool.configure([spec("a", 2, NARROW), spec("b", 2, WIDE)], PoolSettings(), 1.0)
    steps = [len(judged)]
    while pool.refile(1.0):
        steps.append(len(judged) - sum(steps))
    assert len(steps) >= 3
    assert max(steps) <= A_STEP
    assert sorted(judged[: 3 * A_STEP - 1]) == sorted(f"t{n}" for n in range(1, 3 * A_STEP))


def test_long_lists_of_targets_make_shorter_steps(judged: list[str]) -> None:
    targets = " ".join(f"192.0.2.{2 * n}" for n in range(8))
    pool = crowded(A_STEP, targets)
    judged.clear()
    pool.configure([spec("a", 2, WIDE)], PoolSettings(), 1.0)
    assert len(judged) < A_STEP * 0.8
    assert pool.refile(1.0) is False


def test_nothing_starts_in_the_midst_of_a_reload_and_then_everything_does(
    judged: list[str],
) -> None:
    pool = crowded(3 * A_STEP)
    pool.place(entry(10**6, "192.0.2.200"), 0.0)
    pool.configure([spec("a", 2, NARROW), spec("b", 2, WIDE)], PoolSettings(), 1.0)
    for scanner_id in ("a", "b"):
        pool.woken.clear()
        # The reload may have been canceled: this, too, continues it.
        assert pool.take(scanner_id, 1.0) is None
        assert pool.woken[0] == scanner_id
    while pool.refile(1.0):
        pool.woken.clear()
    assert set(pool.woken) == {"a", "b"}
    assert pool.take_all("b", 1.0) == [f"t{10**6}"]


def test_a_task_that_no_scanner_reaches_any_more_holds_up_no_other() -> None:
    pool = WatchedPool([spec("a", 2, WIDE)], PoolSettings())
    for order in (0, 1):
        pool.place(entry(order, f"192.0.2.{order}"), 0.0)
    pool.take_all("a", 0.0)
    pool.place(entry(2, "192.0.2.0-192.0.2.99"), 0.0)
    pool.place(entry(3, "192.0.2.99"), 0.0)
    pool.release("t1", 1.0)
    assert pool.take_all("a", 1.0) == ["t3"]
    pool.release("t0", 2.0)
    assert pool.take_all("a", 2.0) == []  # t2 is blocked again, and claims its targets
    pool.place(entry(4, "192.0.2.5"), 2.0)
    assert pool.take_all("a", 2.0) == []
    assert pool.wait_reason("t4", 2.0).blocker == "t2"
    pool.woken.clear()
    pool.configure([spec("a", 2, NARROW)], PoolSettings(), 3.0)
    assert pool.woken
    assert pool.take_all("a", 3.0) == ["t4"]


def test_another_order_applies_to_tasks_that_are_parked_for_one_task() -> None:
    pool = WatchedPool([spec("a", 2)], PoolSettings(ageing_after=1000.0))
    for order, priority in enumerate([Priority.HIGH, Priority.LOW, Priority.NORMAL]):
        pool.place(entry(order, "192.0.2.1", priority=priority), 0.0)
    assert pool.take_all("a", 0.0) == ["t0"]
    pool.configure([spec("a", 2)], PoolSettings(ageing_after=0.0), 1.0)
    assert pool.take_all("a", 1.0) == []
    pool.release("t0", 2.0)
    assert pool.take_all("a", 2.0) == ["t1"]


def test_without_the_overlap_guard_nothing_stays_parked() -> None:
    pool = crowded(3)
    pool.configure([spec("a", 3, NARROW)], PoolSettings(overlap_guard=False), 1.0)
    assert pool.take_all("a", 1.0) == ["t1", "t2"]


def test_a_parked_task_for_any_scanner_is_in_no_scanners_own_queue() -> None:
    """Each report of a scanner looks through the tasks of its own queue that others may run."""
    pool = WatchedPool([spec("a", 2), spec("b", 2)], PoolSettings())
    for order in range(5):
        pool.place(entry(order, "192.0.2.1"), 0.0)
        for scanner_id in ("a", "b"):
            pool.take_all(scanner_id, 0.0)
    figures = pool.statistics(0.0)
    assert [each.queue.length for each in figures.scanners] == [0, 0]
    assert figures.overflow.parked == 4
    pool.release("t0", 1.0)
    assert pool.take_all("b", 1.0) == ["t1"]
