"""Which part is stopped so that idle slots scan its rest; and how fast scanners are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.pool.durations import DOUBT, Durations
from nessus_sched.core.pool.network_limits import NetworkLimit
from nessus_sched.core.pool.state import PoolSettings
from nessus_sched.core.pool.stragglers import StragglerLimits
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import ScanKind
from support.pools import WatchedPool, entry, spec

HUNDRED = "192.0.2.1-192.0.2.100"
ONE_AT_A_TIME = NetworkLimit(name="n", ranges=parse_targets("192.0.2.0/24").ranges, most=1)
LIMITS = StragglerLimits(least=300.0, untouched=32)


def running(
    *, progress: int | None = 10, at: float = 100.0, idle: int = 2, targets: str = HUNDRED
) -> WatchedPool:
    """A pool where `t0` runs on scanner `a` since 0 and was at that progress then; `b` is idle."""
    pool = WatchedPool([spec("a", 1), spec("b", idle)] if idle else [spec("a", 1)])
    pool.set_enabled("b", False, 0.0) if idle else None
    pool.place(entry(0, targets), 0.0)
    pool.take_all("a", 0.0)
    if idle:
        pool.set_enabled("b", True, 0.0)
    if progress is not None:
        pool.progressed("t0", progress, at)
    return pool


def found(pool: WatchedPool, now: float = 100.0) -> str | None:
    straggler = pool.straggler(["t0"], LIMITS, now)
    return None if straggler is None else straggler.task_id


def test_a_part_that_idle_slots_would_end_sooner_is_stopped() -> None:
    straggler = running(idle=3).straggler(["t0"], LIMITS, 200.0)
    assert straggler is not None
    assert straggler.left == pytest.approx(800.0)
    assert straggler.idle == 3


def test_one_that_is_nearly_done_or_has_few_targets_left_is_not() -> None:
    assert found(running(progress=10), 700.0) == "t0"
    assert found(running(progress=10), 701.0) is None
    assert found(running(progress=69, at=2000.0), 2000.0) is None
    assert found(running(progress=68, at=2000.0), 2000.0) == "t0"


def test_no_slot_is_idle_while_something_waits_for_it_or_it_may_not_be_used() -> None:
    assert found(running(idle=0)) is None
    changes: list[Callable[[WatchedPool], object]] = [
        lambda pool: pool.set_paused(True, 100.0),
        lambda pool: pool.set_draining("b", True, 100.0),
        lambda pool: pool.hold("b", 200.0, "rest", 100.0),
        lambda pool: pool.suspend("b", 100.0, ErrorKind.LICENSE_EXPIRED, "it has expired"),
        lambda pool: pool.gate.set_network_limits([ONE_AT_A_TIME], 100.0),
        lambda pool: pool.place(entry(1), 100.0),
        lambda pool: pool.place(entry(1, pinned="b"), 100.0),
    ]
    for change in changes:
        pool = running()
        change(pool)
        assert found(pool) is None


def test_a_part_on_a_scanner_that_is_down_is_not_stopped() -> None:
    pool = running()
    pool.failed("a", 100.0, "no answer", trip=True)
    assert found(pool) is None
    pool.succeeded("a", 100.0)
    assert found(pool) == "t0"


def test_only_scanners_that_reach_the_targets_help() -> None:
    pool = WatchedPool([spec("a", 1), spec("b", 1, networks="198.51.100.0/24")])
    pool.place(entry(0, HUNDRED), 0.0)
    pool.take_all("a", 0.0)
    pool.progressed("t0", 10, 100.0)
    assert found(pool) is None


def test_what_helps_too_little_is_not_worth_a_stop() -> None:
    pool = running(progress=25, at=100.0)
    assert found(pool) == "t0"  # 300 s: 150 s for stopping it, and a third of them
    measured(pool.durations, "b", 100_000.0)
    measured(pool.durations, "a", 10.0)
    assert found(pool) is None


def test_without_progress_the_pace_of_others_counts() -> None:
    assert found(running(progress=None)) is None
    pool = running(progress=0)
    for order in range(DOUBT):
        pool.durations.record(entry(order, "192.0.2.1-192.0.2.10"), "a", 50.0)
    assert found(pool, 200.0) == "t0"  # 5 s each make 500 s
    assert found(pool, 201.0) is None


def test_of_several_the_one_with_most_before_it_is_stopped() -> None:
    pool = WatchedPool([spec("a", 2), spec("b", 1)])
    pool.set_enabled("b", False, 0.0)
    for order, progress in ((0, 10), (1, 5)):
        pool.place(entry(order, f"192.0.{order}.0/24"), 0.0)
        pool.take_all("a", 0.0)
        pool.progressed(f"t{order}", progress, 100.0)
    pool.set_enabled("b", True, 0.0)
    straggler = pool.straggler(["t0", "t1", "t9"], LIMITS, 100.0)
    assert straggler is not None
    assert straggler.task_id == "t1"


# How fast scanners are.


def measured(durations: Durations, scanner_id: str, seconds: float, count: int = 30) -> None:
    for order in range(count):
        durations.record(entry(order), scanner_id, seconds)


def test_a_scanner_is_as_slow_as_its_scans_compared_with_all() -> None:
    durations = Durations()
    assert durations.slowness(ScanKind.BASIC, "a") == 1.0
    measured(durations, "a", 10.0)
    measured(durations, "b", 30.0)
    assert durations.slowness(ScanKind.BASIC, "c") == 1.0
    assert 0.5 < durations.slowness(ScanKind.BASIC, "a") < 0.6
    assert 1.4 < durations.slowness(ScanKind.BASIC, "b") < 1.5
    assert durations.slowness(ScanKind.QUICK, "a") == 1.0


def test_a_few_scans_say_little_about_a_scanner() -> None:
    durations = Durations()
    measured(durations, "a", 10.0, count=60)
    measured(durations, "b", 1000.0, count=1)
    assert durations.slowness(ScanKind.BASIC, "b") < 10


def test_slots_and_pace_are_counted_in_those_of_the_scanner_that_asks() -> None:
    pool = WatchedPool([spec("a", 2), spec("b", 2)])
    measured(pool.durations, "a", 10.0, count=64)
    measured(pool.durations, "b", 30.0, count=64)
    some = entry(1)
    assert pool.slots_for(some) == pytest.approx(4, abs=1.5)
    assert pool.slots_for(some, "b") > 6 > 4 > pool.slots_for(some, "a")
    fast, slow = pool.pace(some, "a"), pool.pace(some, "b")
    assert fast is not None
    assert slow is not None
    assert slow / fast == pytest.approx(3, abs=0.3)
    assert pool.fastest(some) == "a"
    pool.set_enabled("a", False, 0.0)
    assert pool.fastest(some) == "b"


def test_a_part_that_is_narrowed_claims_no_more_than_it_has() -> None:
    pool = WatchedPool([spec("a", 1), spec("b", 1)], PoolSettings())
    pool.place(entry(0, HUNDRED), 0.0)
    pool.take_all("a", 0.0)
    pool.place(entry(1, "192.0.2.60"), 1.0)
    assert not pool.take_all("b", 1.0)
    small = entry(0, "192.0.2.1-192.0.2.50")
    pool.narrow(small, 2.0)
    active = pool.active("t0")
    assert active is not None
    assert active.entry is small
    assert active.since == 0.0
    assert pool.take_all("b", 2.0) == ["t1"]
    pool.release("t0", 3.0, finished=True)
    pool.place(entry(2, HUNDRED), 3.0)
    assert pool.take_all("a", 3.0) == []


def test_a_part_that_is_narrowed_leaves_the_networks_that_it_has_not() -> None:
    pool = WatchedPool([spec("a", 1), spec("b", 1)], PoolSettings())
    pool.gate.set_network_limits([ONE_AT_A_TIME], 0.0)
    pool.place(entry(0, "192.0.1.200-192.0.2.100"), 0.0)
    pool.take_all("a", 0.0)
    pool.place(entry(1, "192.0.2.200"), 1.0)
    assert not pool.take_all("b", 1.0)
    pool.narrow(entry(0, "192.0.1.200-192.0.1.210"), 2.0)
    assert pool.take_all("b", 2.0) == ["t1"]
