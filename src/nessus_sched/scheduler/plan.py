"""The plan of the coming hours: what waits and what schedules will submit, over all scanners."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable
from typing import Final

import attrs
import trio

from nessus_sched.core.calendar.plan import Job, Planned, Slot, plan
from nessus_sched.core.calendar.schedule import Schedule
from nessus_sched.core.parts import worth_splitting
from nessus_sched.core.pool.entry import QueueEntry, queue_entry
from nessus_sched.core.pool.forecast import remaining
from nessus_sched.core.targets.packed import pack
from nessus_sched.core.targets.targets import targets_from
from nessus_sched.core.task import Splitting, Task
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.split.planning import part_sizes

MOST_JOBS: Final = 200
"""Tasks and firings in a plan; what is ready later is left out."""


@attrs.frozen(kw_only=True)
class Plan:
    """The scans from `begin` to `until` (epoch seconds); `left_out` more jobs are not in it."""

    begin: float
    until: float
    scans: list[Planned]
    left_out: int


async def plan_until(
    context: Context, schedules: Iterable[Schedule], waiting: Iterable[Task], until: float
) -> Plan:
    """What is to be expected until then (epoch seconds). Plays it through in a thread, on a copy
    of what is known."""
    now = context.wall()
    jobs = [job async for job in _jobs(context, schedules, waiting, now, until)]
    kept = sorted(jobs, key=lambda job: job.ready)[:MOST_JOBS]
    table, slots = context.pool.timetable, _slots(context, now)
    scans = await trio.to_thread.run_sync(plan, kept, slots, table, now)
    return Plan(begin=now, until=until, scans=scans, left_out=len(jobs) - len(kept))


async def _jobs(
    context: Context,
    schedules: Iterable[Schedule],
    waiting: Iterable[Task],
    now: float,
    until: float,
) -> AsyncIterator[Job]:
    """Others take turns between two of them: targets take milliseconds, and so do firings."""
    for task in waiting:
        await trio.lowlevel.checkpoint()
        yield _job(context, task, task.request.name or task.task_id, now, firing=False)
    for schedule in schedules:
        if schedule.next_due is None or schedule.next_due > until:
            continue
        await trio.lowlevel.checkpoint()
        first = _job(context, schedule.template, schedule.name, now, firing=True)
        for nominal in schedule.next_firings(now, MOST_JOBS, until=until - schedule.delay):
            yield attrs.evolve(first, ready=nominal + schedule.delay)


def _job(context: Context, task: Task, name: str, ready: float, *, firing: bool) -> Job:
    pool, sizes, request = context.pool, part_sizes(context), task.request
    targets = pack(targets_from((*task.to_scan, *task.resolved)))
    entry = queue_entry(task, accepted_at=context.now(), targets=targets)
    total, pace, scans = entry.packed.address_count, pool.pace(entry), 1
    reach = list(pool.reach(entry))
    durations = {each: tuple(pool.durations.like(entry, each)) for each in reach}
    whole = request.split is Splitting.NEVER or request.scanner_instance is not None
    if pace is not None and not whole and worth_splitting(total, pace, sizes):
        size = min(max(int(sizes.duration / pace), sizes.minimum), sizes.maximum, total)
        scans = -(-total // size)
        durations = dict.fromkeys(_reaching(context, entry), (pace * size,))
    known = [pool.durations.upper(entry, each) for each in reach] if scans == 1 else []
    return Job(
        name=name,
        ready=ready,
        firing=firing,
        targets=targets,
        between=request.between,
        pool=request.pool,
        durations=durations,
        upper=max((each for each in known if each is not None), default=None),
        scans=scans,
    )


def _reaching(context: Context, entry: QueueEntry) -> list[str]:
    """The scanners that parts of it could run on."""
    found = context.pool.reach(entry)
    return list(found or context.pool.networks(entry.pool))


def _slots(context: Context, now: float) -> list[Slot]:
    """Every slot of the scanners, with when it could become free."""
    pool, steady = context.pool, context.now()
    found: list[Slot] = []
    for scanner in pool.statistics(steady).scanners:
        if not scanner.enabled or scanner.draining or scanner.removed:
            continue
        ends = [
            _ends(context, task_id, scanner.scanner_id, now) for task_id in scanner.slots.active
        ]
        free = [(now,)] * max(0, scanner.slots.capacity - len(ends))
        found += [Slot(scanner_id=scanner.scanner_id, free=each) for each in (*ends, *free)]
    return found


def _ends(context: Context, task_id: str, scanner_id: str, now: float) -> tuple[float, ...]:
    """When a running scan could end."""
    pool, active = context.pool, context.pool.active(task_id)
    if active is None:
        return (now,)
    like = pool.durations.like(active.entry, scanner_id)
    left = remaining(active, pool.durations, like, context.now()) if like else ()
    return tuple(now + each for each in left) or (math.inf,)
