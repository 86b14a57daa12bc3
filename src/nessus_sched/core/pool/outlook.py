"""What a pool knows, as the jobs and slots of a plan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from nessus_sched.core import parts
from nessus_sched.core.calendar.playing import Job, Slot
from nessus_sched.core.calendar.schedule import Overlap, Schedule
from nessus_sched.core.parts import PartSizes, worth_splitting
from nessus_sched.core.pool.entry import QueueEntry, queue_entry
from nessus_sched.core.pool.forecast import remaining
from nessus_sched.core.pool.pool import Pool
from nessus_sched.core.task import Splitting, Task


def key_of(task: Task) -> str:
    """The key of a task's job in plans."""
    fired = task.schedule
    return task.task_id if fired is None else _firing_key(fired.schedule_id, fired.nominal)


def _firing_key(schedule_id: str, nominal: float) -> str:
    return f"{schedule_id}@{nominal:.0f}"


def waiting_job(pool: Pool, task: Task, now: float, sizes: PartSizes) -> Job:
    """A task that waits; `now` in epoch seconds, as all moments in plans."""
    due = pool.due(queue_entry(task), task.created_at)
    return attrs.evolve(
        _job(pool, task, sizes), ready=now, due=due, key=key_of(task), deadline=task.deadline
    )


def firings(
    pool: Pool, schedule: Schedule, now: float, sizes: PartSizes, *, until: float, most: int
) -> Iterator[Job]:
    """The tasks that a schedule will submit until then, at most `most`."""
    template = schedule.template
    found = attrs.evolve(
        _job(pool, template, sizes),
        name=schedule.name,
        firing=True,
        series=schedule.schedule_id,
        overlap=schedule.overlap,
    )
    handicap = pool.due(queue_entry(template), 0.0)
    moments = schedule.next_firings(now, most, until=until - schedule.delay)
    if schedule.pending is not None:
        yield attrs.evolve(
            found,
            ready=schedule.pending,
            due=now + handicap,
            overlap=Overlap.QUEUE_ONE,
            key=_firing_key(schedule.schedule_id, schedule.pending),
        )
    for nominal in moments:
        ready, key = nominal + schedule.delay, _firing_key(schedule.schedule_id, nominal)
        yield attrs.evolve(found, ready=ready, due=ready + handicap, key=key)


def _job(pool: Pool, task: Task, sizes: PartSizes) -> Job:
    entry, request = queue_entry(task), task.request
    pace, scans = pool.pace(entry), 1
    reach = list(pool.reach(entry))
    durations = {each: tuple(pool.durations.like(entry, each)) for each in reach}
    whole = request.split is Splitting.NEVER or request.scanner_instance is not None
    groups, refused = ([], "") if whole else _groups(pool, task, entry)
    if refused:
        groups, reach, durations = [], [], {}
    total = sum(size for _, size in groups)
    by_reach: tuple[tuple[frozenset[str], int], ...] = ()
    if len(groups) > 1 or (groups and pace is not None and worth_splitting(total, pace, sizes)):
        durations = {each: () for scanners, _ in groups for each in sorted(scanners)}
        if pace is not None:
            by_reach, durations = _in_parts(groups, pace, sizes)
            scans = sum(count for _, count in by_reach)
    return Job(
        name=request.name or task.task_id,
        ready=0.0,
        due=0.0,
        firing=False,
        targets=entry.packed,
        between=request.between,
        pool=request.pool,
        durations=durations,
        uppers={each: pool.durations.upper(entry, each) for each in reach if scans == 1},
        scans=scans,
        groups=by_reach,
        refused=refused,
        series="" if task.schedule is None else task.schedule.schedule_id,
    )


_NAMED: Final = 3
"""Targets that a reason names."""
_Groups = Sequence[tuple[frozenset[str], int]]
"""Scanners, and how many targets they all reach or how many scans they can run."""


def _groups(pool: Pool, task: Task, entry: QueueEntry) -> tuple[_Groups, str]:
    """The targets that are to be scanned, by the scanners that reach them, and why that is not to
    be, if so."""
    networks = pool.networks(entry.pool)
    if task.split is not None:
        left = [group for group in task.split.groups if group.size > group.cut]
        found = [(parts.reach_of(group, networks), group.size - group.cut) for group in left]
        return [(scanners, size) for scanners, size in found if scanners], ""
    if reach := pool.reach(entry):
        return [(frozenset(reach), entry.packed.address_count)], ""
    split, reached = parts.plan(entry.targets, {}, networks)
    groups = [(reached[number], group.size) for number, group in enumerate(split.groups)]
    if split.unreachable and not (task.request.partial_ok and groups):
        more = len(split.unreachable) - _NAMED
        named = ", ".join(split.unreachable[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        return [], f"no scanner reaches {named}"
    return groups, ""


def _in_parts(
    groups: _Groups, pace: float, sizes: PartSizes
) -> tuple[tuple[tuple[frozenset[str], int], ...], dict[str, tuple[float, ...]]]:
    """How many parts each group makes, and how long one takes on each scanner."""
    wanted = min(max(int(sizes.duration / pace), sizes.minimum), sizes.maximum)
    largest: dict[str, int] = {}
    for scanners, size in groups:
        for each in sorted(scanners):
            largest[each] = max(largest.get(each, 0), min(wanted, size))
    counts = tuple((scanners, -(-size // min(wanted, size))) for scanners, size in groups)
    return counts, {each: (pace * size,) for each, size in largest.items()}


def slots(pool: Pool, now: float, series: Mapping[str, str]) -> list[Slot]:
    """Every slot of the scanners, and what runs there. `now` is the pool's clock; `series` are the
    schedules of tasks."""
    found: list[Slot] = []
    for scanner in pool.statistics(now).scanners:
        if not scanner.enabled or scanner.draining or scanner.removed:
            continue
        running = scanner.slots.active
        name = scanner.scanner_id
        found += [
            Slot(scanner_id=name, running=_running(pool, each, name, now, series.get(each, "")))
            for each in running
        ]
        found += [Slot(scanner_id=name)] * max(0, scanner.slots.capacity - len(running))
    return found


def _running(pool: Pool, task_id: str, scanner_id: str, now: float, series: str) -> Job | None:
    active = pool.active(task_id)
    if active is None:
        return None
    like = pool.durations.like(active.entry, scanner_id)
    left = tuple(remaining(active, pool.durations, like, now)) if like else ()
    return Job(
        name=task_id,
        ready=active.since,
        due=active.entry.accepted_at,
        firing=False,
        targets=active.entry.packed,
        between=active.entry.between,
        pool=active.entry.pool,
        durations={scanner_id: left or (math.inf,)},
        series=series,
    )
