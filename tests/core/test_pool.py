"""The pool operation by operation; whole histories are in test_pool_machine."""

from __future__ import annotations

import pytest

from nessus_sched.core.calendar.periods import Period
from nessus_sched.core.calendar.timetable import Rule, Timetable
from nessus_sched.core.calendar.zones import parse_moment
from nessus_sched.core.pool.breaker import BreakerState
from nessus_sched.core.pool.network_limits import NetworkLimit
from nessus_sched.core.pool.routing import RoutingCase
from nessus_sched.core.pool.state import PoolSettings, UnknownScanner
from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import Priority
from support.pools import FREE_FOR_ALL, WatchedPool, entry, spec


def pool(**limits: int) -> WatchedPool:
    return WatchedPool([spec(name, limit) for name, limit in limits.items()])


def fill(scanners: WatchedPool, scanner_id: str, count: int, start: int = 1000) -> list[str]:
    """Makes it run so many."""
    for order in range(start, start + count):
        scanners.place(entry(order, accepted_at=0.0, pinned=scanner_id), 0.0)
    taken = scanners.take_all(scanner_id, 0.0)
    assert len(taken) == count
    return taken


# The four cases.


def test_named_with_a_free_slot() -> None:
    scanners = pool(a=2, b=2)
    placement = scanners.place(entry(1, pinned="b"), 0.0)
    assert (placement.case, placement.scanner_id) == (RoutingCase.NAMED_FREE, "b")
    assert (placement.position, placement.reason) == (1, None)
    assert scanners.woken == ["b"]


def test_named_without_a_free_slot() -> None:
    scanners = pool(a=2, b=1)
    fill(scanners, "b", 1)
    placement = scanners.place(entry(1, pinned="b"), 0.0)
    assert (placement.case, placement.scanner_id) == (RoutingCase.NAMED_BUSY, "b")
    assert placement.reason is not None
    assert placement.reason.code is WaitCode.SCANNER_FULL
    assert scanners.take("a", 0.0) is None


def test_none_named_goes_to_the_least_loaded_with_a_free_slot() -> None:
    scanners = pool(a=4, b=2, c=1)
    fill(scanners, "a", 3, start=1000)  # 3/4
    fill(scanners, "b", 1, start=2000)  # 1/2
    fill(scanners, "c", 1, start=3000)  # full
    placement = scanners.place(entry(1), 0.0)
    assert (placement.case, placement.scanner_id) == (RoutingCase.LEAST_LOADED, "b")
    assert scanners.place(entry(2), 0.0).scanner_id == "a"
    assert scanners.place(entry(3), 0.0).case is RoutingCase.OVERFLOW


def test_what_is_queued_counts_as_load_and_claims_its_slot() -> None:
    scanners = pool(a=2, b=2)
    scanners.place(entry(1, pinned="a"), 0.0)
    assert scanners.place(entry(2), 0.0).scanner_id == "b"
    placed = [scanners.place(entry(order), 0.0).scanner_id for order in (3, 4, 5)]
    assert sorted(filter(None, placed)) == ["a", "b"]
    assert placed[2] is None


def test_equal_loads_take_turns() -> None:
    scanners = pool(a=9, b=9, c=9)
    chosen = list[str | None]()
    for order in range(9):
        placement = scanners.place(entry(order), 0.0)
        chosen.append(placement.scanner_id)
        scanners.withdraw(f"t{order}", 0.0)
    assert chosen == ["a", "b", "c"] * 3


def test_none_free_goes_to_the_overflow_queue_and_to_whoever_is_free_first() -> None:
    scanners = pool(a=1, b=1)
    fill(scanners, "a", 1, start=1000)
    (running,) = fill(scanners, "b", 1, start=2000)
    placement = scanners.place(entry(1), 0.0)
    assert (placement.case, placement.scanner_id) == (RoutingCase.OVERFLOW, None)
    scanners.woken.clear()
    scanners.release(running, 1.0)
    assert scanners.woken == ["b"]
    assert scanners.take_all("b", 1.0) == ["t1"]


