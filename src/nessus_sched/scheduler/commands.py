"""Cancel, pause and resume a task, wherever it is: in a queue, with a driver, or in parts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import Final

import trio

from nessus_sched.core.command import Command, ends_for_deadline
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.task import RequestedState
from nessus_sched.scheduler import waiting
from nessus_sched.scheduler.context import STORE_PATIENCE, Context
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.errors import NotPossible, StoreDown, UnknownTask
from nessus_sched.scheduler.fleet import Fleet
from nessus_sched.scheduler.queries import TaskQueries
from nessus_sched.scheduler.views import TaskView
from nessus_sched.telemetry import events

HANDOVER_POLL: Final = 0.05
"""Seconds between looks at a task that is moving between a queue and a driver."""


class Commands:
    """Every method raises `RequestError`, and then nothing has changed."""

    def __init__(self, context: Context, fleet: Fleet, queries: TaskQueries) -> None:
        self.context = context
        self.fleet = fleet
        self.queries = queries
        self._untold: set[str] = set()
        """Split tasks some of whose parts do not know yet what is wanted of the task."""
        self._repeat = trio.Event()

    async def cancel(self, task_id: str, *, actor: str, discard: bool = False) -> TaskView:
        """Removes a task from its queue, or stops its scan; partial results are kept unless
        `discard`. Canceling twice is fine."""
        return await self.carry_out(
            task_id, Command(desired=RequestedState.CANCEL, actor=actor, discard=discard)
        )

    async def pause(self, task_id: str, *, actor: str) -> TaskView:
        """Pauses a running scan, which keeps its slot; a waiting task is not launched until it
        is resumed. Pausing twice is fine."""
        return await self.carry_out(task_id, Command(desired=RequestedState.PAUSE, actor=actor))

    async def resume(self, task_id: str, *, actor: str, override: bool = False) -> TaskView:
        """Resumes a paused task, or withdraws a pending pause. `override` lets its running scan
        continue, whatever windows and blackouts say."""
        command = Command(desired=RequestedState.RUN, actor=actor, override=override)
        if override:
            run = self.fleet.active_task(task_id)
            if run is None:
                raise NotPossible(f"task {task_id} has no scan that windows could pause")
            if await self._tell(run, command):
                return self.queries.view(run.task)
        return await self.carry_out(task_id, command)

    async def resume_halted(self, *, actor: str) -> int:
        """Resumes only the tasks that a global pause paused; returns how many."""
        async with aclosing(self.context.store.unfinished()) as tasks:
            halted = [task.task_id async for task in tasks if task.halted]
        resumed = 0
        for task_id in halted:
            with suppress(NotPossible, UnknownTask):  # it has ended meanwhile
                if (await self.queries.task(task_id)).task.halted:
                    await self.resume(task_id, actor=actor)
                    resumed += 1
        return resumed

    async def repeat_commands(self) -> None:
        """Tells the parts of split tasks what they could not be told, because the daemon died or
        the store failed. Until canceled."""
        self._untold.update(self.fleet.splits.commanded())
        while True:
            self._repeat = trio.Event()
            for task_id in sorted(self._untold):
                self._untold.discard(task_id)
                await self._tell_again(task_id)
            if self._untold:
                await trio.sleep(STORE_PATIENCE)
            else:
                await self._repeat.wait()

    async def _tell_again(self, task_id: str) -> None:
        split = self.fleet.splits.of(task_id)
        if split is None:
            return  # it has ended
        try:
            task = (await self.queries.task(task_id)).task
            reason = task.last_error if ends_for_deadline(task) else None
            command = Command(desired=task.desired, discard=task.discard, error=reason)
            await self._tell_parts(task_id, list(split.live()), command)
        except UnknownTask:
            pass  # it has ended and was purged
        except StoreUnavailable as error:
            self._untold.add(task_id)
            self.context.log.debug(events.STORE_UNAVAILABLE, reason=str(error))

    async def carry_out(self, task_id: str, command: Command) -> TaskView:
        """Returns the task once it has the command."""
        while True:
            task = (await self.queries.task(task_id)).task
            if _check(task.state, task.desired, task_id, command):
                return self.queries.view(task)
            if task.split is not None:
                return await self._tell_split(task_id, command)
            if task.desired is command.desired is not RequestedState.CANCEL:
                return self.queries.view(task)
            run = self.fleet.active_task(task_id)
            if run is not None:
                if await self._tell(run, command):
                    return self.queries.view(run.task)
            elif await self._tell_waiting(task_id, command):
                return await self.queries.task(task_id)
            await trio.sleep(HANDOVER_POLL)

    async def _tell_split(self, task_id: str, command: Command) -> TaskView:
        """Commands a split task, and with it all of its parts that have not ended."""
        try:
            parts = await self.fleet.splits.obey(task_id, command)
        except StoreUnavailable as error:
            raise StoreDown(f"nothing was changed: {error}") from error
        await self._tell_parts(task_id, parts, command)
        return await self.queries.task(task_id)

    async def _tell_parts(self, task_id: str, parts: Sequence[str], command: Command) -> None:
        """Those that cannot be told now will be: the task has the command."""
        for part in parts:
            try:
                await self.carry_out(part, command)
            except (NotPossible, UnknownTask):
                pass  # it has ended meanwhile
            except (StoreDown, StoreUnavailable):
                self._untold.add(task_id)
                self._repeat.set()

    async def _tell_waiting(self, task_id: str, command: Command) -> bool:
        """See `waiting.obey`."""
        try:
            return await waiting.obey(self.fleet, task_id, command)
        except StoreUnavailable as error:
            raise StoreDown(f"nothing was changed: {error}") from error

    async def _tell(self, run: ActiveTask, command: Command) -> bool:
        """False when the task does not take it, see `ActiveTask.obey`. Refused while the store is
        unavailable: the task itself may be waiting for it."""
        health = self.context.store.health
        if not health.ok:
            raise StoreDown(f"nothing was changed: {health.reason}")
        try:
            return await run.obey(command)
        except StoreUnavailable as error:
            raise StoreDown(f"nothing was changed: {error}") from error


def _check(state: TaskState, desired: RequestedState, task_id: str, command: Command) -> bool:
    """Whether the task has been canceled already, as is wanted. Raises `NotPossible`."""
    if command.desired is RequestedState.CANCEL:
        if state in SETTLED - {TaskState.CANCELED}:
            raise NotPossible(f"task {task_id} is already {state}")
        return state is TaskState.CANCELED
    verb = "paused" if command.desired is RequestedState.PAUSE else "resumed"
    if state in SETTLED or state is TaskState.EXPORTING:
        raise NotPossible(f"task {task_id} is {state} and cannot be {verb}")
    if desired is RequestedState.CANCEL:
        raise NotPossible(f"task {task_id} is being canceled and cannot be {verb}")
    return False
