"""When running scans are paused for the calendar, and what is counted as an overrun."""

from __future__ import annotations

import pytest

from nessus_sched.core.calendar.keeping import (
    LONGEST_LEAD,
    USUAL_LEAD,
    Overruns,
    PauseTimes,
    closing,
    next_look,
)
from nessus_sched.core.calendar.periods import parse_period
from nessus_sched.core.calendar.timetable import AtEnd, Rule, Timetable
from nessus_sched.core.calendar.zones import parse_moment
from nessus_sched.core.targets.packed import pack
from nessus_sched.core.targets.targets import targets_from

NOON = parse_moment("2026-03-02 12:00", "UTC")
SCAN = (pack(targets_from(["192.0.2.1"])), None, "a", "nessus")


def blackout(*times: str, at_end: AtEnd = AtEnd.PAUSE) -> Rule:
    return Rule(name="b", period=parse_period(times, "UTC"), blackout=True, at_end=at_end)


def test_long_pauses_are_remembered_and_fade() -> None:
    times = PauseTimes()
    assert times.lead("a") == USUAL_LEAD
    times.record("a", 100.0)
    times.record("a", 10.0)
    assert times.lead("a") == 55.0
    times.record("a", 10.0)
    assert times.lead("a") == 32.5
    times.record("a", 80.0)
    assert times.lead("a") == 80.0
    times.record("b", 10_000.0)
    assert times.lead("b") == LONGEST_LEAD
    assert set(times.leads()) == {USUAL_LEAD, 80.0, LONGEST_LEAD}


@pytest.mark.parametrize(
    ("before", "closed", "over"),
    [(31.0, False, False), (30.0, True, False), (0.0, True, True), (-3600.0, False, False)],
)
def test_a_scan_closes_as_early_as_pausing_takes(before: float, closed: bool, over: bool) -> None:
    table = Timetable(rules=(blackout("12:00-13:00"),))
    found = closing(table, SCAN, NOON - before, 30.0, paused=False)
    assert (found is not None) is closed
    assert (found is not None and found.over) is over


def test_a_blackout_that_is_shorter_than_a_pause_takes() -> None:
    table = Timetable(rules=(blackout("12:00-12:02"),))
    assert closing(table, SCAN, NOON - 300.0, 600.0, paused=False) is not None


def test_a_rule_that_lets_scans_run_on_counts_only_for_those_that_are_paused() -> None:
    both = blackout("11:00-14:00", at_end=AtEnd.RUN_ON), blackout("12:00-13:00")
    table = Timetable(rules=both)
    assert closing(table, SCAN, NOON - 60.0, 30.0, paused=False) is None
    soon = closing(table, SCAN, NOON - 30.0, 30.0, paused=False)
    assert soon is not None
    assert (soon.rule, soon.over) == (both[1], False), "it has not overrun what lets it run on"
    assert closing(table, SCAN, NOON + 5000.0, 30.0, paused=False) is None
    assert closing(table, SCAN, NOON + 5000.0, 30.0, paused=True) is not None


def test_every_scanner_is_looked_at_when_its_own_time_has_come() -> None:
    table = Timetable(rules=(blackout("12:00-13:00"),))
    looks: list[float] = []
    moment = NOON - 3600.0
    while len(looks) < 4:
        moment = next_look(table, moment, [300.0, 20.0, 45.0])
        looks.append(NOON - moment)
    assert looks == [300.0, 45.0, 20.0, 0.0]


def test_the_hours_of_single_tasks_are_looked_at_too() -> None:
    assert next_look(Timetable(), NOON, [30.0], ["10:00-14:00"]) == NOON + 2 * 3600 - 30.0


def test_an_overrun_is_told_once_when_it_ends() -> None:
    overruns = Overruns()
    assert overruns.note("t1", 10.0, over=True) is None
    assert overruns.note("t1", 25.0, over=True) is None
    assert overruns.note("t2", 30.0, over=True) is None
    assert overruns.longest(40.0) == 30.0
    assert overruns.note("t1", 40.0, over=False) == 30.0
    assert overruns.note("t1", 50.0, over=False) is None
    assert overruns.ended({"t2"}, 60.0) == {}
    assert overruns.ended(set(), 60.0) == {"t2": 30.0}
    assert overruns.longest(70.0) == 0.0
