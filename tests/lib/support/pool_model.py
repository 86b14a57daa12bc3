"""A tiny, slow and obvious model of the pool: the judge of the real one.

It shares no code with it: sets of addresses instead of ranges, plain lists instead of
ordered keys, and the rules written down once more.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from functools import cache

from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.pool import Pool
from nessus_sched.core.pool.routing import Placement, RoutingCase
from nessus_sched.core.pool.scanners import ScannerSpec
from nessus_sched.core.targets.targets import TargetSet

AGEING = 1000.0
FAIRNESS = 300.0
DELAY_STEPS = {"high": 0, "normal": 1, "low": 2}


@cache
def addresses(targets: TargetSet) -> frozenset[str]:
    """Every address by itself."""
    found: set[str] = set()
    for text in targets.texts:
        if "-" in text:
            first, last = text.split("-")
            start = int(ipaddress.ip_address(first))
            count = int(ipaddress.ip_address(last)) - start + 1
            found.update(str(ipaddress.ip_address(start + n)) for n in range(count))
        else:
            found.update(map(str, ipaddress.ip_network(text)))
    return frozenset(found)


@dataclass
class ModelScanner:
    spec: ScannerSpec
    enabled: bool = True
    draining: bool = False
    removed: bool = False
    failures: int = 0
    down: bool = False
    held_until: float = 0.0
    max_scans: int | None = None
    foreign: int = 0
    turn: int = 0

    @property
    def usable(self) -> bool:
        return self.enabled and not (self.draining or self.removed or self.down)

    @property
    def capacity(self) -> int:
        if self.max_scans is None:
            return self.spec.limit
        return min(self.spec.limit, max(0, self.max_scans - self.foreign))

    def reaches(self, entry: QueueEntry) -> bool:
        networks = self.spec.networks
        return networks is None or addresses(entry.targets) <= addresses(networks)


@dataclass
class Model:
    guard: bool = True
    ageing: float = AGEING
    paused: bool = False
    turns: int = 0
    scanners: dict[str, ModelScanner] = field(default_factory=dict)
    waiting: dict[str, QueueEntry] = field(default_factory=dict)
    running: dict[str, tuple[QueueEntry, str]] = field(default_factory=dict)

    def due(self, entry: QueueEntry) -> tuple[float, int]:
        return entry.accepted_at + DELAY_STEPS[entry.priority.value] * self.ageing, entry.order

    def overlap(self, one: QueueEntry, other: QueueEntry) -> bool:
        return self.guard and not addresses(one.targets).isdisjoint(addresses(other.targets))

    def active(self, scanner_id: str) -> int:
        return sum(where == scanner_id for _, where in self.running.values())

    def free(self, scanner_id: str, now: float) -> int:
        scanner = self.scanners[scanner_id]
        if not scanner.usable or now < scanner.held_until:
            return 0
        return max(0, scanner.capacity - self.active(scanner_id))

    def may_run(self, entry: QueueEntry, scanner_id: str) -> bool:
        if entry.pinned is not None:
            return entry.pinned == scanner_id
        scanner = self.scanners[scanner_id]
        return not scanner.removed and scanner.spec.pool == entry.pool and scanner.reaches(entry)

    def could_run(self, entry: QueueEntry) -> bool:
        return any(
            scanner.usable and self.may_run(entry, scanner_id)
            for scanner_id, scanner in self.scanners.items()
        )

    def queue(self, pool: Pool, scanner_id: str | None) -> list[QueueEntry]:
        """What the pool says lies in that queue, in the order that it ought to have."""
        found = (
            each for each in self.waiting.values() if pool.queue_of(each.task_id) == scanner_id
        )
        return sorted(found, key=self.due)

    def excused(self, entry: QueueEntry) -> bool:
        """It may be passed over: a task that runs overlaps, or one that goes before it and
        that some scanner would take."""
        rivals = [each for each, _ in self.running.values()]
        rivals += [
            each
            for each in self.waiting.values()
            if self.due(each) < self.due(entry) and self.could_run(each)
        ]
        return any(self.overlap(entry, each) for each in rivals)

    def check_take(self, pool: Pool, scanner_id: str, now: float) -> QueueEntry | None:
        """Lets the pool take, and judges its choice."""
        own = self.queue(pool, scanner_id)
        shared = [each for each in self.queue(pool, None) if self.may_run(each, scanner_id)]
        room = 0 if self.paused else self.free(scanner_id, now)
        taken = pool.take(scanner_id, now)
        if taken is None:
            assert not room or all(map(self.excused, own + shared)), "work was left lying"
            return None
        assert room > 0, f"{scanner_id} took above its capacity"
        assert taken.task_id in self.waiting, f"{taken.task_id} does not wait"
        for other, _ in self.running.values():
            assert not self.overlap(taken, other), f"{taken.task_id} overlaps {other.task_id}"
        self._check_order(taken, own, shared)
        del self.waiting[taken.task_id]
        self.running[taken.task_id] = (taken, scanner_id)
        return taken

    def _check_order(
        self, taken: QueueEntry, own: list[QueueEntry], shared: list[QueueEntry]
    ) -> None:
        line, other = (own, shared) if taken in own else (shared, own)
        assert taken in line, f"{taken.task_id} was in neither queue"
        for passed in line[: line.index(taken)]:
            assert self.excused(passed), f"{taken.task_id} overtook {passed.task_id}"
        rivals = [each for each in other if not self.excused(each)]
        if rivals and line is own:
            assert self.due(taken)[0] - self.due(rivals[0])[0] <= FAIRNESS, (
                "the overflow queue's turn"
            )
        elif rivals:
            assert self.due(rivals[0])[0] - self.due(taken)[0] > FAIRNESS, "its own queue's turn"

    def check_placement(
        self, entry: QueueEntry, placement: Placement, claims: dict[str, int], now: float
    ) -> None:
        """`claims`: entries ready in each scanner's own queue before the placement."""
        open_slots = {each: self.free(each, now) - claims[each] for each in self.scanners}
        if entry.pinned is not None:
            free = open_slots[entry.pinned] > 0
            assert placement.case is (RoutingCase.NAMED_FREE if free else RoutingCase.NAMED_BUSY)
            assert placement.scanner_id == entry.pinned
            return
        free_ones = [
            each for each in self.scanners if self.may_run(entry, each) and open_slots[each] > 0
        ]
        if self.paused or not free_ones:
            assert (placement.case, placement.scanner_id) == (RoutingCase.OVERFLOW, None)
            return
        assert placement.case is RoutingCase.LEAST_LOADED
        assert placement.scanner_id in free_ones, placement
