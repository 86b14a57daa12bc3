"""The plan of the coming hours: what waits and what schedules will submit, over all scanners."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable
from typing import Final

import attrs
import trio

from nessus_sched.core.calendar.deadline import deadline_of
from nessus_sched.core.calendar.plan import Planned, plan
from nessus_sched.core.calendar.playing import Job
from nessus_sched.core.calendar.schedule import Schedule
from nessus_sched.core.calendar.timeline import Timeline, timeline
from nessus_sched.core.calendar.zones import BadCalendar
from nessus_sched.core.pool import outlook
from nessus_sched.core.pool.durations import FEWEST
from nessus_sched.core.task import Task
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
    timeline: Timeline

    @property
    def worth_showing(self) -> bool:
        """Whether anything is planned or closed."""
        return bool(self.scans) or not self.timeline.empty

    def fits(self, each: Planned) -> bool | None:
        """Whether it ends in the time of the plan and by its deadline; None when that is not
        known."""
        return None if each.end is None else each.end.high <= self.until and not _misses(each)

    def remark(self, each: Planned) -> str:
        """What it waits for, why it does not fit, and what would help."""
        found = []
        if each.closed is not None:
            found.append(f"waits for {each.closed.text}")
        if each.job.refused:
            return f"will be refused: {each.job.refused}"
        if each.skipped:
            found.append("probably skipped, because another task of its schedule takes its place")
        elif each.never:
            found.append("no opening within a year: it needs a different window or scanner")
        elif each.end is None:
            found.append(f"its length is not known until {FEWEST} similar scans have been measured")
        if each.paused:
            found.append(
                "longer than its opening, so it is paused and resumed; allow more time or scan "
                "fewer addresses"
            )
        if _misses(each):
            found.append(
                "will probably not end by its deadline, when the rest is canceled; set a later "
                "deadline, use another scanner, or scan fewer addresses"
            )
        elif self.fits(each) is False and not each.never:
            found.append(
                "does not finish in time; allow more time, use another scanner, or scan fewer "
                "addresses"
            )
        return "; ".join(found)


def _misses(each: Planned) -> bool:
    deadline = each.job.deadline
    return deadline is not None and each.end is not None and each.end.high > deadline


async def plan_until(
    context: Context,
    schedules: Iterable[Schedule],
    waiting: Iterable[Task],
    until: float,
    running: Iterable[Task] = (),
) -> Plan:
    """What is to be expected until then (epoch seconds). Plays it through in a thread, on a copy
    of what is known. Scans that run are drawn with names if they are of the `running` tasks."""
    now = context.wall()
    known = list(schedules)
    jobs = [each async for each in _jobs(context, known, waiting, now, until)]
    kept = sorted(jobs, key=lambda each: each.ready)[:MOST_JOBS]
    series = {each.last_task or "": each.schedule_id for each in known}
    table, slots = context.pool.timetable, outlook.slots(context.pool, context.now(), series)
    pools = {each.id: each.pool for each in context.config.scanners}
    names = {task.task_id: name_of(task) for task in running}

    def play() -> tuple[list[Planned], Timeline]:
        scans = plan(kept, slots, table, now)
        return scans, timeline(scans, slots, pools, names, table, (now, until))

    scans, drawn = await context.run_sync(play)
    return Plan(begin=now, until=until, scans=scans, left_out=len(jobs) - len(kept), timeline=drawn)


def name_of(task: Task) -> str:
    """What a task is called in a plan."""
    whole = task.task_id if task.part is None else task.part.task_id
    name = task.request.name or whole
    return name if task.part is None else f"{name}, part {task.part.number}"


async def _jobs(
    context: Context,
    schedules: Iterable[Schedule],
    waiting: Iterable[Task],
    now: float,
    until: float,
) -> AsyncIterator[Job]:
    """Others take turns between two of them: targets take milliseconds, and so do firings."""
    pool, sizes = context.pool, part_sizes(context)
    for task in waiting:
        await trio.lowlevel.checkpoint()
        yield attrs.evolve(outlook.waiting_job(pool, task, now, sizes), name=name_of(task))
    for schedule in schedules:
        if schedule.pending is None and (schedule.next_due or math.inf) > until:
            continue
        await trio.lowlevel.checkpoint()
        for each in outlook.firings(pool, schedule, now, sizes, until=until, most=MOST_JOBS):
            yield _with_deadline(context, schedule, each)


def _with_deadline(context: Context, schedule: Schedule, firing: Job) -> Job:
    text, zone = schedule.request.deadline, context.config.calendar.time_zone
    if text is None:
        return firing
    try:
        return attrs.evolve(firing, deadline=deadline_of(text, zone, firing.ready - schedule.delay))
    except BadCalendar:  # a date that is over by then: the firing will fail
        return firing
