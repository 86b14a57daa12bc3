"""How good estimates were: the start that a submitter was told, and the one that came."""

from __future__ import annotations

from collections.abc import Callable

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task


class Foresight:
    """Remembers the first start that was told for each waiting task.

    `observe_error` gets the seconds between it and the real one. What was told before a
    restart is forgotten.
    """

    def __init__(self, observe_error: Callable[[float], None]) -> None:
        self._observe_error = observe_error
        self._told: dict[str, float] = {}

    def told(self, task_id: str, start: float) -> None:
        """A submitter was told that the task will start at `start` (epoch seconds)."""
        self._told.setdefault(task_id, start)

    def observe(self, task: Task, entry: JournalEntry) -> None:
        """An observer of the scheduler."""
        if entry.after is TaskState.QUEUED or task.task_id not in self._told:
            return
        start = self._told.pop(task.task_id)
        if entry.after is TaskState.LAUNCHING:
            self._observe_error(abs(entry.at - start))
