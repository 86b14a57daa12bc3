"""A year of the calendar, and plans against what then happened; in virtual time."""

from __future__ import annotations

from time import process_time

from support.calendar_judge import played
from support.plan_truth import Guess, guesses, share
from tests.bench.figures import Figure
from tests.bench.submissions import OURS

DAYS = 365
SCANNERS, SCHEDULES = 20, 200
FLEETS = ((2, 3, 30, 240), (6, 2, 60, 150), (20, 3, 240, 75))
"""Scanners, slots of each, schedules, days."""


def measure() -> list[Figure]:
    begun = process_time()
    judge = played(DAYS, 1, scanners=SCANNERS, schedules=SCHEDULES)
    took = process_time() - begun
    inside, pausing = judge.overruns()
    scans = len(judge.year.lives)
    whole = f"{SCHEDULES} schedules on {SCANNERS} scanners, {DAYS} days"
    return [
        Figure(what=f"{whole}: processor time", who=OURS, unit="s", value=took),
        Figure(what=f"{whole}: processor time for each scan", who=OURS, unit="ms",
               value=1000 * took / scans),
        Figure(what=f"{whole}: of the time that pausing takes, in blackouts", who=OURS, unit="%",
               value=100 * inside / pausing),
        *(figure for fleet in FLEETS for figure in planned(*fleet)),
    ]  # fmt: skip


def planned(scanners: int, slots: int, schedules: int, days: int) -> list[Figure]:
    """How many of what plans announced came true; the intervals are those of 80 %."""
    starts, ends = guesses(scanners, slots, schedules, days)
    waits = [each for each in starts if not each.certain]
    fleet = f"{scanners} scanners of {slots} slots"
    return [
        _within(f"{fleet}: starts within their interval", starts),
        _within(f"{fleet}: of those that wait", waits),
        _within(f"{fleet}: ends within their interval", ends),
    ]


def _within(what: str, found: list[Guess]) -> Figure:
    return Figure(what=f"{what} (of {len(found):,})", who="plan", unit="%",
                  value=100 * share(found))  # fmt: skip