@pytest.mark.parametrize("trouble", ["disabled", "draining", "down", "pool", "networks"])
def test_scanners_that_are_not_eligible_get_nothing(trouble: str) -> None:
    changes = {"pool": "other"} if trouble == "pool" else {}
    networks = "198.51.100.0/24" if trouble == "networks" else None
    specs = [spec("a", 5, networks, **changes), spec("b", 1)]
    scanners = WatchedPool(specs)
    if trouble == "disabled":
        scanners.set_enabled("a", False, 0.0)
    elif trouble == "draining":
        scanners.set_draining("a", True, 0.0)
    elif trouble == "down":
        scanners.failed("a", 0.0, "refused", trip=True)
    placed = [scanners.place(entry(order, "192.0.2.1"), 0.0).scanner_id for order in (1, 2)]
    assert placed == ["b", None]
    assert scanners.take("a", 0.0) is None


def test_a_preview_changes_nothing() -> None:
    scanners = pool(a=2, b=2)
    before = scanners.statistics(0.0)
    first = scanners.preview(entry(1), 0.0)
    assert scanners.statistics(0.0) == before
    assert scanners.woken == []
    assert scanners.place(entry(1), 0.0) == first


# Slots.


def test_a_slot_is_borrowed_with_the_taking_and_given_back_once() -> None:
    scanners = pool(a=1)
    scanners.place(entry(1), 0.0)
    taken = scanners.take("a", 3.0)
    assert taken is not None
    assert scanners.running("a") == {"t1"}
    active = scanners.active("t1")
    assert active is not None
    assert (active.scanner_id, active.since) == ("a", 3.0)
    scanners.release("t1", 4.0)
    assert scanners.running("a") == set()
    with pytest.raises(KeyError):
        scanners.release("t1", 4.0)


def test_the_limit_can_be_raised_and_lowered_while_scans_run() -> None:
    scanners = pool(a=2)
    running = fill(scanners, "a", 2)
    for order in range(4):
        scanners.place(entry(order), 0.0)
    scanners.woken.clear()
    scanners.configure([spec("a", 3)], FREE_FOR_ALL, 1.0)
    assert "a" in scanners.woken
    running += scanners.take_all("a", 1.0)
    assert len(running) == 3
    scanners.configure([spec("a", 1)], FREE_FOR_ALL, 2.0)
    for task_id in running[:2]:
        scanners.release(task_id, 2.0)
        assert scanners.take("a", 2.0) is None
    scanners.release(running[2], 2.0)
    assert len(scanners.take_all("a", 2.0)) == 1


def test_adopted_scans_count_even_above_the_limit() -> None:
    scanners = pool(a=1)
    for order in (1, 2):
        scanners.adopt("a", entry(order), 0.0)
    scanners.place(entry(3), 0.0)
    scanners.release("t1", 1.0)
    assert scanners.take("a", 1.0) is None
    scanners.release("t2", 1.0)
    assert scanners.take_all("a", 1.0) == ["t3"]


def test_a_scanner_that_is_full_with_other_peoples_scans_makes_tasks_wait() -> None:
    scanners = pool(a=4)
    scanners.report("a", 0.0, max_scans=4, foreign=3)
    for order in (1, 2):
        scanners.place(entry(order, pinned="a"), 0.0)
    assert scanners.take_all("a", 0.0) == ["t1"]
    assert "3 scans of others" in scanners.wait_reason("t2", 0.0).text
    scanners.woken.clear()
    scanners.report("a", 1.0, max_scans=4, foreign=1)
    assert scanners.woken == ["a"]
    assert scanners.take_all("a", 1.0) == ["t2"]


def test_a_held_scanner_starts_nothing_until_the_time_and_tells_it() -> None:
    scanners = pool(a=1)
    scanners.place(entry(1, pinned="a"), 0.0)
    scanners.hold("a", 30.0, "all its slots are taken", 0.0)
    assert scanners.take("a", 29.0) is None
    assert scanners.wait_reason("t1", 10.0).code is WaitCode.SCANNER_HELD
    assert scanners.deadline("a", 10.0) == 30.0
    assert scanners.deadline("a", 30.0) is None
    assert scanners.take_all("a", 30.0) == ["t1"]


