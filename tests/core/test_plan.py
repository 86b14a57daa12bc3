"""The plan of the coming hours: pure, with fixed and drawn durations."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.calendar.periods import parse_period
from nessus_sched.core.calendar.plan import Planned, plan
from nessus_sched.core.calendar.playing import Job, Slot
from nessus_sched.core.calendar.schedule import Overlap
from nessus_sched.core.calendar.timetable import AtEnd, Rule, Timetable
from nessus_sched.core.calendar.zones import parse_moment
from nessus_sched.core.targets.packed import pack
from nessus_sched.core.targets.targets import targets_from

HOUR = 3600.0
NOW = parse_moment("2026-03-02 12:00", "UTC")


def job(name: str = "a", ready: float = 0.0, takes: float = 1.0, **changes: Any) -> Job:
    usual: dict[str, Any] = {
        "firing": True,
        "targets": pack(targets_from(["192.0.2.1"])),
        "between": None,
        "pool": "nessus",
        "durations": {"x": (takes * HOUR,) * 3},
        "uppers": {"x": takes * HOUR},
    }
    return Job(name=name, ready=NOW + ready * HOUR, **{**usual, **changes})


def slots(*scanners: str) -> list[Slot]:
    return [Slot(scanner_id=scanner_id) for scanner_id in scanners]


def rule(*times: str, **changes: Any) -> Timetable:
    period = parse_period(times, "UTC")
    return Timetable(rules=(Rule(name="r", period=period, **{"blackout": False, **changes}),))


def hours(found: Planned) -> tuple[float, float]:
    """Median start and end, in hours from now."""
    assert found.start is not None
    assert found.end is not None
    return (found.start.median - NOW) / HOUR, (found.end.median - NOW) / HOUR


def test_scans_follow_each_other_on_a_slot_and_share_several() -> None:
    three = [job(str(number), takes=2) for number in range(3)]
    assert [hours(each) for each in plan(three, slots("x"), Timetable(), NOW)] == [
        (0, 2), (2, 4), (4, 6),
    ]  # fmt: skip
    assert [hours(each) for each in plan(three, slots("x", "x"), Timetable(), NOW)] == [
        (0, 2), (0, 2), (2, 4),
    ]  # fmt: skip


def test_a_firing_starts_when_it_is_due() -> None:
    assert hours(plan([job(ready=5)], slots("x"), Timetable(), NOW)[0]) == (5, 6)


def test_it_waits_for_its_window_and_holds_up_nothing_else() -> None:
    early = job("early", targets=pack(targets_from(["198.51.100.1"])), between="12:00-20:00")
    late = job("late", between="20:00-23:00")
    first, second = plan([late, early], slots("x"), Timetable(), NOW)
    assert (first.job.name, hours(first)) == ("early", (0, 1))
    assert (second.job.name, hours(second)) == ("late", (8, 9))
    assert second.closed is not None


def test_what_does_not_fit_waits_for_the_next_opening() -> None:
    table = rule("12:00-14:00", "20:00-24:00")
    (found,) = plan([job(takes=3)], slots("x"), table, NOW)
    assert hours(found) == (8, 11)
    assert not found.paused


def test_what_fits_nowhere_is_paused_and_resumed() -> None:
    (found,) = plan([job(takes=5)], slots("x"), rule("12:00-14:00", "20:00-24:00"), NOW)
    assert hours(found) == (0, 11)
    assert found.paused


def test_what_has_no_opening_is_said() -> None:
    (found,) = plan([job()], slots("x"), rule("2026-01-01"), NOW)
    assert found.never
    assert found.end is not None
    assert found.end.high == math.inf


def test_nothing_is_said_without_measured_scans() -> None:
    (found,) = plan([job(durations={"x": ()})], slots("x"), Timetable(), NOW)
    assert (found.start, found.end, found.never) == (None, None, False)


def test_parts_run_on_all_scanners() -> None:
    whole = job(durations={"x": (HOUR,), "y": (HOUR,)}, scans=6)
    (found,) = plan([whole], slots("x", "y", "y"), Timetable(), NOW)
    assert hours(found) == (0, 2)
    assert found.scanners == ("x", "y")


def test_parts_run_where_their_targets_are_reached() -> None:
    """The scanner with most of the targets decides when it ends, however idle the other is."""
    either, only_x, only_y = frozenset("xy"), frozenset("x"), frozenset("y")
    for groups, ends in (
        (((only_x, 4), (only_y, 1)), 4),
        (((only_x, 4), (either, 4)), 4),
        (((only_x, 2), (either, 4)), 3),
    ):
        whole = job(durations={"x": (HOUR,), "y": (HOUR,)}, scans=8, groups=groups)
        (found,) = plan([whole], slots("x", "y"), Timetable(), NOW)
        assert hours(found) == (0, ends), groups
        assert found.scanners == ("x", "y")


def test_a_stopped_part_goes_back_to_a_scanner_that_reaches_it() -> None:
    whole = job(
        durations={"x": (2 * HOUR,), "y": (HOUR,)}, scans=2, uppers={},
        groups=((frozenset("x"), 1), (frozenset("y"), 1)),
    )  # fmt: skip
    table = rule("12:00-13:00", "14:00-15:00", scanners=frozenset("x"), at_end=AtEnd.STOP)
    (found,) = plan([whole], slots("x", "y"), table, NOW)
    assert hours(found) == (0, 3)


def test_the_scan_that_is_due_first_gets_the_slot() -> None:
    urgent, usual = job("urgent", ready=1, due=NOW), job("usual", ready=1, due=NOW + HOUR)
    found = plan([usual, urgent, job("running", takes=2)], slots("x"), Timetable(), NOW)
    assert {each.job.name: hours(each) for each in found} == {
        "running": (0, 2), "urgent": (2, 3), "usual": (3, 4),
    }  # fmt: skip


def test_a_running_scan_is_paused_and_keeps_its_slot() -> None:
    running = Slot(scanner_id="x", running=job("running", takes=3))
    (found,) = plan([job()], [running], rule("13:00-15:00", blackout=True), NOW)
    assert hours(found) == (5, 6)


def test_a_running_scan_that_is_stopped_leaves_its_slot() -> None:
    running = Slot(scanner_id="x", running=job("running", takes=3))
    table = rule("13:00-15:00", blackout=True, at_end=AtEnd.STOP)
    (found,) = plan([job()], [running], table, NOW)
    assert hours(found) == (3, 4)


@pytest.mark.parametrize(
    ("at_end", "ends"), [(AtEnd.PAUSE, (5, 6)), (AtEnd.STOP, (5, 2)), (AtEnd.RUN_ON, (3, 4))]
)
def test_what_a_blackout_does_to_a_scan(at_end: AtEnd, ends: tuple[float, float]) -> None:
    """One that is stopped leaves its slot to the scan of other targets."""
    network = targets_from(["192.0.2.1"]).ranges
    table = rule("13:00-15:00", blackout=True, at_end=at_end, networks=network)
    other = pack(targets_from(["198.51.100.1"]))
    jobs = [job("a", takes=3, uppers={}), job("b", ready=0.5, targets=other)]
    found = {each.job.name: hours(each) for each in plan(jobs, slots("x"), table, NOW)}
    assert (found["a"][1], found["b"][1]) == ends


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        (Overlap.SKIP, [(0, 5), None, None, (6, 11)]),
        (Overlap.QUEUE_ONE, [(0, 5), None, (5, 10), (10, 15)]),
        (Overlap.REPLACE, [None, None, None, (6, 11)]),
    ],
)
def test_firings_that_meet_the_one_before(
    overlap: Overlap, expected: list[tuple[float, float] | None]
) -> None:
    each_two_hours = [
        job(str(number), ready=2 * number, takes=5, series="s", overlap=overlap)
        for number in range(4)
    ]
    found = plan(each_two_hours, slots("x", "x"), Timetable(), NOW)
    assert [None if each.skipped else hours(each) for each in found] == expected


def test_a_firing_meets_a_task_of_its_schedule_that_is_running() -> None:
    running = Slot(scanner_id="x", running=job("t", takes=2, series="s"))
    first, second = (
        job(str(ready), ready=ready, series="s", overlap=Overlap.SKIP) for ready in (1, 3)
    )
    found = plan([first, second], [running, *slots("x")], Timetable(), NOW)
    assert [each.skipped for each in found] == [True, False]


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.floats(0, 30), st.lists(st.floats(0.1, 9), min_size=1, max_size=9)),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 3),
    st.booleans(),
)
def test_intervals_are_in_order_and_nothing_starts_while_it_may_not(
    given_jobs: list[tuple[float, list[float]]], count: int, blackout: bool
) -> None:
    table = rule("mon-fri 08:00-18:00", blackout=blackout)
    jobs = [
        job(str(number), ready, durations={"x": tuple(each * HOUR for each in takes)}, uppers={})
        for number, (ready, takes) in enumerate(given_jobs)
    ]
    for found in plan(jobs, slots(*"x" * count), table, NOW):
        assert found.start is not None
        assert found.end is not None
        for each in (found.start, found.end):
            assert each.low <= each.median <= each.high
        assert found.start.low >= found.job.ready
        assert table.rules[0].is_open(found.start.median)
        assert found.start.median < found.end.median
