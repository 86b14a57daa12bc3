"""Routing: which queue a task goes to. The four cases, in one place."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum

import attrs

from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.queues import Queues, Reach
from nessus_sched.core.pool.scanners import PoolScanner, ScannerSpec
from nessus_sched.core.pool.wait_reasons import WaitReason
from nessus_sched.core.targets.targets import TargetSet


class RoutingCase(StrEnum):
    NAMED_FREE = "named_free"
    """A scanner was named and has a free slot: its queue, and it starts at once."""
    NAMED_BUSY = "named_busy"
    """A scanner was named and has none: its queue."""
    LEAST_LOADED = "least_loaded"
    """None named: the eligible scanner with a free slot and the lowest load."""
    OVERFLOW = "overflow"
    """None named, none free: the overflow queue; the first scanner with a free slot takes it."""


@attrs.frozen(kw_only=True)
class Placement:
    """Where a task went or would go. `scanner_id` is None for the overflow queue;
    `position` is its place in that queue from 1; `reason` is None when it can start."""

    case: RoutingCase
    scanner_id: str | None
    position: int
    reason: WaitReason | None


PoolScanners = dict[str, PoolScanner]
"""The registry of scanners by id, in the order in which they were added."""


class Reachability:
    """Which configured scanners could ever run a task, whatever their present state.

    Scanners with equal networks and licenses are judged once, and equal answers are one
    object: 100,000 entries share a few sets. Rebuilt when the registry changes.
    """

    def __init__(self, scanners: PoolScanners) -> None:
        self._pools: dict[str, dict[tuple[TargetSet | None, int | None], list[str]]] = {}
        self._groups: dict[str, list[tuple[ScannerSpec, list[str]]]] = {}
        """The same, with one of the equal scanners to ask."""
        for scanner in scanners.values():
            if scanner.removed:
                continue
            spec = scanner.spec
            alike = (spec.networks, spec.licensed_hosts)
            pool = self._pools.setdefault(spec.pool, {})
            if alike not in pool:
                self._groups.setdefault(spec.pool, []).append((spec, pool.setdefault(alike, [])))
            pool[alike].append(spec.scanner_id)
        self._known: dict[tuple[str, ...], Reach] = {}

    def differs(self, other: Reachability) -> bool:
        """Whether some task might be reached by other scanners."""
        return self._pools != other._pools

    def pools(self) -> Collection[str]:
        return self._pools.keys()

    def reach(self, entry: QueueEntry) -> Reach:
        if entry.pinned is not None:
            return self._shared((entry.pinned,))
        found: list[str] = []
        for spec, scanner_ids in self._groups.get(entry.pool, ()):
            if spec.admits(entry):
                found += scanner_ids
        if entry.refused_by:
            found = [each for each in found if each not in entry.refused_by]
        return self._shared(tuple(found))

    def _shared(self, scanner_ids: tuple[str, ...]) -> Reach:
        return self._known.setdefault(scanner_ids, frozenset(scanner_ids))


def unclaimed(scanner: PoolScanner, queues: Queues, now: float) -> int:
    """Free slots that nothing in the scanner's own queue is about to take."""
    return scanner.free(now) - queues.own_ready(scanner.scanner_id)


def choose(candidates: Iterable[PoolScanner], queues: Queues, now: float) -> PoolScanner | None:
    """The eligible scanner with a free slot and the lowest load; among equals the one
    whose last turn is longest ago."""
    free = [
        scanner for scanner in candidates if unclaimed(scanner, queues, now) > 0 and scanner.usable
    ]
    return min(
        free,
        key=lambda scanner: (scanner.load(queues.own_length(scanner.scanner_id)), scanner.chosen),
        default=None,
    )
