"""Logs every durable change of a task."""

from __future__ import annotations

import structlog

from nessus_sched.core.asked import differing
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task
from nessus_sched.telemetry import events

_DETAILS = ("queue", "delay", "bytes", "findings", "hosts")
"""Keys of an entry's detail that become log fields."""

log = structlog.get_logger("tasks")

_WARN_STATES = frozenset(
    {TaskState.DEAD, TaskState.PARTIAL, TaskState.TIMED_OUT, TaskState.RETRY_WAIT}
)


def log_change(task: Task, entry: JournalEntry) -> None:
    """Observer for the scheduler: logs `task_EVENT` with the ids and names of the task.

    Changes that may need a person are warnings. The request's free text is not logged.
    """
    write = log.warning if entry.after in _WARN_STATES and entry.after != entry.before else log.info
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
        "error": f"{error.kind}: {error.message}"
        if error and entry.after in _WARN_STATES
        else None,
    }
    details = {key: entry.detail[key] for key in _DETAILS if key in entry.detail}
    known = {key: value for key, value in fields.items() if value}
    write(f"task_{entry.event}", **known, **details)
    if entry.after is TaskState.COMPLETED and entry.before is not entry.after:
        _log_verdict(task)
        _log_differences(task)


def _log_differences(task: Task) -> None:
    settings = differing(task.summary)
    if settings:
        log.warning(
            events.SETTINGS_DIFFER,
            task_id=task.task_id,
            trace_id=task.trace_id,
            scanner_instance=task.scanner_instance,
            settings=settings,
            template=task.asked.template if task.asked is not None else None,
        )


def _log_verdict(task: Task) -> None:
    """Only for scans with a login; a failed login is a warning."""
    verdict = (task.summary or {}).get("verdict")
    if not task.request.credentials or not verdict:
        return
    write = log.info if verdict["credentialed"] == "yes" else log.warning
    write(
        events.AUTH_VERDICT,
        task_id=task.task_id,
        trace_id=task.trace_id,
        scanner_instance=task.scanner_instance,
        credential=", ".join(task.request.credentials),
        credentialed=verdict["credentialed"],
        hosts={word: count for word, count in verdict["counts"].items() if count},
    )
