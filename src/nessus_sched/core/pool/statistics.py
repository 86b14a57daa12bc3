"""A frozen picture of the pool for listings, metrics and health."""

from __future__ import annotations

import attrs

from nessus_sched.core.pool.breaker import BreakerStatistics
from nessus_sched.core.pool.explain import obstacle
from nessus_sched.core.pool.queues import QueueStatistics
from nessus_sched.core.pool.scanners import Lane
from nessus_sched.core.pool.slots import SlotStatistics
from nessus_sched.core.pool.state import Board
from nessus_sched.core.pool.wait_reasons import WaitReason
from nessus_sched.core.suspension import SuspensionStatistics


@attrs.frozen(kw_only=True)
class ScannerStatistics:
    """`free` are the slots in which a scan may be started now (none while it is held or
    not usable); `load` is active and queued over capacity; `obstacle` says why it may be
    given nothing, None when it may. `held_until` is in epoch seconds."""

    scanner_id: str
    pool: str
    enabled: bool
    draining: bool
    removed: bool
    usable: bool
    obstacle: WaitReason | None
    held_until: float | None
    held_reason: str
    slots: SlotStatistics
    free: int
    queue: QueueStatistics
    load: float
    breaker: BreakerStatistics
    suspension: SuspensionStatistics | None


@attrs.frozen(kw_only=True)
class PoolStatistics:
    """`overflow` is the global queue; the totals are sums over all scanners. `capacity` has the
    slots of usable scanners, and those that are taken, wherever they are: never less than
    `active`."""

    paused: bool
    scanners: tuple[ScannerStatistics, ...]
    overflow: QueueStatistics
    active: int
    queued: int
    capacity: int
    free: int


def snapshot(board: Board, now: float) -> PoolStatistics:
    scanners = tuple(_scanner(board, lane, now) for lane in board.lanes.values())
    return PoolStatistics(
        paused=board.paused,
        scanners=scanners,
        overflow=board.queues.statistics(None),
        active=len(board.active),
        queued=len(board.queues),
        capacity=sum(map(slots_counted, scanners)),
        free=sum(each.free for each in scanners),
    )


def slots_counted(scanner: ScannerStatistics) -> int:
    """The slots of a scanner that are taken or could be."""
    usable = scanner.slots.capacity if scanner.usable else 0
    return max(usable, len(scanner.slots.active))


def _scanner(board: Board, lane: Lane, now: float) -> ScannerStatistics:
    held = lane.hold_until > now
    return ScannerStatistics(
        scanner_id=lane.scanner_id,
        pool=lane.spec.pool,
        enabled=lane.enabled,
        draining=lane.draining,
        removed=lane.removed,
        usable=lane.usable,
        obstacle=obstacle(lane, now),
        held_until=lane.hold_until if held else None,
        held_reason=lane.hold_reason if held else "",
        slots=lane.slots.statistics(),
        free=lane.free(now) if lane.usable else 0,
        queue=board.queues.statistics(lane.scanner_id),
        load=lane.load(board.queues.own_length(lane.scanner_id)),
        breaker=lane.breaker.statistics(),
        suspension=lane.suspension.statistics(),
    )
