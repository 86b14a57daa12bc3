"""Plays the coming hours through once: which scan starts when and where, and when it ends.

Like the pool, it gives a free slot to the scan that is due first among those that windows and
blackouts leave time for. Priorities that change, targets in common and failures are left out.
"""

from __future__ import annotations

import heapq
import math
from bisect import insort
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from random import Random
from typing import Final

import attrs

from nessus_sched.core.calendar.schedule import Overlap
from nessus_sched.core.calendar.timetable import AtEnd, Timetable, Verdict
from nessus_sched.core.targets.packed import PackedTargets

STEPS: Final = 500
"""Closings and openings that a scan is followed through."""


@attrs.frozen(kw_only=True)
class Job:
    """A scan: `ready` is when it may start at the earliest, `due` its place in the queue (both
    epoch seconds). `durations` are seconds that like scans took, by scanner, empty where nothing is
    known; `uppers` what it must have to be started in a window. `scans`: how many parts of that
    size it has. `overlap`: what becomes of it while an earlier one of its `series` has not ended.
    """

    name: str
    ready: float
    due: float = attrs.field(default=attrs.Factory(lambda self: self.ready, takes_self=True))
    firing: bool
    targets: PackedTargets
    between: str | None
    pool: str
    durations: Mapping[str, tuple[float, ...]]
    uppers: Mapping[str, float | None] = attrs.field(factory=dict)
    scans: int = 1
    groups: tuple[tuple[frozenset[str], int], ...] = ()
    """How many of its scans which scanners can run, where they do not all reach the same targets;
    empty if any of them can run any scan."""
    series: str = ""
    overlap: Overlap | None = None
    deadline: float | None = None
    """When it is canceled (epoch seconds)."""
    refused: str = ""
    """Why it will not be accepted when it is due, by what is configured now."""
    key: str = ""
    """The same in all plans, whether it is a firing or already a task."""

    @property
    def known(self) -> bool:
        return any(self.durations.values())

    def verdict(
        self, timetable: Timetable, scanner_id: str, moment: float, *, started: bool = False
    ) -> Verdict:
        return timetable.scan(
            self.targets, self.between, scanner_id, self.pool, moment, started=started
        )

    def fits(self, verdict: Verdict, scanner_id: str, moment: float) -> bool:
        return verdict.leaves(self.uppers.get(scanner_id), moment)


@attrs.frozen(kw_only=True)
class Slot:
    """A slot of a scanner, and the scan that is running there, whose `durations` are the seconds
    that it may still take."""

    scanner_id: str
    running: Job | None = None


@attrs.frozen
class Placed:
    """A scan on a scanner (epoch seconds)."""

    scanner_id: str
    begin: float
    end: float


