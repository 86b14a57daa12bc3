"""A frozen picture of the pool for listings, metrics and health."""

from __future__ import annotations

import attrs

from nessus_sched.core.pool.breaker import BreakerStatistics
from nessus_sched.core.pool.explain import obstacle
from nessus_sched.core.pool.queues import QueueStatistics
from nessus_sched.core.pool.scanners import PoolScanner
from nessus_sched.core.pool.slots import SlotStatistics
from nessus_sched.core.pool.state import PoolState
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


def snapshot(state: PoolState, now: float) -> PoolStatistics:
    scanners = tuple(_scanner(state, scanner, now) for scanner in state.scanners.values())
    return PoolStatistics(
        paused=state.paused,
        scanners=scanners,
        overflow=state.queues.statistics(None),
        active=len(state.active),
        queued=len(state.queues),
        capacity=sum(map(slots_counted, scanners)),
        free=sum(each.free for each in scanners),
    )


def slots_counted(scanner: ScannerStatistics) -> int:
    """The slots of a scanner that are taken or could be."""
    usable = scanner.slots.capacity if scanner.usable else 0
    return max(usable, len(scanner.slots.active))


def _scanner(state: PoolState, scanner: PoolScanner, now: float) -> ScannerStatistics:
    held = scanner.hold_until > now
    return ScannerStatistics(
        scanner_id=scanner.scanner_id,
        pool=scanner.spec.pool,
        enabled=scanner.enabled,
        draining=scanner.draining,
        removed=scanner.removed,
        usable=scanner.usable,
        obstacle=obstacle(scanner, now),
        held_until=scanner.hold_until if held else None,
        held_reason=scanner.hold_reason if held else "",
        slots=scanner.slots.statistics(),
        free=scanner.free(now) if scanner.usable else 0,
        queue=state.queues.statistics(scanner.scanner_id),
        load=scanner.load(state.queues.own_length(scanner.scanner_id)),
        breaker=scanner.breaker.statistics(),
        suspension=scanner.suspension.statistics(),
    )
