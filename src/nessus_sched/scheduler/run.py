"""A run: one task while it occupies a scanner or is being exported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import trio

from nessus_sched.core.journal import SYSTEM, JournalEntry
from nessus_sched.core.scanner import RemoteScan
from nessus_sched.core.states import TaskState, check_transition
from nessus_sched.core.task import Desired, Task, TaskError
from nessus_sched.scheduler.context import Context


class Run:
    """Holds the present `Task` of one active task and is the only one to change it.

    Invariant: `task` is what the store holds. Every change is durable before it is seen
    here; the lock keeps a command of the submitter and the task's own progress apart.
    """

    def __init__(self, context: Context, task: Task, *, unsure: bool = False) -> None:
        self.context = context
        self.task = task
        self.unsure = unsure
        """A create or launch may have happened without our knowing: look before acting."""
        self.setbacks = 0
        """Troubles met in the present attempt's launch; not durable, only paces retries."""
        self.row: RemoteScan | None = None
        """The scan's row in the latest list, None when it was not in it."""
        self.seen = False
        """At least one list has been taken since the scan was launched or adopted."""
        self.progress: int | None = task.progress
        self.details_at = float("-inf")
        self.command_at = float("-inf")
        """When a pause, resume or stop was last sent, so that it is not repeated at once."""
        self._lock = trio.Lock()
        self._woken = trio.Event()

    async def advance(
        self,
        after: TaskState | None = None,
        *,
        event: str,
        cause: str = "",
        actor: str = SYSTEM,
        detail: Mapping[str, Any] | None = None,
        error: TaskError | None = None,
        **changes: Any,
    ) -> None:
        """Moves the task to `after` (None: stays where it is), durably, then in memory.

        Waits out a store that cannot write: what a scanner has done must not be forgotten.
        Raises `IllegalTransition` and changes nothing when the table forbids it.
        """
        async with self._lock:
            before = self.task.state
            now = self.context.now()
            if error is not None:
                changes["last_error"] = error
            if after is not None and after is not before:
                check_transition(before, after)
                changes["state"] = after
                changes["entered"] = {**self.task.entered, after: now}
            task = attrs.evolve(self.task, **changes)
            entry = JournalEntry(
                at=now,
                event=event,
                actor=actor,
                task_id=task.task_id,
                before=before,
                after=task.state,
                cause=cause,
                detail=detail or {},
            )
            await self.context.record_surely(task, entry)
            self.task = task

    async def want(self, desired: Desired, *, actor: str, cause: str) -> None:
        """Takes a command of the submitter durably and wakes the task's life to obey it."""
        await self.advance(event=f"{desired}_requested", cause=cause, actor=actor, desired=desired)
        self.command_at = float("-inf")
        self.wake()

    @property
    def canceling(self) -> bool:
        return self.task.desired is Desired.CANCEL

    def observe(self, row: RemoteScan | None) -> None:
        """Takes the scan's row from a list of the scanner's."""
        self.row = row
        self.seen = True
        self.wake()

    def wake(self) -> None:
        self._woken.set()

    async def woken(self, *, within: float) -> None:
        """Returns at the next `wake`, or after `within` seconds."""
        with trio.move_on_after(within):
            await self._woken.wait()
        self._woken = trio.Event()
