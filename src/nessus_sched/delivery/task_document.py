"""The document that the webhooks of `notifications` send."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from nessus_sched import __version__
from nessus_sched.core.delivery.happenings import Happening
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.targets.targets import size_of
from nessus_sched.core.task import Task
from nessus_sched.results.untrusted import clean_line

TARGETS: Final = 20


def task_document(task: Task, entry: JournalEntry, outcome: Happening) -> dict[str, Any]:
    """The document of a task that has ended. `id` is the same for every attempt."""
    summary, error = task.summary or {}, task.last_error
    verdict = summary.get("verdict") or {}
    completed = outcome is Happening.COMPLETED
    has_results = completed or task.partial is not None
    return {
        "id": f"{task.task_id}.{entry.after}.{round(entry.at)}",
        "event": outcome,
        "at": datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="seconds"),
        "program": f"nessus-sched/{__version__}",
        "task": {
            "task_id": task.task_id,
            "trace_id": task.trace_id,
            "status": entry.after,
            "kind": task.request.kind,
            "name": clean_line(task.request.name),
            "targets": list(task.request.targets[:TARGETS]),
            "target_count": size_of(task.request.targets),
            "scanner_instance": task.scanner_instance,
            "submitted_by": task.actor,
            "attempt": task.attempt,
        },
        "severity_counts": summary.get("severity_counts") if has_results else None,
        "compliance_counts": (summary.get("compliance_counts") or None) if has_results else None,
        "credentialed": verdict.get("credentialed") if has_results else None,
        "partial": None if task.partial is None else clean_line(task.partial, 500),
        "error": None
        if completed or error is None
        else {"code": error.kind, "message": clean_line(error.message, 500)},
    }