def test_a_refused_task_comes_back_and_goes_where_there_is_room() -> None:
    scanners = pool(a=1, b=1)
    first = entry(1)
    scanners.place(first, 0.0)
    assert scanners.take("a", 0.0) == first
    scanners.release("t1", 1.0)
    scanners.hold("a", 31.0, "full", 1.0)
    assert scanners.place(first, 1.0).scanner_id == "b"


def test_a_task_that_comes_back_keeps_the_place_of_its_acceptance() -> None:
    scanners = pool(a=1)
    old = entry(1, pinned="a")
    scanners.place(old, 0.0)
    scanners.take("a", 0.0)
    for order in (2, 3):
        scanners.place(entry(order, pinned="a"), 5.0)
    scanners.release("t1", 9.0)
    assert scanners.place(old, 9.0).position == 1


# Switches.


@pytest.mark.parametrize("switch", ["drain", "disable", "break", "remove"])
def test_unpinned_work_moves_on_and_pinned_work_stays_and_says_why(switch: str) -> None:
    scanners = pool(a=3, b=1)
    for order, pinned in [(1, None), (2, None), (3, "a"), (4, None), (5, "a")]:
        scanners.place(entry(order, pinned=pinned), 0.0)
    assert [scanners.queue_of(f"t{n}") for n in range(1, 6)] == ["a", "b", "a", "a", "a"]
    codes = {
        "drain": WaitCode.SCANNER_DRAINING,
        "disable": WaitCode.SCANNER_DISABLED,
        "break": WaitCode.SCANNER_DOWN,
        "remove": WaitCode.SCANNER_REMOVED,
    }
    match switch:
        case "drain":
            scanners.set_draining("a", True, 1.0)
        case "disable":
            scanners.set_enabled("a", False, 1.0)
        case "break":
            for _ in range(5):
                scanners.failed("a", 1.0, "connection refused")
        case _:
            scanners.configure([spec("b", 1)], FREE_FOR_ALL, 1.0)
    assert [scanners.queue_of(f"t{n}") for n in range(1, 6)] == [None, "b", "a", None, "a"]
    assert scanners.take("a", 1.0) is None
    for pinned_task in ("t3", "t5"):
        assert scanners.queue_of(pinned_task) == "a"
        assert scanners.wait_reason(pinned_task, 1.0).code is codes[switch]
    assert [scanners.position(task) for task in ("t1", "t4", "t3", "t5")] == [1, 2, 1, 2]


def test_work_that_moves_goes_to_another_free_scanner_and_wakes_it() -> None:
    scanners = pool(a=1, b=1)
    scanners.place(entry(1), 0.0)
    scanners.woken.clear()
    scanners.set_draining("a", True, 0.0)
    assert scanners.queue_of("t1") == "b"
    assert scanners.woken == ["b"]
    assert scanners.take_all("b", 0.0) == ["t1"]


@pytest.mark.parametrize("switch", ["drain", "disable", "pause", "break"])
def test_what_was_switched_off_wakes_up_when_it_is_switched_on(switch: str) -> None:
    scanners = pool(a=1)
    for on in (False, True):
        scanners.woken.clear()
        match switch:
            case "drain":
                scanners.set_draining("a", not on, 1.0)
            case "disable":
                scanners.set_enabled("a", on, 1.0)
            case "pause":
                scanners.set_paused(not on, 1.0)
            case _:
                if on:
                    scanners.succeeded("a", 1.0)
                else:
                    scanners.failed("a", 1.0, "gone", trip=True)
        if not on:
            scanners.place(entry(1), 1.0)
            assert scanners.woken == []
            assert scanners.take("a", 1.0) is None
    assert scanners.woken == ["a"]
    assert scanners.take_all("a", 1.0) == ["t1"]


def test_a_broken_scanner_is_probed_once_and_comes_back() -> None:
    scanners = pool(a=1)
    scanners.place(entry(1, pinned="a"), 0.0)
    for _ in range(5):
        scanners.failed("a", 0.0, "refused")
    assert scanners.deadline("a", 0.0) == 30.0
    assert not scanners.begin_probe("a", 29.0)
    assert scanners.begin_probe("a", 30.0)
    assert not scanners.begin_probe("a", 30.0)
    assert scanners.take("a", 30.0) is None
    scanners.abandon_probe("a", 31.0)
    assert scanners.begin_probe("a", 31.0)
    scanners.failed("a", 31.0, "refused")
    assert scanners.statistics(31.0).scanners[0].breaker.state is BreakerState.OPEN
    assert scanners.deadline("a", 31.0) == 91.0
    assert scanners.begin_probe("a", 91.0)
    scanners.succeeded("a", 91.0)
    assert scanners.take_all("a", 91.0) == ["t1"]


