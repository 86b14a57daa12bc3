"""The life of a task in the log: one line for every durable change."""

from __future__ import annotations

import structlog

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task

log = structlog.get_logger("tasks")

_LOUD = frozenset({TaskState.DEAD, TaskState.TIMED_OUT, TaskState.RETRY_WAIT})


def log_change(task: Task, entry: JournalEntry) -> None:
    """An observer of the scheduler: logs `task_EVENT` with the ids and names of the task.

    Warnings are what a person may have to look at. The request's free texts stay out.
    """
    write = log.warning if entry.after in _LOUD and entry.after != entry.before else log.info
    error = task.last_error
    fields = {
        "task_id": task.task_id,
        "trace_id": task.trace_id,
        "scan_type": task.request.kind,
        "state": task.state,
        "attempt": task.attempt or None,
        "scanner_instance": task.scanner_instance,
        "scan_id": task.nessus_scan_id,
        "actor": entry.actor,
        "cause": entry.cause or None,
        "error": f"{error.kind}: {error.message}" if error and entry.after in _LOUD else None,
    }
    write(f"task_{entry.event}", **{key: value for key, value in fields.items() if value})
