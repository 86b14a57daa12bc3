"""The pool's mutable state, with read-only queries."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import attrs

from nessus_sched.core.calendar.timetable import Timetable, Verdict
from nessus_sched.core.pool.breaker import BreakerSettings
from nessus_sched.core.pool.durations import Durations
from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.network_limits import NetworkLimits
from nessus_sched.core.pool.overlap import OverlapGuard
from nessus_sched.core.pool.queues import Queues, Reach, Waiting
from nessus_sched.core.pool.routing import PoolScanners, Reachability
from nessus_sched.core.pool.scanners import PoolScanner, ScannerSpec


class UnknownScanner(KeyError):
    """The pool has no scanner of that id."""


@attrs.frozen(kw_only=True)
class PoolSettings:
    """`fairness_after` and `ageing_after` in seconds; see `Queues`."""

    fairness_after: float = 900.0
    ageing_after: float = 3600.0
    overlap_guard: bool = True
    breaker: BreakerSettings = attrs.field(factory=BreakerSettings)


@attrs.frozen(kw_only=True)
class Active:
    """A task that holds a slot of `scanner_id`, since `since` (epoch seconds).

    `reached` has the seconds that it took to each tenth of progress, `seen` those until
    `progress` (0..100) was last told, None when it never was. Seconds spent paused do not count:
    `paused` are those of pauses that are over, `paused_since` is when the present one began.
    """

    entry: QueueEntry
    scanner_id: str
    since: float
    reached: Mapping[int, float] = attrs.field(factory=dict)
    seen: float | None = None
    progress: int | None = None
    paused: float = 0.0
    paused_since: float | None = None

    def ran(self, now: float) -> float:
        """Seconds that it has been running."""
        until = now if self.paused_since is None else self.paused_since
        return max(0.0, until - self.since - self.paused)

    @property
    def tenth(self) -> int:
        """The last tenth of progress that it reached, 0 to 9."""
        return max(self.reached, default=0)

    def at(self, progress: int, now: float) -> Active:
        """With that progress (0..100) seen now."""
        seen, tenth, reached = self.ran(now), min(progress // 10, 9), self.reached
        if tenth > self.tenth:
            reached = {**reached, tenth: seen}
        return attrs.evolve(self, reached=reached, seen=seen, progress=progress)


@attrs.define(kw_only=True, eq=False)
class PoolState:
    """Invariant: a task is never in both `queues` and `active`, and the active tasks of a scanner
    are exactly the borrowers of its slots."""

    queues: Queues
    guard: OverlapGuard
    breaker: BreakerSettings
    """For the scanners that are added."""
    scanners: PoolScanners = attrs.field(factory=dict)
    active: dict[str, Active] = attrs.field(factory=dict)
    reachability: Reachability = attrs.field(factory=lambda: Reachability({}))
    paused: bool = False
    restoring: bool = False
    """Not all queued tasks of the former life are in their queues yet."""
    durations: Durations = attrs.field(factory=Durations)
    """Of finished scans; after a restart, fed with those of before."""
    network_limits: NetworkLimits = attrs.field(factory=NetworkLimits)
    timetable: Timetable = attrs.field(factory=Timetable)
    wall: Callable[[float], float] = lambda now: now
    """The wall clock's time at a moment of the pool's clock."""
    deferred: dict[str, float] = attrs.field(factory=dict)
    """When the tasks parked at each key may be looked at again, by the wall clock."""
    abandoned: dict[str, str] = attrs.field(factory=dict)
    """The scanner of each claim (see `Pool.claim`) of a scan that may still run there."""

    def scanner(self, scanner_id: str) -> PoolScanner:
        """Raises `UnknownScanner`."""
        try:
            return self.scanners[scanner_id]
        except KeyError:
            raise UnknownScanner(scanner_id) from None

    def scanner_or_removed(self, scanner_id: str) -> PoolScanner:
        """A removed one if it is not in the configuration: a task from before a restart may
        name it."""
        scanner = self.scanners.get(scanner_id)
        if scanner is None:
            spec = ScannerSpec(scanner_id=scanner_id, limit=0)
            scanner = self.scanners[scanner_id] = PoolScanner(spec, self.breaker, removed=True)
        return scanner

    def forget_if_unused(self, scanner: PoolScanner) -> None:
        """Forgets a removed scanner where nothing runs and for which nothing waits."""
        idle = scanner.slots.active == 0 and not self.queues.own_length(scanner.scanner_id)
        if scanner.removed and idle:
            self.scanners.pop(scanner.scanner_id, None)

    def scanners_of(self, reach: Reach) -> list[PoolScanner]:
        """In the order of the registry, so that choices reproduce."""
        if len(reach) == 1:
            (scanner_id,) = reach
            return [self.scanners[scanner_id]] if scanner_id in self.scanners else []
        return [scanner for scanner_id, scanner in self.scanners.items() if scanner_id in reach]

    def could_run(self, waiting: Waiting) -> bool:
        """Some scanner would take it as soon as it had a free slot."""
        return any(scanner.usable for scanner in self.scanners_of(waiting.reach))

    def blocker(self, waiting: Waiting) -> str | None:
        """The task whose targets overlap, and which has to end first."""
        return self.guard.blocker(waiting, self._goes_before)

    def _goes_before(self, claimant: str, waiting: Waiting) -> bool:
        other = self.queues.get(claimant)
        return other is not None and other.key < waiting.key and self.could_run(other)

    def has_time(self, entry: QueueEntry, scanner_id: str, now: float) -> bool:
        """Whether windows and blackouts allow its scan there for as long as it should take."""
        if not self.timetable.rules and entry.between is None:
            return True
        return self.lasts(self.may_scan(entry, scanner_id, now), entry, scanner_id, now)

    def no_time_until(self, entry: QueueEntry, now: float) -> float | None:
        """Until when no scanner that may run it has time for it, by the wall clock (inf: for a
        year); None if one has, busy or not."""
        moments: list[float] = []
        for scanner in self.scanners_of(self.reachability.reach(entry)):
            found = self.may_scan(entry, scanner.scanner_id, now)
            if self.lasts(found, entry, scanner.scanner_id, now):
                return None
            moments.append(math.inf if found.until is None else found.until)
        return min(moments, default=math.inf)

    def fitting(self, entry: QueueEntry, scanner_id: str, now: float) -> int:
        """How many of its targets a scan there can finish before a window ends."""
        if not self.timetable.rules and entry.between is None:
            return entry.packed.address_count
        found = self.may_scan(entry, scanner_id, now)
        if not found.allowed or found.until is None:
            return entry.packed.address_count
        return self.durations.fitting(entry, scanner_id, found.until - self.wall(now))

    def may_scan(self, entry: QueueEntry, scanner_id: str, now: float) -> Verdict:
        """What windows and blackouts say of its scan on a scanner of its pool."""
        return self.timetable.scan(
            entry.packed, entry.between, scanner_id, entry.pool, self.wall(now)
        )

    def lasts(self, verdict: Verdict, entry: QueueEntry, scanner_id: str, now: float) -> bool:
        """Whether the verdict allows a scan for as long as it should take."""
        if not verdict.allowed or verdict.until == math.inf:
            return verdict.allowed
        return verdict.leaves(self.durations.least(entry, scanner_id), self.wall(now))
