"""Cancels tasks at their deadlines."""

from __future__ import annotations

import math
from typing import Final

import trio
from sortedcontainers import SortedSet

from nessus_sched.core.command import past_deadline
from nessus_sched.core.states import SETTLED
from nessus_sched.core.task import RequestedState, Task
from nessus_sched.scheduler.commands import Commands
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.errors import NotPossible, StoreDown, UnknownTask
from nessus_sched.telemetry import events

_LAST: Final = "\N{LATIN SMALL LETTER Z WITH STROKE}"
"""Sorts after every task id."""


class Deadlines:
    """Those of all tasks that have not settled. Its parts end with a split task."""

    def __init__(self, context: Context, commands: Commands) -> None:
        self._context = context
        self._commands = commands
        self._at: dict[str, float] = {}
        self._order: SortedSet[tuple[float, str]] = SortedSet()
        self._earlier = trio.Event()
        context.observers.append(lambda task, _entry: self.note(task))

    def note(self, task: Task) -> None:
        """A task that was read at start or has changed."""
        known = self._at.pop(task.task_id, None)
        if known is not None:
            self._order.discard((known, task.task_id))
        live = task.state not in SETTLED and task.desired is not RequestedState.CANCEL
        if task.deadline is not None and task.part is None and live:
            self._at[task.task_id] = task.deadline
            self._order.add((task.deadline, task.task_id))
            self._earlier.set()

    async def run(self) -> None:
        """Until canceled."""
        while True:
            self._earlier = trio.Event()
            if not self._order:
                await self._earlier.wait()
            now = (self._context.wall(), _LAST)
            for _, task_id in list(self._order.irange(maximum=now)):
                await self._expire(task_id)
            later = next(self._order.irange(minimum=now), None)
            wait = math.inf if later is None else later[0] - self._context.wall()
            with trio.move_on_after(min(max(wait, 0.0), self._context.clock_checks)):
                await self._earlier.wait()

    async def _expire(self, task_id: str) -> None:
        try:
            await self._commands.carry_out(task_id, past_deadline(self._context.wall()))
        except StoreDown as failure:  # tried again at the next look
            self._context.log.warning(events.DEADLINE_DELAYED, task_id=task_id, reason=str(failure))
        except (NotPossible, UnknownTask):
            pass  # it has settled meanwhile