def test_a_removed_scanner_finishes_what_runs_and_is_then_forgotten() -> None:
    scanners = pool(a=2, b=1)
    (running,) = fill(scanners, "a", 1)
    scanners.configure([spec("b", 1)], FREE_FOR_ALL, 1.0)
    assert scanners.scanners() == ["a", "b"]
    assert scanners.running("a") == {running}
    scanners.release(running, 2.0)
    assert scanners.scanners() == ["b"]
    with pytest.raises(UnknownScanner):
        scanners.take("a", 2.0)


def test_tasks_that_name_a_removed_scanner_run_when_it_comes_back() -> None:
    scanners = pool(a=1, b=1)
    scanners.place(entry(1, pinned="a"), 0.0)
    scanners.configure([spec("b", 1)], FREE_FOR_ALL, 1.0)
    assert "a" in scanners.scanners()
    scanners.woken.clear()
    scanners.configure([spec("b", 1), spec("a", 1)], FREE_FOR_ALL, 2.0)
    assert scanners.woken == ["a"]
    assert scanners.take_all("a", 2.0) == ["t1"]


def test_a_removed_scanner_goes_when_the_last_task_that_names_it_is_cancelled() -> None:
    scanners = pool(a=1)
    scanners.place(entry(1, pinned="a"), 0.0)
    scanners.configure([], FREE_FOR_ALL, 1.0)
    scanners.withdraw("t1", 2.0)
    assert scanners.scanners() == []


def test_a_reload_keeps_what_an_operator_switched_unless_it_says_something_new() -> None:
    scanners = pool(a=1)
    scanners.set_enabled("a", False, 0.0)
    scanners.set_draining("a", True, 0.0)
    scanners.configure([spec("a", 3)], FREE_FOR_ALL, 1.0)
    (figures,) = scanners.statistics(1.0).scanners
    assert (figures.enabled, figures.draining, figures.slots.limit) == (False, True, 3)
    scanners.configure([spec("a", 3, enabled=False)], FREE_FOR_ALL, 2.0)
    scanners.configure([spec("a", 3, enabled=True)], FREE_FOR_ALL, 3.0)
    assert scanners.statistics(3.0).scanners[0].enabled


def test_a_new_scanner_takes_from_the_overflow_queue() -> None:
    scanners = pool(a=1)
    fill(scanners, "a", 1)
    scanners.place(entry(1), 0.0)
    scanners.configure([spec("a", 1), spec("b", 1)], FREE_FOR_ALL, 1.0)
    assert "b" in scanners.woken
    assert scanners.take_all("b", 1.0) == ["t1"]


# Restart.


def test_nothing_starts_before_all_queues_are_rebuilt() -> None:
    scanners = pool(a=1)
    low, high = entry(1, priority=Priority.LOW), entry(2, priority=Priority.HIGH)
    scanners.restore([low], 100.0, more=True)
    scanners.set_paused(False, 100.0)
    assert scanners.take_all("a", 100.0) == []
    scanners.restore([high], 100.0, more=True)
    scanners.woken.clear()
    scanners.restore([], 100.0)
    assert scanners.woken == ["a"]
    assert scanners.take_all("a", 100.0) == ["t2"]


def test_queues_are_rebuilt_in_the_order_of_acceptance() -> None:
    scanners = pool(a=1, b=1)
    entries = [entry(order, pinned="a" if order % 3 == 0 else None) for order in range(12)]
    scanners.restore(reversed(entries), 100.0)
    assert set(scanners.woken) == {"a", "b"}
    own = [each.task_id for each in entries if each.pinned]
    assert [scanners.position(task) for task in own] == list(range(1, len(own) + 1))
    taken = list[str]()
    while scanners.statistics(100.0).queued:
        for scanner_id in ("a", "b"):
            for task in scanners.take_all(scanner_id, 100.0):
                taken.append(task)
                scanners.release(task, 100.0)
    assert sorted(taken) == sorted(each.task_id for each in entries)
    free = [task for task in taken if task not in own]
    assert free == sorted(free, key=lambda task: int(task[1:]))


