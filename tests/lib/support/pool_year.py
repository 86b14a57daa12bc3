"""Long runs of the pool in virtual time, with what is expected of it counted on the side."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from math import exp
from random import Random

import attrs

from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.estimates import Estimate
from nessus_sched.core.pool.scanners import ScannerSpec
from nessus_sched.core.pool.state import PoolSettings
from nessus_sched.core.task import Priority, ScanKind
from support.pools import WatchedPool, entry

HOUR = 3600.0
DAY = 24 * HOUR
KINDS = {ScanKind.QUICK: 0.3, ScanKind.BASIC: 2.0, ScanKind.TRUSTED: 4.0}
"""Median hours that a scan of each kind takes."""


@attrs.frozen
class Guess:
    """What was estimated for a task, when, and when it really started."""

    at: float
    estimate: Estimate
    started: float

    @property
    def inside(self) -> bool:
        return self.estimate.low <= self.started - self.at <= self.estimate.high

    @property
    def early(self) -> bool:
        return self.started - self.at < self.estimate.seconds


class Year:
    """`load` is the share of all slots that the arrivals keep busy in the long run; work
    comes in by day more than by night. Every `guess_every`-th task that has to wait is
    estimated. `overlaps`: targets meet and priorities differ, which no
    estimate can foresee."""

    def __init__(
        self,
        specs: Sequence[ScannerSpec],
        *,
        seed: int,
        load: float = 0.8,
        guess_every: int = 0,
        pinned: float = 0.2,
        spread: float = 0.6,
        overlaps: bool = True,
    ) -> None:
        self.random = Random(seed)
        settings = PoolSettings(overlap_guard=overlaps)
        self.pool = WatchedPool(specs, settings)
        self.limits = {each.scanner_id: each.limit for each in specs}
        self.rate = load * sum(self.limits.values()) / (_mean_hours(spread) * HOUR)
        self.guess_every, self.pinned, self.spread = guess_every, pinned, spread
        self.overlaps = overlaps
        self.priorities = [1, 8, 1] if overlaps else [0, 1, 0]
        self.ends: list[tuple[float, str]] = []
        self.totals: dict[str, tuple[float, float]] = {}
        self.busy: Counter[str] = Counter()
        self.addresses: set[int] = set()
        self.guessed: dict[str, tuple[float, Estimate]] = {}
        self.guesses: list[Guess] = []
        self.asked = self.unknown = self.accepted = self.finished = 0
        self.longest_wait = 0.0

    def run(self, days: float) -> None:
        arrivals = self._arrivals(days * DAY)
        next_arrival = next(arrivals, None)
        while next_arrival is not None or self.ends:
            if next_arrival is not None and (not self.ends or next_arrival < self.ends[0][0]):
                now = next_arrival
                self._submit(now)
                next_arrival = next(arrivals, None)
            else:
                now, task_id = heapq.heappop(self.ends)
                self._end(task_id, now)
            self._drive(now)
        assert self.finished == self.accepted
        assert not any(self.busy.values())

    def _arrivals(self, until: float) -> Iterator[float]:
        now = 0.0
        while True:
            by_day = 1.5 if (now % DAY) / HOUR > 8 and (now % DAY) / HOUR < 20 else 0.5
            now += self.random.expovariate(self.rate * by_day)
            if now > until:
                return
            yield now

    def _submit(self, now: float) -> None:
        random, names = self.random, list(self.limits)
        self.accepted += 1
        # Of an address space in which one scan in a few hundred meets another.
        first = random.randrange(2**16) if self.overlaps else self.accepted
        new = entry(
            self.accepted,
            f"10.{first >> 16}.{first >> 8 & 255}.{first & 255}",
            accepted_at=now,
            kind=random.choice(list(KINDS)),
            priority=random.choices(list(Priority), self.priorities)[0],
            pinned=random.choice(names) if random.random() < self.pinned else None,
        )
        placement = self.pool.place(new, now)
        if self.guess_every and placement.reason is not None:
            self.asked += 1
            if self.asked % self.guess_every == 0:
                self._guess(new.task_id, now)

    def _guess(self, task_id: str, now: float) -> None:
        for running, (since, total) in self.totals.items():
            self.pool.progressed(running, int(100 * ((now - since) / total) ** 1.2), now)
        estimate = self.pool.estimate(task_id, now)
        if estimate is None:
            self.unknown += 1
        else:
            self.guessed[task_id] = (now, estimate)

    def _end(self, task_id: str, now: float) -> None:
        active = self.pool.active(task_id)
        assert active is not None, f"{task_id} is not running"
        self.busy[active.scanner_id] -= 1
        self.addresses.discard(active.entry.targets.ranges[0][0])
        del self.totals[task_id]
        self.pool.release(task_id, now, finished=True)
        self.finished += 1

    def _drive(self, now: float) -> None:
        while self.pool.woken:
            scanner_id = self.pool.woken.pop()
            while (taken := self.pool.take(scanner_id, now)) is not None:
                self._start(taken, scanner_id, now)

    def _start(self, taken: QueueEntry, scanner_id: str, now: float) -> None:
        self.busy[scanner_id] += 1
        assert self.busy[scanner_id] <= self.limits[scanner_id]
        address = taken.targets.ranges[0][0]
        assert address not in self.addresses
        self.addresses.add(address)
        assert taken.pinned in (None, scanner_id)
        took = HOUR * KINDS[taken.kind] * self.random.lognormvariate(0, self.spread)
        self.totals[taken.task_id] = (now, took)
        heapq.heappush(self.ends, (now + took, taken.task_id))
        self.longest_wait = max(self.longest_wait, now - taken.accepted_at)
        if taken.task_id in self.guessed:
            at, estimate = self.guessed.pop(taken.task_id)
            self.guesses.append(Guess(at, estimate, now))


def _mean_hours(spread: float) -> float:
    median = sum(KINDS.values()) / len(KINDS)
    return median * exp(spread**2 / 2)


def share(values: Iterator[bool]) -> float:
    counted = Counter(values)
    return counted[True] / max(1, counted.total())
