"""Waiting for a task's next change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.task import Task


class StateWaiters:
    """Wakes whatever waits for a task. Holds nothing for other tasks."""

    def __init__(self) -> None:
        self._waiters: dict[str, tuple[trio.Event, int]] = {}
        """The event of each task that is waited for, and by how many."""

    def observe(self, task: Task, entry: JournalEntry) -> None:
        if entry.before is not entry.after and task.task_id in self._waiters:
            self._waiters.pop(task.task_id)[0].set()

    @contextmanager
    def of(self, task_id: str) -> Iterator[trio.Event]:
        """An event that is set when the task enters another state. Subscribe before reading the
        current state, or a change in between is missed."""
        event, count = self._waiters.get(task_id, (trio.Event(), 0))
        self._waiters[task_id] = (event, count + 1)
        try:
            yield event
        finally:
            waiters = self._waiters.get(task_id)
            if waiters is not None and waiters[0] is event:
                self._waiters[task_id] = (event, waiters[1] - 1)
                if waiters[1] == 1:
                    del self._waiters[task_id]
