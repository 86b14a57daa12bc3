"""Parts of split tasks that still take long while slots are idle: what these slots could do sooner
if the part were stopped and its rest divided among them."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from nessus_sched.core.pool.durations import Durations
from nessus_sched.core.pool.state import Active, PoolState


@attrs.frozen(kw_only=True)
class Straggler:
    """`left` is how many seconds its scan will still take, `idle` how many slots could help."""

    task_id: str
    left: float
    idle: int


@attrs.frozen(kw_only=True)
class StragglerLimits:
    """A part is stopped only if it takes at least `least` more seconds, half of which count as the
    cost of stopping it, reading its report and starting other scans; and if it has at least
    `untouched` targets left."""

    least: float
    untouched: float


def straggler(
    state: PoolState,
    durations: Durations,
    task_ids: Iterable[str],
    limits: StragglerLimits,
    now: float,
) -> Straggler | None:
    """Which of these active tasks should be stopped now, if any: the one that has most before it
    and would end sooner."""
    found: list[Straggler] = []
    for task_id in task_ids:
        active = state.active.get(task_id)
        if active is None or _untouched(active) < limits.untouched:
            continue
        if not state.scanner(active.scanner_id).breaker.closed:
            continue
        left = seconds_left(active, durations, now)
        if left is None or left < limits.least:
            continue
        idle = _idle(state, active, now)
        helped = sum(_speed(durations, active, each) * slots for each, slots in idle.items())
        own = _speed(durations, active, active.scanner_id)
        if helped and limits.least / 2 + left * own / (own + helped) < left:
            found.append(Straggler(task_id=task_id, left=left, idle=sum(idle.values())))
    return max(found, key=lambda each: each.left, default=None)


def seconds_left(active: Active, durations: Durations, now: float) -> float | None:
    """How long the scan still takes by its progress, or by how long others took while it shows
    none; None when nothing is known."""
    elapsed = active.ran(now)
    if active.progress and active.seen is not None:
        return active.seen * 100 / active.progress - elapsed
    pace = durations.per_address(active.entry)
    if pace is None:
        return None
    return (
        pace * active.entry.packed.address_count / _speed(durations, active, active.scanner_id)
        - elapsed
    )


def _untouched(active: Active) -> float:
    return active.entry.packed.address_count * (100 - (active.progress or 0)) / 100


def _idle(state: PoolState, active: Active, now: float) -> dict[str, int]:
    """The free slots of scanners that may scan its targets now and for which nothing waits."""
    full = state.network_limits.full(active.entry.packed) is not None
    if state.paused or state.restoring or full:
        return {}
    return {
        each.scanner_id: each.free(now)
        for each in state.scanners_of(state.reachability.reach(active.entry))
        if each.usable
        and each.free(now)
        and not state.queues.work_for(each.scanner_id)
        and state.has_time(active.entry, each.scanner_id, now)
    }


def _speed(durations: Durations, active: Active, scanner_id: str) -> float:
    return 1 / durations.slowness(active.entry.kind, scanner_id)
