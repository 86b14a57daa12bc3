"""The state of the pool at one moment, and questions about it that change nothing."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from nessus_sched.core.pool.breaker import BreakerSettings
from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.overlap import OverlapGuard
from nessus_sched.core.pool.queues import Queues, Reach, Waiting
from nessus_sched.core.pool.routing import Lanes, Reachability
from nessus_sched.core.pool.scanners import Lane, ScannerSpec


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
    progress was last told, None when it never was.
    """

    entry: QueueEntry
    scanner_id: str
    since: float
    reached: Mapping[int, float] = attrs.field(factory=dict)
    seen: float | None = None

    @property
    def tenth(self) -> int:
        """The last tenth of progress that it reached, 0 to 9."""
        return max(self.reached, default=0)

    def at(self, progress: int, now: float) -> Active:
        """With that progress (0..100) seen now."""
        seen, tenth, reached = now - self.since, min(progress // 10, 9), self.reached
        if tenth > self.tenth:
            reached = {**reached, tenth: seen}
        return attrs.evolve(self, reached=reached, seen=seen)


@attrs.define(kw_only=True, eq=False)
class Board:
    """Invariant: a task is in `queues` or in `active` or in neither, never in both; the
    active ones of a scanner are exactly the borrowers of its lane's slots."""

    queues: Queues
    guard: OverlapGuard
    breaker: BreakerSettings
    """For the scanners that are added."""
    lanes: Lanes = attrs.field(factory=dict)
    active: dict[str, Active] = attrs.field(factory=dict)
    reachability: Reachability = attrs.field(factory=lambda: Reachability({}))
    paused: bool = False
    restoring: bool = False
    """Not all queued tasks of the former life are in their queues yet."""
    abandoned: dict[str, str] = attrs.field(factory=dict)
    """The scanner of each claim (see `Pool.claim`) of a scan that may still run there."""

    def lane(self, scanner_id: str) -> Lane:
        """Raises `UnknownScanner`."""
        try:
            return self.lanes[scanner_id]
        except KeyError:
            raise UnknownScanner(scanner_id) from None

    def lane_or_removed(self, scanner_id: str) -> Lane:
        """The scanner's lane; a removed one when the configuration does not have it (a task
        from before a restart may name it)."""
        lane = self.lanes.get(scanner_id)
        if lane is None:
            spec = ScannerSpec(scanner_id=scanner_id, limit=0)
            lane = self.lanes[scanner_id] = Lane(spec, self.breaker, removed=True)
        return lane

    def forget_if_unused(self, lane: Lane) -> None:
        """Forgets a removed scanner where nothing runs and for which nothing waits."""
        idle = lane.slots.active == 0 and not self.queues.own_length(lane.scanner_id)
        if lane.removed and idle:
            self.lanes.pop(lane.scanner_id, None)

    def lanes_of(self, reach: Reach) -> list[Lane]:
        """In the order of the registry, so that choices reproduce."""
        if len(reach) == 1:
            (scanner_id,) = reach
            return [self.lanes[scanner_id]] if scanner_id in self.lanes else []
        return [lane for scanner_id, lane in self.lanes.items() if scanner_id in reach]

    def could_run(self, waiting: Waiting) -> bool:
        """Some scanner would take it as soon as it had a free slot."""
        return any(lane.usable for lane in self.lanes_of(waiting.reach))

    def blocker(self, waiting: Waiting) -> str | None:
        """The task whose targets overlap, and which has to end first."""
        return self.guard.blocker(waiting, self._goes_before)

    def _goes_before(self, claimant: str, waiting: Waiting) -> bool:
        other = self.queues.get(claimant)
        return other is not None and other.key < waiting.key and self.could_run(other)
