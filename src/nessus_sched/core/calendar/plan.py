"""What will fit: plays the coming hours through, with windows, blackouts and measured durations.

A plan is a forecast: every round draws a duration for each scan from those measured, and gives
each in turn to the scanner where it could start first. What scanners do not know beforehand
(priorities changed, overlapping targets, failures) is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

import attrs

from nessus_sched.core.calendar.timetable import Rule, Timetable
from nessus_sched.core.targets.packed import PackedTargets

ROUNDS: Final = 19
_LOW: Final = 1
"""With 19 rounds, the next value lies between the 2nd from either end 16 times in 20."""
_STEPS: Final = 500
"""Closings and openings that a scan is followed through."""


@attrs.frozen(kw_only=True)
class Slot:
    """A slot of a scanner, and when it becomes free: possible moments, equally likely (epoch
    seconds). `task_id` is the task whose scan has it now."""

    scanner_id: str
    free: tuple[float, ...]
    task_id: str | None = None


@attrs.frozen(kw_only=True)
class Job:
    """A scan to come: `ready` is when it may start at the earliest (epoch seconds). `durations`
    are seconds that like scans took, by scanner, empty where nothing is known; `upper` what it
    must have to be started in a window.`scans`: how many parts of that size it has."""

    name: str
    ready: float
    firing: bool
    targets: PackedTargets
    between: str | None
    pool: str
    durations: dict[str, tuple[float, ...]]
    upper: float | None = None
    scans: int = 1
    key: str = ""
    """The same in all plans, whether it is a firing or already a task."""


@attrs.frozen(kw_only=True)
class Interval:
    """The median, and the limits of the middle 80 % (epoch seconds; inf: none within a year)."""

    median: float
    low: float
    high: float


@attrs.frozen
class Placed:
    """A scan on a scanner (epoch seconds)."""

    scanner_id: str
    begin: float
    end: float


@attrs.frozen(kw_only=True)
class Planned:
    """`start` of the first scan of a job and `end` of its last; None when too little is known.
    `scanners` it would use. `closed` is the rule that makes it wait, `never`: there is no opening
    for a year; `paused`: in most rounds a window ends while it runs. `placed` are its scans
    if each scan takes as long as it usually does: an example to draw."""

    job: Job
    scanners: tuple[str, ...] = ()
    start: Interval | None = None
    end: Interval | None = None
    closed: Rule | None = None
    never: bool = False
    paused: bool = False
    placed: tuple[Placed, ...] = ()


Pick = Callable[[Sequence[float]], float]
"""Chooses one of several possible values."""


@attrs.define
class _Outcome:
    """One round's for one job."""

    start: float = math.inf
    end: float = -math.inf
    placed: list[Placed] = attrs.field(factory=list)
    paused: bool = False


def plan(
    jobs: Sequence[Job], slots: Sequence[Slot], timetable: Timetable, now: float, seed: int = 0
) -> list[Planned]:
    """The jobs with their times, in the order in which they could start if all slots were free: one
    that waits for the night must not hold up what can run before it."""
    ordered = sorted(jobs, key=lambda job: (_earliest(job, timetable, now), job.ready))
    random = Random(seed)  # noqa: S311
    rounds = [_play(ordered, slots, timetable, now, random.choice) for _ in range(ROUNDS)]
    usual = _play(ordered, slots, timetable, now, median)
    return [
        attrs.evolve(
            _summary(job, [played[place] for played in rounds], timetable, now),
            placed=() if example is None else tuple(example.placed),
        )
        for place, (job, example) in enumerate(zip(ordered, usual, strict=True))
    ]


def _play(
    jobs: Sequence[Job], slots: Sequence[Slot], timetable: Timetable, now: float, pick: Pick
) -> list[_Outcome | None]:
    free = [(pick(slot.free), slot.scanner_id) for slot in slots]
    return [_play_job(job, free, timetable, now, pick) for job in jobs]


def _play_job(
    job: Job, free: list[tuple[float, str]], timetable: Timetable, now: float, pick: Pick
) -> _Outcome | None:
    """None if the duration is not known."""
    if not any(job.durations.values()):
        return None
    outcome = _Outcome()
    for _ in range(job.scans):
        best: tuple[float, int] | None = None
        for place, (at, scanner_id) in enumerate(free):
            if scanner_id not in job.durations:
                continue
            begin = _begin(job, scanner_id, max(at, job.ready, now), timetable)
            if begin is not None and (best is None or begin < best[0]):
                best = begin, place
        if best is None:
            outcome.end = math.inf
            return outcome
        begin, place = best
        scanner_id = free[place][1]
        known = job.durations[scanner_id] or next(each for each in job.durations.values() if each)
        end, paused = _end(job, scanner_id, begin, pick(known), timetable)
        free[place] = (end, scanner_id)
        outcome.start, outcome.end = min(outcome.start, begin), max(outcome.end, end)
        outcome.placed.append(Placed(scanner_id, begin, end))
        outcome.paused |= paused
    return outcome


def _earliest(job: Job, timetable: Timetable, now: float) -> float:
    begins = (_begin(job, each, max(job.ready, now), timetable) for each in job.durations)
    return min((begin for begin in begins if begin is not None), default=math.inf)


def _begin(job: Job, scanner_id: str, moment: float, timetable: Timetable) -> float | None:
    """When its scan may start on a scanner; None if not within a year."""
    for _ in range(_STEPS):
        found = timetable.scan(job.targets, job.between, scanner_id, job.pool, moment)
        if found.until is None:
            return None
        if found.leaves(job.upper, moment):
            return moment
        moment = found.until
    return None


def _end(
    job: Job, scanner_id: str, begin: float, takes: float, timetable: Timetable
) -> tuple[float, bool]:
    """When a scan ends that is paused whenever it may not run, and whether it is."""
    moment, paused = begin, False
    for _ in range(_STEPS):
        found = timetable.scan(job.targets, job.between, scanner_id, job.pool, moment)
        if found.until is None:
            return math.inf, True
        if found.allowed:
            if moment + takes <= found.until:
                return moment + takes, paused
            takes -= found.until - moment
        moment, paused = found.until, True
    return math.inf, True


def _summary(
    job: Job, outcomes: Sequence[_Outcome | None], timetable: Timetable, now: float
) -> Planned:
    moment = max(job.ready, now)
    verdicts = [
        timetable.scan(job.targets, job.between, scanner_id, job.pool, moment)
        for scanner_id in job.durations
    ]
    closed = None
    if verdicts and not any(verdict.allowed for verdict in verdicts):
        closed = verdicts[0].rule
    played = [each for each in outcomes if each is not None]
    if not played:
        return Planned(job=job, closed=closed, never=all(each.until is None for each in verdicts))
    return Planned(
        job=job,
        scanners=tuple(sorted({scan.scanner_id for each in played for scan in each.placed})),
        start=_interval([each.start for each in played]),
        end=_interval([each.end for each in played]),
        closed=closed,
        never=all(each.end == math.inf for each in played),
        paused=2 * sum(each.paused for each in played) > len(played),
    )


def median(values: Sequence[float]) -> float:
    """The one in the middle, the later one of two."""
    return sorted(values)[len(values) // 2]


def _interval(values: Sequence[float]) -> Interval:
    ordered = sorted(values)
    return Interval(median=median(ordered), low=ordered[_LOW], high=ordered[-1 - _LOW])
