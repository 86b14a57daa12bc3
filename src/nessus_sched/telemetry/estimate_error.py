"""Measures how far estimated start times were from the actual ones."""

from __future__ import annotations

from collections.abc import Callable

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task


class EstimateErrorTracker:
    """Remembers the first estimate given for each waiting task.

    Calls `observe_error` with the difference from the actual start in seconds. Estimates
    given before a restart are forgotten.
    """

    def __init__(self, observe_error: Callable[[float], None]) -> None:
        self._observe_error = observe_error
        self._estimates: dict[str, float] = {}

    def estimate_given(self, task_id: str, start: float) -> None:
        """The submitter was given `start` (epoch seconds) as the estimated start of the task."""
        self._estimates.setdefault(task_id, start)

    def observe(self, task: Task, entry: JournalEntry) -> None:
        """An observer of the scheduler."""
        if entry.after is TaskState.QUEUED or task.task_id not in self._estimates:
            return
        start = self._estimates.pop(task.task_id)
        if entry.after is TaskState.LAUNCHING:
            self._observe_error(abs(entry.at - start))