def test_a_restored_task_may_name_a_scanner_that_is_gone() -> None:
    scanners = pool(a=1)
    scanners.restore([entry(1, pinned="gone")], 0.0)
    scanners.adopt("lost", entry(2), 0.0)
    assert scanners.wait_reason("t1", 0.0).code is WaitCode.SCANNER_REMOVED
    assert scanners.running("lost") == {"t2"}
    scanners.release("t2", 1.0)
    assert scanners.scanners() == ["a", "gone"]


# Canceling and asking.


def test_a_waiting_task_can_be_withdrawn_and_a_running_one_not() -> None:
    scanners = pool(a=1)
    for order in (1, 2, 3):
        scanners.place(entry(order, pinned="a"), 0.0)
    scanners.take("a", 0.0)
    assert scanners.withdraw("t1", 1.0) is None
    assert scanners.withdraw("t2", 1.0) == entry(2, pinned="a")
    assert scanners.withdraw("t2", 1.0) is None
    assert scanners.position("t3") == 1


def test_what_does_not_wait_has_no_position() -> None:
    scanners = pool(a=1)
    for ask in (scanners.position, scanners.queue_of, lambda task: scanners.wait_reason(task, 0.0)):
        with pytest.raises(KeyError):
            ask("nobody")


def test_nothing_can_be_queued_twice_or_while_it_runs() -> None:
    scanners = pool(a=1)
    scanners.place(entry(1), 0.0)
    with pytest.raises(AssertionError):
        scanners.place(entry(1), 0.0)
    scanners.take("a", 0.0)
    with pytest.raises(AssertionError):
        scanners.place(entry(1), 0.0)


def test_statistics_add_up() -> None:
    scanners = pool(a=2, b=3)
    fill(scanners, "a", 2)
    scanners.place(entry(1, pinned="a"), 0.0)
    scanners.place(entry(2, pinned="b"), 0.0)
    scanners.set_draining("b", True, 0.0)
    figures = scanners.statistics(0.0)
    assert (figures.active, figures.queued, figures.capacity, figures.free) == (2, 2, 2, 0)
    first, second = figures.scanners
    assert (first.load, first.usable, first.obstacle) == (1.5, True, None)
    assert second.obstacle is not None
    assert (second.slots.free, second.free) == (3, 0)


def test_a_task_placed_during_a_pause_starts_after_those_that_wait() -> None:
    scanners = WatchedPool([spec("a", 1), spec("b", 1)])
    for order in range(5):
        scanners.place(entry(order), float(order))
        scanners.take_all("a", float(order))
        scanners.take_all("b", float(order))
    scanners.set_paused(True, 10.0)
    for task_id in ("t0", "t1"):
        scanners.release(task_id, 11.0)
    scanners.place(entry(5), 12.0)
    scanners.place(entry(6, priority=Priority.HIGH, accepted_at=13.0), 13.0)
    scanners.set_paused(False, 14.0)
    started = []
    for moment in range(20, 27):
        for scanner_id in ("a", "b"):
            for task_id in scanners.take_all(scanner_id, float(moment)):
                started.append(task_id)
                scanners.release(task_id, float(moment))
    assert started == ["t6", "t2", "t3", "t4", "t5"]


def test_what_has_time_on_a_faster_scanner_only_goes_there() -> None:
    pool = WatchedPool([spec("slow", 1), spec("fast", 1)])
    for order in range(1, 25):
        for name, took in (("slow", 7000.0), ("fast", 2000.0)):
            pool.adopt(name, entry(1000 * order + len(name) + (name == "slow")), 0.0)
            (running,) = pool.running(name)
            pool.release(running, took, finished=True)
    opened = Period(zone="UTC", dates=((0.0, 3600.0), (9000.0, 99_000.0)))
    rules = (Rule(name="w", period=opened, blackout=False),)
    pool.gate.set_timetable(Timetable(rules=rules), lambda now: now, 0.0)
    for order in (1, 2):
        pool.place(entry(order), 0.0)
    assert [pool.take_all("slow", 0.0), pool.take_all("fast", 0.0)] == [[], ["t2"]]
    pool.release("t2", 500.0)
    assert pool.take_all("fast", 500.0) == ["t1"]
    pool.release("t1", 2500.0)
    pool.place(entry(3), 2500.0)
    assert not pool.take_all("fast", 2500.0), "no scanner has time for it"
    assert not pool.take_all("slow", 2500.0)
    pool.gate.look(9000.0)
    assert pool.take_all("slow", 9000.0) == ["t3"]


