"""Takes the second tries of a schedule one step further."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import attrs

from nessus_sched.core.calendar.schedule import Schedule
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.task import Task

Absent = Callable[[Task], Awaitable[Sequence[str] | None]]
"""The targets of an ended task that were silent or not reached, of those that some scan has ever
seen; None if that is not known."""
_WITH_RESULTS = frozenset({TaskState.COMPLETED, TaskState.PARTIAL})


async def no_hosts(_task: Task) -> Sequence[str] | None:
    return None


async def next_step(
    schedule: Schedule, now: float, find: Callable[[str], Awaitable[Task | None]], absent: Absent
) -> Schedule | None:
    """The schedule to store, None if nothing is to be done. Once `tries.targets` is set they are to
    be submitted. Call it when nothing is left to decide about firings, since the next firing ends
    the tries of the one before. May raise `StoreUnavailable`."""
    rule, tries = schedule.retry_absent, schedule.tries
    if rule is None or tries is None or tries.over or tries.targets or schedule.paused:
        return None
    if tries.due is not None and now < tries.due:
        return None
    task = await find(tries.task_id)
    if task is None:
        return attrs.evolve(schedule, tries=tries.ended("its task was deleted"))
    if task.state not in SETTLED:
        return None
    if task.state not in _WITH_RESULTS:
        return attrs.evolve(schedule, tries=tries.ended(f"its task is {task.state}"))
    if tries.due is None:
        due = task.entered.get(task.state, now) + rule.after
        return attrs.evolve(schedule, tries=attrs.evolve(tries, due=due))
    hosts = await absent(task)
    if hosts is None:
        return attrs.evolve(schedule, tries=tries.ended("it is not known which hosts were absent"))
    if not hosts:
        return attrs.evolve(schedule, tries=tries.ended("every host that was ever seen was there"))
    return attrs.evolve(schedule, tries=attrs.evolve(tries, targets=tuple(hosts)))
