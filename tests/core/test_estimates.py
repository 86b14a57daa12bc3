"""Estimates case by case; how well they hold over months is in test_pool_simulation."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from nessus_sched.core.pool import durations as module
from nessus_sched.core.pool.durations import ENOUGH, FEWEST, REMEMBERED, Durations
from nessus_sched.core.pool.estimates import Estimate, summary
from nessus_sched.core.pool.forecast import HORIZON, ROUNDS, Forecast, SimulationRun, remaining
from nessus_sched.core.pool.overlap import OverlapGuard
from nessus_sched.core.pool.queues import Waiting
from nessus_sched.core.pool.state import Active, PoolSettings
from nessus_sched.core.task import ScanKind
from support.pools import FREE_FOR_ALL, WatchedPool, entry, spec

INFINITE = float("inf")
GoesBefore = Callable[[str, Waiting], bool]


def measured(durations: Durations, seconds: float, count: int = ENOUGH, **changes: Any) -> None:
    for order in range(count):
        durations.record(entry(order, **changes), "a", seconds)


def pool(limit: int = 1, scanners: int = 1, took: float | None = 100.0) -> WatchedPool:
    """Full scanners, with scans that began at 0; `took`: what scans were measured to take."""
    specs = [spec(name, limit) for name in "abc"[:scanners]]
    found = WatchedPool(specs)
    if took is not None:
        measured(found.durations, took)
    for number in range(limit * scanners):
        found.place(entry(1000 + number, accepted_at=0.0), 0.0)
    for each in specs:
        found.take_all(each.scanner_id, 0.0)
    return found


# What is known of durations.


def test_the_finest_class_with_enough_measurements_counts() -> None:
    durations = Durations()
    measured(durations, 50.0, targets="192.0.2.0/24")
    measured(durations, 10.0, targets="192.0.2.1")
    for order in range(ENOUGH):
        durations.record(entry(order, "192.0.2.1"), "b", 20.0)
    assert set(durations.like(entry(1, "192.0.2.9"), "a")) == {10.0}
    assert set(durations.like(entry(1, "192.0.2.9"), "b")) == {20.0}
    assert set(durations.like(entry(1, "192.0.2.9"), "c")) == {10.0, 20.0}
    assert set(durations.like(entry(1, "198.51.100.0/24"), "a")) == {50.0}
    assert set(durations.like(entry(1, "192.0.2.1-192.0.2.5"), "a")) == {50.0, 10.0, 20.0}
    other_kind = entry(1, "192.0.2.9", kind=ScanKind.QUICK)
    assert set(durations.like(other_kind, "a")) == {50.0, 10.0, 20.0}


@pytest.mark.parametrize(("count", "known"), [(FEWEST - 1, False), (FEWEST, True)])
def test_of_very_few_measurements_nothing_follows(count: int, known: bool) -> None:
    durations = Durations()
    measured(durations, 10.0, count)
    assert bool(durations.like(entry(1), "a")) is known


def test_only_the_latest_measurements_are_remembered() -> None:
    durations = Durations()
    measured(durations, 10.0, REMEMBERED)
    measured(durations, 20.0, REMEMBERED)
    assert list(durations.like(entry(1), "a")) == [20.0] * REMEMBERED


def test_the_number_of_classes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLASSES", 10)
    durations = Durations()
    for number in range(100):
        durations.record(entry(number), f"s{number}", 1.0)
    assert len(durations._classes) == 10
    assert durations.like(entry(1), "s99")


def test_the_upper_bound_is_that_of_like_scans_now() -> None:
    """Whatever was asked before: bounds are remembered."""
    durations, random = Durations(), Random(1)
    for order in range(200):
        asked = entry(order, f"192.0.2.1-192.0.2.{random.choice((1, 9, 200))}")
        durations.record(asked, random.choice("ab"), random.random())
        for each in "abc":
            like = sorted(durations.like(asked, each))
            assert durations.upper(asked, each) == (like[int(len(like) * 0.9)] if like else None)


# What a running scan may still take.


def running(progress: dict[float, int] | None = None) -> Active:
    """A scan since 0 that told this progress at these moments."""
    active = Active(entry=entry(1), scanner_id="a", since=0.0)
    for at, figure in (progress or {}).items():
        active = active.at(figure, at)
    return active


def test_like_scans_that_took_longer_say_what_remains() -> None:
    like = [10.0, 20.0, 30.0, 40.0]
    assert sorted(remaining(running(), Durations(), like, 25.0)) == [5.0, 15.0]


def test_nothing_known_is_nothing_said() -> None:
    assert remaining(running(), Durations(), [], 25.0) == []


def test_a_scan_that_outlived_all_others_still_takes_a_while() -> None:
    assert sorted(remaining(running(), Durations(), [10.0, 20.0, 60.0], 70.0)) == [0.0, 40.0]


def test_progress_counts_for_what_it_meant_before() -> None:
    """Scans here are at 50 % after a quarter of their time."""
    durations = Durations()
    for number in range(ENOUGH):
        took = 100.0 + number
        durations.record_pace({5: took / 4, 9: took / 2}, took)
    like = [100.0 * factor for factor in range(1, 30)]
    values = remaining(running({200.0: 50}), durations, like, 200.0)
    assert values == pytest.approx([600.0] * ENOUGH)


def test_a_scan_that_is_slow_to_progress_takes_longer_than_most() -> None:
    durations = Durations()
    for number in range(ENOUGH):
        durations.record_pace({1: 10.0 + number / 10}, 10 * (10.0 + number / 10))
    like = [100.0] * 15 + [1000.0] * 15
    active = running({50.0: 3})
    assert set(remaining(active, durations, like, 50.0)) == {950.0}
    assert set(remaining(running(), durations, like, 50.0)) == {50.0, 950.0}


def test_progress_never_goes_back_and_is_noted_once_a_tenth() -> None:
    active = running({10.0: 12, 20.0: 18, 30.0: 35, 40.0: 20, 50.0: 100})
    assert active.reached == {1: 10.0, 3: 30.0, 9: 50.0}
    assert (active.tenth, active.seen) == (9, 50.0)


# The whole.


def test_nothing_is_estimated_before_anything_was_measured() -> None:
    scanners = pool(took=None)
    scanners.place(entry(1), 0.0)
    assert scanners.estimate("t1", 0.0) is None


def test_what_can_start_now_is_estimated_even_then() -> None:
    scanners = WatchedPool([spec("a", 1)])
    scanners.place(entry(1), 0.0)
    assert scanners.estimate("t1", 0.0) == Estimate(seconds=0.0, low=0.0, high=0.0)


def test_places_in_a_queue_are_not_worth_a_constant_each() -> None:
    """Three slots become free at once, so three positions start at once."""
    scanners = pool(limit=3)
    for order in range(7):
        scanners.place(entry(order, pinned="a"), 40.0)
    found = scanners.estimates(
        scanners.wait_reasons([f"t{order}" for order in range(7)], 40.0), 40.0
    )
    assert [found[f"t{order}"].seconds for order in range(7)] == [60.0] * 3 + [160.0] * 3 + [260.0]


def test_an_estimate_is_computed_anew_whenever_asked() -> None:
    scanners = pool()
    scanners.place(entry(1), 0.0)
    waits = []
    for now in (0.0, 30.0, 99.0):
        estimate = scanners.estimate("t1", now)
        assert estimate is not None
        waits.append(estimate.seconds)
    assert waits == [100.0, 70.0, 1.0]


def test_many_submissions_far_behind_share_one_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    played = 0

    def play(self: Forecast, random: Random) -> SimulationRun:
        nonlocal played
        played += 1
        return really(self, random)

    really = Forecast._play
    monkeypatch.setattr(Forecast, "_play", play)
    scanners = pool()
    for order in range(4 * HORIZON):
        scanners.place(entry(order), 0.0)
    waits = [scanners.estimate(f"t{2 * HORIZON + n}", n / 1000) for n in range(HORIZON)]
    assert played == ROUNDS
    seconds = [wait.seconds for wait in waits if wait]
    assert seconds == [100.0 * (2 * HORIZON + n + 1) for n in range(HORIZON)]
    scanners.estimate(f"t{2 * HORIZON}", 2.0)
    assert played == 2 * ROUNDS


def test_the_next_tasks_never_share_an_old_forecast() -> None:
    scanners = pool()
    for order in range(4 * HORIZON):
        scanners.place(entry(order), 0.0)
    scanners.estimate(f"t{3 * HORIZON}", 0.0)
    scanners.release("t1000", 0.5)
    estimate = scanners.estimate("t0", 0.5)
    assert estimate is not None
    assert estimate.seconds == 0.0


def test_the_overflow_queue_waits_for_the_first_of_all_scanners() -> None:
    scanners = pool(scanners=2)
    scanners.release("t1000", 50.0)
    scanners.place(entry(1, pinned="a"), 50.0)
    scanners.take_all("a", 50.0)
    scanners.place(entry(2), 60.0)
    scanners.place(entry(3), 60.0)
    found = scanners.estimates(scanners.wait_reasons(["t2", "t3"], 60.0), 60.0)
    assert (found["t2"].seconds, found["t3"].seconds) == (40.0, 90.0)


def test_a_mixture_gives_an_interval() -> None:
    scanners = pool(took=None)
    for seconds in range(1, 101):
        measured(scanners.durations, float(seconds), 1)
    scanners.place(entry(1), 0.0)
    estimate = scanners.estimate("t1", 0.0)
    assert estimate is not None
    assert 2 <= estimate.low <= 25 <= estimate.seconds <= 75 <= estimate.high <= 98


def test_the_first_scans_to_end_above_a_lowered_limit_leave_no_slot() -> None:
    scanners = pool(limit=2)
    scanners.release("t1000", 50.0)
    for order in (1, 2):
        scanners.place(entry(order, pinned="a"), 50.0)
    assert scanners.take_all("a", 50.0) == ["t1"]
    waits = []
    for limit in (2, 1):
        scanners.configure([spec("a", limit)], FREE_FOR_ALL, 60.0)
        estimate = scanners.estimate("t2", 60.0)
        assert estimate is not None
        waits.append(estimate.seconds)
    assert waits == [40.0, 90.0]


def test_a_hold_is_waited_for() -> None:
    scanners = pool()
    scanners.place(entry(1, pinned="a"), 0.0)
    scanners.hold("a", 400.0, "full", 10.0)
    estimate = scanners.estimate("t1", 10.0)
    assert estimate is not None
    assert estimate.seconds == 390.0


def test_nothing_is_foretold_of_a_hold_that_may_end_at_any_time() -> None:
    scanners = pool(scanners=2)
    scanners.place(entry(1, pinned="a"), 0.0)
    scanners.hold("a", 400.0, "loading", 10.0, at_latest=True)
    assert scanners.estimate("t1", 10.0) is None
    scanners.hold("a", 20.0, "", 20.0)
    assert scanners.estimate("t1", 20.0) is not None


def test_a_task_blocked_from_another_scanner_gets_the_next_slot_of_its_own() -> None:
    """The blocker on a ends after 70 s, the next slot of b is free after 100."""
    scanners = pool(scanners=2)
    scanners.release("t1001", 20.0)
    scanners.place(entry(5, pinned="b"), 20.0)
    assert scanners.take_all("b", 20.0) == ["t5"]
    scanners.configure([spec("a", 1), spec("b", 2)], PoolSettings(overlap_guard=True), 20.0)
    scanners.place(entry(1, "10.0.3.232", pinned="b"), 20.0)
    assert scanners.take_all("b", 20.0) == []
    scanners.configure([spec("a", 1), spec("b", 1)], PoolSettings(overlap_guard=True), 30.0)
    scanners.place(entry(2, pinned="b"), 30.0)
    scanners.release("t5", 30.0)
    assert scanners.take_all("b", 30.0) == ["t2"]
    assert scanners.wait_reason("t1", 30.0).blocker == "t1000"
    estimate = scanners.estimate("t1", 30.0)
    assert estimate is not None
    assert estimate.seconds == 100.0


def test_a_blocked_task_waits_for_its_blocker() -> None:
    scanners = pool(took=None)
    measured(scanners.durations, 100.0)
    scanners.configure([spec("a", 2)], PoolSettings(overlap_guard=True), 0.0)
    scanners.place(entry(1, "10.0.3.232"), 0.0)
    assert scanners.take_all("a", 0.0) == []
    assert scanners.wait_reason("t1", 0.0).blocker == "t1000"
    estimate = scanners.estimate("t1", 30.0)
    assert estimate is not None
    assert estimate.seconds == 70.0


@pytest.mark.parametrize("why", ["paused", "draining", "unknown pool"])
def test_what_cannot_run_at_present_has_no_estimate(why: str) -> None:
    scanners = pool()
    scanners.place(entry(1, pool="other" if why == "unknown pool" else "nessus"), 0.0)
    scanners.set_paused(why == "paused", 0.0)
    scanners.set_draining("a", why == "draining", 0.0)
    assert scanners.estimate("t1", 0.0) is None


@pytest.mark.slow
def test_long_queues_are_extrapolated() -> None:
    scanners = pool(limit=2)
    for order in range(4 * HORIZON):
        scanners.place(entry(order, pinned="a", accepted_at=0.0), 0.0)
    estimate = scanners.estimate(f"t{4 * HORIZON - 1}", 0.0)
    assert estimate is not None
    assert estimate.seconds == pytest.approx(100.0 * 4 * HORIZON / 2, rel=0.02)


def test_the_same_moment_gives_the_same_estimate() -> None:
    def once() -> Estimate | None:
        scanners = pool(took=None)
        for seconds in range(1, 101):
            measured(scanners.durations, float(seconds), 1)
        for order in range(20):
            scanners.place(entry(order), 0.0)
        return scanners.estimate("t19", 0.0)

    assert once() == once()


def test_the_interval_leaves_out_a_tenth_on_either_side() -> None:
    assert summary(float(value) for value in range(ROUNDS)) == Estimate(
        seconds=19.0, low=3.0, high=35.0
    )
    assert summary([1.0] * (ROUNDS - 3) + [INFINITE] * 3) is not None
    assert summary([1.0] * (ROUNDS - 4) + [INFINITE] * 4) is None


def test_scans_that_did_not_finish_teach_nothing() -> None:
    scanners = WatchedPool([spec("a", 1)])
    for order in range(ENOUGH):
        scanners.place(entry(order), 0.0)
        scanners.take("a", 0.0)
        scanners.release(f"t{order}", 5.0, finished=False)
    assert not scanners.durations.like(entry(1), "a")
    for order in range(ENOUGH):
        scanners.place(entry(order), 0.0)
        scanners.take("a", 0.0)
        scanners.release(f"t{order}", 5.0, finished=True)
    assert set(scanners.durations.like(entry(1), "a")) == {5.0}


def test_a_listing_compares_the_targets_of_each_task_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    blocker = OverlapGuard.blocker

    def counted(guard: OverlapGuard, waiting: Waiting, before: GoesBefore) -> str | None:
        compared.append(waiting.entry.task_id)
        return blocker(guard, waiting, before)

    scanners = pool()
    names = [f"t{order}" for order in range(5)]
    for order in range(5):
        scanners.place(entry(order), 0.0)
    monkeypatch.setattr(OverlapGuard, "blocker", counted)
    reasons = scanners.wait_reasons([*names, "t1000", "unknown"], 1.0)
    found = scanners.estimates(reasons, 1.0)
    assert list(reasons) == list(found) == compared == names
