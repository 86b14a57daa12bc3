"""What will fit: plays the coming hours through many times, with windows, blackouts and durations
drawn from those measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Final

import attrs

from nessus_sched.core.calendar.playing import (
    STEPS,
    Job,
    Outcome,
    Placed,
    Round,
    Slot,
    median,
)
from nessus_sched.core.calendar.timetable import Rule, Timetable

ROUNDS: Final = 19
"""The next value lies between the 2nd from either end 16 times in 20."""
_TAIL: Final = 0.1


@attrs.frozen(kw_only=True)
class Interval:
    """The median, and the limits of the middle 80 % (epoch seconds; inf: none within a year)."""

    median: float
    low: float
    high: float


@attrs.frozen(kw_only=True)
class Planned:
    """`start` of the first scan of a job and `end` of its last; None when too little is known, or
    when it is `skipped`: in most rounds the one before has not ended by then, or a later one
    replaces it. `scanners` it would use. `closed` is the rule that makes it wait, `never`: there is
    no opening for a year; `paused`: in most rounds a window ends while it runs. `placed` are its
    scans if each scan takes as long as it usually does: an example to draw."""

    job: Job
    scanners: tuple[str, ...] = ()
    start: Interval | None = None
    end: Interval | None = None
    closed: Rule | None = None
    never: bool = False
    paused: bool = False
    skipped: bool = False
    placed: tuple[Placed, ...] = ()


def plan(
    jobs: Sequence[Job], slots: Sequence[Slot], timetable: Timetable, now: float, seed: int = 0
) -> list[Planned]:
    """The jobs with their times, in the order in which they could start if all slots were free."""
    ordered = sorted(jobs, key=lambda job: (_earliest(job, timetable, now), job.ready))
    random = Random(seed)  # noqa: S311
    rounds = [Round(ordered, slots, timetable, now, random).play() for _ in range(ROUNDS)]
    usual = Round(ordered, slots, timetable, now, None).play()
    return [
        attrs.evolve(
            _summary(job, [played[place] for played in rounds], timetable, now),
            placed=tuple(usual[place].placed),
        )
        for place, job in enumerate(ordered)
    ]


def _earliest(job: Job, timetable: Timetable, now: float) -> float:
    begins = (_begin(job, each, max(job.ready, now), timetable) for each in job.durations)
    return min((begin for begin in begins if begin is not None), default=math.inf)


def _begin(job: Job, scanner_id: str, moment: float, timetable: Timetable) -> float | None:
    """When its scan may start on a scanner; None if not within a year."""
    for _ in range(STEPS):
        found = job.verdict(timetable, scanner_id, moment)
        if found.until is None:
            return None
        if job.fits(found, scanner_id, moment):
            return moment
        moment = found.until
    return None


def _summary(job: Job, outcomes: Sequence[Outcome], timetable: Timetable, now: float) -> Planned:
    moment = max(job.ready, now)
    verdicts = [job.verdict(timetable, scanner_id, moment) for scanner_id in job.durations]
    closed = None
    if verdicts and not any(verdict.allowed for verdict in verdicts):
        closed = verdicts[0].rule
    if not job.known:
        return Planned(job=job, closed=closed, never=all(each.until is None for each in verdicts))
    played = [each for each in outcomes if not (each.skipped or each.canceled)]
    if 2 * len(played) <= len(outcomes):
        return Planned(job=job, closed=closed, skipped=True)
    return Planned(
        job=job,
        scanners=tuple(sorted(set[str]().union(*(each.scanners for each in played)))),
        start=_interval([each.start for each in played]),
        end=_interval([each.end for each in played]),
        closed=closed,
        never=all(each.start == math.inf for each in played) and _never(job, timetable, now),
        paused=2 * sum(each.paused for each in played) > len(played),
    )


def _never(job: Job, timetable: Timetable, now: float) -> bool:
    return _earliest(job, timetable, now) == math.inf


def _interval(values: Sequence[float]) -> Interval:
    ordered = sorted(values)
    tail = max(round((len(ordered) + 1) * _TAIL) - 1, 0)
    return Interval(median=median(ordered), low=ordered[tail], high=ordered[-1 - tail])
