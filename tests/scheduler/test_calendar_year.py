"""A year of 200 schedules in three zones on 20 scanners that take their time to pause, driven
through what decides about firings, starts and pauses; and plans against what then happened."""

from __future__ import annotations

import os
from random import Random

import pytest

from support.calendar_judge import Judge
from support.calendar_programme import BEGIN, models, stalls, timetable, wanted
from support.calendar_year import DAY, CalendarYear

DAYS = int(os.environ.get("CALENDAR_DAYS", "365"))
"""A year takes less than a minute of computing."""


def play(days: int, seed: int, *, scanners: int, schedules: int) -> Judge:
    random = Random(seed)
    every = [wanted(number, random, days) for number in range(schedules)]
    year = CalendarYear(
        models(scanners, 1, random),
        [each.schedule for each in every],
        timetable(),
        begin=BEGIN,
        seed=seed,
        stalls=stalls(random, days),
    )
    year.run()
    return Judge(year, every, days)


def check(found: Judge, *, most: float) -> None:
    """At most this share of the time that pausing takes lies in blackouts."""
    found.firings()
    found.changes_of_clocks()
    inside, pausing = found.overruns()
    assert inside < most * pausing, "scans are paused in advance"
    assert found.starts() < 15 * DAY
    assert all(life.over for life in found.year.lives.values())


@pytest.mark.slow
def test_the_calendar_is_kept_for_a_year() -> None:
    """Another with CALENDAR_DAYS=3650, say."""
    found = play(DAYS, 1, scanners=20, schedules=200)
    check(found, most=0.1)
    assert len(found.year.lives) > 100 * DAYS


def test_the_calendar_is_kept_for_some_weeks() -> None:
    """In which the clocks change in America and in Europe."""
    check(play(32, 2, scanners=4, schedules=30), most=0.3)