def test_what_seemed_to_have_no_time_says_when_that_is_looked_at_again() -> None:
    pool = WatchedPool([spec("a", 1)])

    def takes(seconds: float, first: int) -> None:
        for order in range(first, first + 130):
            pool.adopt("a", entry(order), 0.0)
            pool.release(f"t{order}", seconds, finished=True)

    takes(7000.0, 1000)
    opened = Period(zone="UTC", dates=((0.0, 3600.0), (9000.0, 99_000.0)))
    rules = (Rule(name="w", period=opened, blackout=False),)
    pool.gate.set_timetable(Timetable(rules=rules), lambda now: now, 0.0)
    pool.place(entry(1), 0.0)
    assert not pool.take_all("a", 0.0)
    assert "run past" in pool.wait_reason("t1", 0.0).text
    takes(100.0, 2000)
    reason = pool.wait_reason("t1", 100.0)
    assert (reason.code, reason.blocker) == (WaitCode.WINDOW, None)
    assert "again at Thu 1970-01-01 01:00 UTC" in reason.text


def test_what_waits_behind_others_for_room_in_a_network_says_so() -> None:
    pool = WatchedPool([spec("a", 50)])
    ranges = parse_targets("10.0.0.0/8").ranges
    pool.gate.set_network_limits([NetworkLimit(name="10.0.0.0/8", ranges=ranges, most=1)], 0.0)
    for order in range(1, 31):
        pool.place(entry(order), 0.0)
    assert pool.take_all("a", 0.0) == ["t1"]
    assert pool.wait_reason("t30", 0.0).code is WaitCode.NETWORK_LIMIT
    pool.release("t1", 1.0)
    reason = pool.wait_reason("t30", 1.0)
    assert (reason.code, reason.blocker) == (WaitCode.BEHIND, None)


def test_pauses_do_not_count_as_running() -> None:
    pool = WatchedPool([spec("a", 1)])
    pool.adopt("a", entry(1), 0.0)
    pool.note_pauses("t1", 0.0, 100.0)
    active = pool.active("t1")
    assert active is not None
    assert active.ran(5000.0) == 100.0
    pool.note_pauses("t1", 4900.0, None)
    pool.progressed("t1", 50, 5100.0)
    active = pool.active("t1")
    assert active is not None
    assert (active.ran(5100.0), active.reached) == (200.0, {5: 200.0})
    pool.release("t1", 5300.0, finished=True)
    assert pool.durations.per_address(entry(2)) == 400.0


def test_what_waits_for_its_hours_keeps_its_targets_from_nobody() -> None:
    """Not even if it had to wait for another scan of them before."""
    pool = WatchedPool([spec("a", 2)], PoolSettings())
    noon, night = parse_moment("2026-03-02 12:00", "UTC"), parse_moment("2026-03-02 20:00", "UTC")
    pool.place(entry(1, "192.0.2.1"), noon)
    pool.place(entry(2, "192.0.2.1-192.0.2.2", between="20:00-24:00"), noon)
    assert pool.take_all("a", noon) == ["t1"]
    pool.release("t1", noon + 100)  # now it is found to wait for its hours
    assert pool.take_all("a", noon + 100) == []
    pool.place(entry(3, "192.0.2.1"), noon + 200)
    assert pool.take_all("a", noon + 200) == ["t3"]
    pool.gate.look(night)
    assert pool.take_all("a", night) == [], "for the first time it is blocked in its hours"
    pool.place(entry(4, "192.0.2.2"), night)
    assert pool.take_all("a", night) == ["t4"]
    pool.release("t4", night + 100)
    pool.release("t3", night + 100)
    assert pool.take_all("a", night + 100) == ["t2"]
