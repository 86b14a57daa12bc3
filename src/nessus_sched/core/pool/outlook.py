"""What a pool knows, as the jobs and slots of a plan."""

from __future__ import annotations

import math

from nessus_sched.core.calendar.plan import Job, Slot
from nessus_sched.core.parts import PartSizes, worth_splitting
from nessus_sched.core.pool.entry import QueueEntry, queue_entry
from nessus_sched.core.pool.forecast import remaining
from nessus_sched.core.pool.pool import Pool
from nessus_sched.core.task import Splitting, Task


def job(pool: Pool, task: Task, name: str, ready: float, sizes: PartSizes, *, firing: bool) -> Job:
    """A task that waits, or that a schedule will submit; `ready` in epoch seconds."""
    entry, request = queue_entry(task), task.request
    total, pace, scans = entry.packed.address_count, pool.pace(entry), 1
    reach = list(pool.reach(entry))
    durations = {each: tuple(pool.durations.like(entry, each)) for each in reach}
    whole = request.split is Splitting.NEVER or request.scanner_instance is not None
    if pace is not None and not whole and worth_splitting(total, pace, sizes):
        size = min(max(int(sizes.duration / pace), sizes.minimum), sizes.maximum, total)
        scans = -(-total // size)
        durations = dict.fromkeys(_reaching(pool, entry), (pace * size,))
    known = [pool.durations.upper(entry, each) for each in reach] if scans == 1 else []
    return Job(
        name=name,
        ready=ready,
        firing=firing,
        targets=entry.packed,
        between=request.between,
        pool=request.pool,
        durations=durations,
        upper=max((each for each in known if each is not None), default=None),
        scans=scans,
    )


def _reaching(pool: Pool, entry: QueueEntry) -> list[str]:
    """The scanners that parts of it could run on."""
    return list(pool.reach(entry) or pool.networks(entry.pool))


def slots(pool: Pool, now: float, wall: float) -> list[Slot]:
    """Every slot of the scanners, with when it could become free. `now` is the pool's clock, `wall`
    that of the result."""
    found: list[Slot] = []
    for scanner in pool.statistics(now).scanners:
        if not scanner.enabled or scanner.draining or scanner.removed:
            continue
        scanner_id, active = scanner.scanner_id, scanner.slots.active
        found += [
            Slot(
                scanner_id=scanner_id,
                free=_ends(pool, task_id, scanner_id, now, wall),
                task_id=task_id,
            )
            for task_id in active
        ]
        free = max(0, scanner.slots.capacity - len(active))
        found += [Slot(scanner_id=scanner_id, free=(wall,))] * free
    return found


def _ends(pool: Pool, task_id: str, scanner_id: str, now: float, wall: float) -> tuple[float, ...]:
    """When a running scan could end."""
    active = pool.active(task_id)
    if active is None:
        return (wall,)
    like = pool.durations.like(active.entry, scanner_id)
    left = remaining(active, pool.durations, like, now) if like else ()
    return tuple(wall + each for each in left) or (math.inf,)
