"""Keeps windows and blackouts: opens and closes scanners, and pauses and resumes running scans."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import trio

from nessus_sched.core.calendar.keeping import Closing, Overruns, closing, next_look
from nessus_sched.core.calendar.timetable import AtEnd
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import RequestedState
from nessus_sched.core.text import lasting
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.driver import early_stop
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.pool_config import configure_calendar
from nessus_sched.telemetry import events

STEP: Final = 5.0
"""Seconds by which the wall clock may drift between two looks and was not set."""
_SHORTEST: Final = 0.1


class Timekeeper:
    """`runs` are the tasks that drivers carry."""

    def __init__(self, context: Context, runs: Callable[[], Iterable[ActiveTask]]) -> None:
        self._context = context
        self._runs = runs
        self._offset = 0.0
        self._overruns = Overruns()
        self._woken = trio.Event()
        context.pool.gate.on_hours = self.wake

    def start(self) -> None:
        """Before anything is started: what is closed stays closed."""
        self._offset = self._context.wall() - self._context.now()
        configure_calendar(self._context)

    def reconfigure(self) -> None:
        """The configuration has changed."""
        self.start()
        self.wake()

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """Looks whenever something changes, until canceled."""
        while True:
            self._woken = trio.Event()
            await self.look()
            if self._idle:
                await self._woken.wait()
                continue
            wait = max(self._next_look() - self._context.wall(), _SHORTEST)
            with trio.move_on_after(min(wait, self._context.clock_checks)):
                await self._woken.wait()

    async def look(self) -> None:
        """Applies the calendar as it is now."""
        context = self._context
        offset = context.wall() - context.now()
        if abs(offset - self._offset) > STEP:
            self.start()
        context.pool.gate.look(context.now())
        for run in list(self._runs()):
            await self._look_at(run)
        self._make_room()
        running = {run.task.task_id for run in self._runs()}
        for task_id, seconds in self._overruns.ended(running, context.now()).items():
            self._report(task_id, seconds, "it has ended")

    @property
    def overrun(self) -> float:
        """For how many seconds the longest one has been running that should not."""
        return self._overruns.longest(self._context.now())

    @property
    def _idle(self) -> bool:
        """Whether there is nothing to look at, however the clock is set."""
        paused = any(run.task.closed is not None for run in self._runs())
        return self._context.pool.gate.idle and not paused

    def _next_look(self) -> float:
        context = self._context
        hours = (run.task.request.between for run in self._runs())
        asked = {each for each in hours if each is not None}
        soon = next_look(context.pool.timetable, context.wall(), context.pausing.leads(), asked)
        return min(soon, context.pool.gate.next_resume)

    async def _look_at(self, run: ActiveTask) -> None:
        context, task = self._context, run.task
        active = context.pool.active(task.task_id)
        if active is None or task.state not in {TaskState.RUNNING, TaskState.PAUSED}:
            return
        entry, scanner_id = active.entry, active.scanner_id
        scan = (entry.packed, entry.between, scanner_id, entry.pool)
        table, lead = context.pool.timetable, context.pausing.lead(scanner_id)
        paused = task.state is TaskState.PAUSED and task.closed is not None
        found = closing(table, scan, context.wall(), lead, paused=paused)
        if task.override:
            self._overruns.forget(task.task_id)
            return
        runs_on = task.state is TaskState.RUNNING and task.desired is not RequestedState.CANCEL
        over = found is not None and found.over and runs_on
        seconds = self._overruns.note(task.task_id, context.now(), over=over)
        if seconds is not None:
            self._report(task.task_id, seconds, task.closed or "")
        if found is None:
            await run.set_closed(None)
        else:
            await self._close(run, found)

    async def _close(self, run: ActiveTask, found: Closing) -> None:
        task, context = run.task, self._context
        most = context.config.calendar.max_pause
        paused = task.state is TaskState.PAUSED and task.closed is not None
        if found.rule.at_end is AtEnd.STOP:
            early_stop.close(run, found.verdict.text)
        elif paused and context.now() - run.entered_at > most:
            early_stop.close(run, f"paused for more than {lasting(most)}: {found.verdict.text}")
        elif context.store.health.ok:
            await run.set_closed(found.verdict.text)

    def _make_room(self) -> None:
        """Stops a paused scan where such scans hold all slots while others wait that may run."""
        paused = [run for run in self._runs() if _paused_by_calendar(run)]
        if not paused:
            return
        pool = self._context.pool
        for scanner in pool.statistics(self._context.now()).scanners:
            idle = [run for run in paused if run.task.task_id in scanner.slots.active]
            full = idle and len(idle) == len(scanner.slots.active) >= scanner.slots.capacity
            if full and scanner.usable and pool.work_for(scanner.scanner_id):
                latest = max(idle, key=lambda run: run.task.entered[TaskState.RUNNING])
                early_stop.close(latest, f"stopped because others can run: {latest.task.closed}")

    def _report(self, task_id: str, seconds: float, reason: str) -> None:
        self._context.log.warning(
            events.WINDOW_OVERRUN, task_id=task_id, seconds=round(seconds), reason=reason
        )


def _paused_by_calendar(run: ActiveTask) -> bool:
    """And by nobody else."""
    task = run.task
    wanted = task.desired is RequestedState.RUN and task.closed is not None and not task.override
    return wanted and task.state is TaskState.PAUSED and not early_stop.under_way(run)
