"""Waiting for a task's next change."""

from __future__ import annotations

import trio

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.task import Task


class Changes:
    """Wakes those who wait for a task. Holds nothing for tasks that nobody waits for."""

    def __init__(self) -> None:
        self._waiters: dict[str, trio.Event] = {}

    def observe(self, task: Task, entry: JournalEntry) -> None:
        if entry.before is not entry.after and task.task_id in self._waiters:
            self._waiters.pop(task.task_id).set()

    async def next_of(self, task_id: str) -> None:
        """Returns when the task enters another state."""
        event = self._waiters.setdefault(task_id, trio.Event())
        try:
            await event.wait()
        finally:
            if self._waiters.get(task_id) is event and not event.statistics().tasks_waiting:
                del self._waiters[task_id]
