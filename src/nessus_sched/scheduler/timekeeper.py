"""Keeps windows and blackouts: opens and closes scanners, and pauses and resumes running scans."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import trio

from nessus_sched.core.calendar.timetable import AtEnd, Rule
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import RequestedState
from nessus_sched.core.text import lasting
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.driver import early_stop
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.pool_config import configure_calendar
from nessus_sched.telemetry import events

LOOK_EVERY: Final = 15.0
"""Seconds between looks, because the wall clock may be set."""
STEP: Final = 5.0
"""Seconds by which the wall clock may drift between two looks and was not set."""
USUAL_LEAD: Final = 30.0
"""Seconds before the end of a window at which scans are paused, until it is known how long the
scanner takes to pause one."""
LONGEST_LEAD: Final = 600.0
_SHORTEST: Final = 0.1


class Timekeeper:
    """`runs` are the tasks that drivers carry."""

    def __init__(self, context: Context, runs: Callable[[], Iterable[ActiveTask]]) -> None:
        self._context = context
        self._runs = runs
        self._offset = 0.0
        self._over: dict[str, float] = {}
        """Since when scans have been running that should not, by task id."""
        self._woken = trio.Event()

    def start(self) -> None:
        """Before anything is started: what is closed stays closed."""
        self._offset = self._context.wall() - self._context.now()
        configure_calendar(self._context)

    def reconfigure(self) -> None:
        """The configuration has changed."""
        self.start()
        self._woken.set()

    async def run(self) -> None:
        """Looks whenever something changes, until canceled."""
        while True:
            self._woken = trio.Event()
            await self.look()
            wall = self._context.wall()
            table = self._context.pool.timetable
            changes = [
                table.next_change(wall),
                table.next_change(wall + self._lead()) - self._lead(),
            ]
            wait = min(max(min(changes) - wall, _SHORTEST), LOOK_EVERY)
            with trio.move_on_after(wait):
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
        running = {run.task.task_id for run in self._runs()}
        self._over = {each: since for each, since in self._over.items() if each in running}

    @property
    def overrun(self) -> float:
        """For how many seconds the longest one has been running that should not."""
        return max((self._context.now() - since for since in self._over.values()), default=0.0)

    async def _look_at(self, run: ActiveTask) -> None:
        context, task = self._context, run.task
        active = context.pool.active(task.task_id)
        if active is None or task.state not in {TaskState.RUNNING, TaskState.PAUSED}:
            return
        wall = context.wall()
        entry, scanner, table = active.entry, active.scanner_id, context.pool.timetable
        asked = (entry.packed, entry.between, scanner, entry.pool)
        now, soon = table.scan(*asked, wall), table.scan(*asked, wall + self._lead(scanner))
        closing = next((each for each in (now, soon) if not each.allowed), None)
        if closing is None:
            await run.set_closed(None)
            self._over.pop(task.task_id, None)
        elif task.override or closing.rule is None or closing.rule.at_end is AtEnd.RUN_ON:
            self._over.pop(task.task_id, None)
        else:
            await self._close(run, closing.rule, closing.text)
            self._note_overrun(run, allowed=now.allowed)

    async def _close(self, run: ActiveTask, rule: Rule, reason: str) -> None:
        task, context = run.task, self._context
        most = context.config.calendar.max_pause
        paused = task.state is TaskState.PAUSED and task.closed is not None
        if rule.at_end is AtEnd.STOP:
            early_stop.close(run, reason)
        elif paused and context.now() - run.entered_at > most:
            early_stop.close(run, f"paused for more than {lasting(most)}: {reason}")
        elif context.store.health.ok:
            await run.set_closed(reason)

    def _note_overrun(self, run: ActiveTask, *, allowed: bool) -> None:
        task, now = run.task, self._context.now()
        runs_on = task.state is TaskState.RUNNING and task.desired is not RequestedState.CANCEL
        if not allowed and runs_on:
            self._over.setdefault(task.task_id, now)
            return
        since = self._over.pop(task.task_id, None)
        if since is not None:
            self._context.log.warning(
                events.WINDOW_OVERRUN,
                task_id=task.task_id,
                seconds=round(now - since),
                reason=task.closed or "",
            )

    def _lead(self, scanner_id: str | None = None) -> float:
        """How early to pause scans on a scanner; without one, the longest lead of all."""
        took = self._context.pausing
        if scanner_id is None:
            return max((self._lead(each) for each in took), default=USUAL_LEAD)
        return min(took.get(scanner_id, USUAL_LEAD), LONGEST_LEAD)
