"""A year of 200 schedules in three zones on 20 scanners that take their time to pause, driven
through what decides about firings, starts and pauses; and plans against what then happened."""

from __future__ import annotations

import os

import pytest

from support.calendar_judge import Judge, played
from support.plan_truth import guesses, share

DAYS = int(os.environ.get("CALENDAR_DAYS", "365"))
"""A year takes about a minute of computing."""


def check(found: Judge, *, most: float) -> None:
    """At most this share of the time that pausing takes lies in blackouts."""
    found.firings()
    found.changes_of_clocks()
    inside, pausing = found.overruns()
    assert inside < most * pausing, "scans are paused in advance"
    found.starts()
    assert all(life.over for life in found.year.lives.values())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_calendar_is_kept_for_a_year() -> None:
    """Another with CALENDAR_DAYS=3650, say."""
    found = played(DAYS, 1, scanners=20, schedules=200)
    # Until a scanner has paused some scans, its lead is a guess.
    check(found, most=0.1 if DAYS >= 365 else 0.2)
    assert len(found.year.lives) > 100 * DAYS


def test_the_calendar_is_kept_for_some_weeks() -> None:
    """In which the clocks change in America and in Europe."""
    check(played(32, 2, scanners=4, schedules=30), most=0.3)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("scanners", "slots", "schedules", "days"), [(2, 3, 30, 240), (6, 2, 60, 150), (20, 3, 240, 75)]
)
def test_plans_come_true(scanners: int, slots: int, schedules: int, days: int) -> None:
    """About 80 % of what happens lies within the 80 % intervals. More do where it is certain that
    a slot is free: then the interval is a moment, and starts are counted apart."""
    starts, ends = guesses(scanners, slots, schedules, days)
    waits = [each for each in starts if not each.certain]
    shown = {"starts": share(starts), "waits": share(waits), "ends": share(ends)}
    print(f"{scanners} x {slots}: {len(ends)} scans, {len(waits)} waits, {shown}")
    assert 0.75 <= shown["ends"] <= 0.85
    assert shown["starts"] >= 0.75
    assert len(waits) < 100 or 0.75 <= shown["waits"] <= 0.95