def median(values: Sequence[float]) -> float:
    """The one in the middle, the later one of two."""
    return sorted(values)[len(values) // 2]


@attrs.define(kw_only=True, eq=False)
class Outcome:
    """What became of a job: `start` of its first scan and `end` of its last (epoch seconds; inf:
    none within a year), or `skipped` because an earlier one of its series had not ended, or
    `canceled` because a later one replaced it."""

    job: Job
    start: float = math.inf
    end: float = math.inf
    scanners: set[str] = attrs.field(factory=set)
    paused: bool = False
    skipped: bool = False
    canceled: bool = False
    ended: bool = False
    placed: list[Placed] = attrs.field(factory=list)
    """Its scans, once they have ended."""
    running: list[str] = attrs.field(factory=list)
    """The scanners on which its scans are running now."""
    waiting: Counter[frozenset[str]] = attrs.field(factory=Counter)
    """The scans that have not started, by the scanners that can run them."""
    left: float | None = None
    """Seconds to go of a scan that was stopped."""
    following: Outcome | None = None
    """A later one of its series that waits for its end."""

    @property
    def live(self) -> bool:
        return not (self.ended or self.skipped or self.canceled)

    @property
    def to_start(self) -> int:
        return self.waiting.total()

    def scanners_to_start(self) -> list[str]:
        """Those that could run any of the scans that have not started."""
        among = [group for group, count in self.waiting.items() if count]
        return [each for each in self.job.durations if any(each in group for group in among)]

    def taken_by(self, scanner_id: str) -> None:
        """A scanner starts one of its scans. Those that fewer scanners can run go first."""
        able = [group for group, left in self.waiting.items() if scanner_id in group and left]
        self.waiting[min(able, key=_narrow)] -= 1

    def given_back_by(self, scanner_id: str) -> None:
        """A scanner has been stopped, and the rest of its scan has to start again."""
        able = [group for group in self.waiting if scanner_id in group]
        # A job that ran from the beginning has no groups.
        self.waiting[min(able, key=_narrow, default=frozenset(self.job.durations))] += 1


def _narrow(group: frozenset[str]) -> tuple[int, list[str]]:
    return len(group), sorted(group)


def _to_start(job: Job) -> Counter[frozenset[str]]:
    found = Counter[frozenset[str]]()
    for scanners, scans in job.groups or ((frozenset(job.durations), job.scans),):
        found[scanners] += scans
    return found


class Round:
    def __init__(
        self,
        jobs: Sequence[Job],
        slots: Sequence[Slot],
        timetable: Timetable,
        now: float,
        random: Random | None,
    ) -> None:
        """Without `random`, everything takes as long as it usually does."""
        self._timetable, self._now, self._random = timetable, now, random
        self._free, self._capacity = Counter[str](), Counter(each.scanner_id for each in slots)
        self._numbers = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._waiting: list[tuple[float, int, Outcome]] = []
        self._latest: dict[str, Outcome] = {}
        for slot in slots:
            self._free[slot.scanner_id] += 1
            if slot.running is not None:
                running = Outcome(job=slot.running)
                self._latest[slot.running.series] = running
                self._start(running, slot.scanner_id)
        self.outcomes = [Outcome(job=job, waiting=_to_start(job)) for job in jobs]
        for each in self.outcomes:
            if each.job.known:
                self._at(max(each.job.ready, now), partial(self._arrive, each))

    def play(self) -> list[Outcome]:
        """What becomes of each job."""
        while self._events:
            self._now = self._events[0][0]
            while self._events and self._events[0][0] == self._now:
                heapq.heappop(self._events)[2]()
            while any(self._try(place) for place in list(self._waiting)):
                pass  # a part that has started is followed by the next
        return self.outcomes

    def _at(self, moment: float, event: Callable[[], None]) -> None:
        if moment < math.inf:
            heapq.heappush(self._events, (moment, next(self._numbers), event))

    def _arrive(self, job: Outcome) -> None:
        before = self._latest.get(job.job.series)
        if before is not None and before.live and job.job.overlap is not None:
            if job.job.overlap is Overlap.SKIP:
                job.skipped = True
                return
            if job.job.overlap is Overlap.QUEUE_ONE:
                if before.following is not None:
                    before.following.skipped = True
                before.following = job
                return
            self._cancel(before)
        if job.job.series:
            self._latest[job.job.series] = job
        self._wait(job, job.job.due)

    def _cancel(self, job: Outcome) -> None:
        job.canceled = True
        self._free.update(job.running)
        self._waiting = [each for each in self._waiting if each[2] is not job]

    def _wait(self, job: Outcome, due: float) -> None:
        if job.live:
            insort(self._waiting, (due, next(self._numbers), job))

    def _try(self, place: tuple[float, int, Outcome]) -> bool:
        """Starts a job that waits if it can, or else lets it wait for an opening. Whether it may
        start once more."""
        due, _, job = place
        if not +self._free:
            return False
        verdicts = {each: self._verdict(job, each) for each in job.scanners_to_start()}
        fitting = [name for name, found in verdicts.items() if job.job.fits(found, name, self._now)]
        free = [each for each in fitting if self._free[each] > 0]
        if free:
            self._waiting.remove(place)
            scanner_id = min(free, key=self._load)
            job.taken_by(scanner_id)
            self._start(job, scanner_id)
            if job.to_start:
                self._wait(job, self._now + job.job.due - job.job.ready)
            return job.to_start > 0
        if not fitting:
            self._waiting.remove(place)
            until = min((each.until or math.inf for each in verdicts.values()), default=math.inf)
            self._at(until, partial(self._wait, job, due))
        return False

    def _verdict(self, job: Outcome, scanner_id: str) -> Verdict:
        return job.job.verdict(self._timetable, scanner_id, self._now)

    def _load(self, scanner_id: str) -> tuple[float, float]:
        """Of equal ones any: which had its last turn longest ago is a matter of chance."""
        turn = 0.0 if self._random is None else self._random.random()
        return -self._free[scanner_id] / self._capacity[scanner_id], turn

    def _start(self, job: Outcome, scanner_id: str) -> None:
        takes, job.left = job.left, None
        if takes is None:
            others = (each for each in job.job.durations.values() if each)
            known = job.job.durations[scanner_id] or next(others)
            takes = median(known) if self._random is None else self._random.choice(known)
        self._free[scanner_id] -= 1
        job.running.append(scanner_id)
        job.start = min(job.start, self._now)
        job.scanners.add(scanner_id)
        self._follow(job, scanner_id, takes)

    def _follow(self, job: Outcome, scanner_id: str, takes: float) -> None:
        """Through closings and openings to its end, or until a window has it stopped."""
        begin = moment = self._now
        paused = False
        for _ in range(STEPS):
            found = job.job.verdict(self._timetable, scanner_id, moment, started=not paused)
            if found.until is None:
                return
            if found.allowed:
                if moment + takes <= found.until:
                    scan = Placed(scanner_id, begin, moment + takes)
                    self._at(scan.end, partial(self._leave, job, scan, None))
                    return
                takes -= found.until - moment
                paused = False
            elif not paused and found.rule is not None and found.rule.at_end is AtEnd.STOP:
                self._at(
                    moment, partial(self._leave, job, Placed(scanner_id, begin, moment), takes)
                )
                return
            else:
                paused = job.paused = True
            moment = found.until

    def _leave(self, job: Outcome, scan: Placed, left: float | None) -> None:
        """A scan has ended, or was stopped with some seconds left to run."""
        if job.canceled:
            return
        self._free[scan.scanner_id] += 1
        job.running.remove(scan.scanner_id)
        job.placed.append(scan)
        if left is not None:
            job.left = left
            job.given_back_by(scan.scanner_id)
            self._wait(job, job.job.due)
        elif not (job.running or job.to_start):
            job.ended, job.end = True, self._now
            if job.following is not None and job.following.live:
                self._arrive(job.following)
