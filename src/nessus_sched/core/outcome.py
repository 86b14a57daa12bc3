"""What the journal keeps about the end of a task: what was asked for and what came of it, so that
this can be proved when the task itself was deleted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nessus_sched.core.coverage import why_unfinished
from nessus_sched.core.states import SETTLED
from nessus_sched.core.task import ScanRequest, Task

OUTCOME: Final = "outcome"
"""The key of this document in the detail of a journal entry."""
MOST_TEXT: Final = 16_384
"""Characters of targets that are kept."""
_COUNTS: Final = (
    "hosts", "hosts_finished", "findings", "complete", "severity_counts", "compliance_counts",
)  # fmt: skip
_LOGIN: Final = ("credential", "one_of", "protocol", "user", "hosts")


def outcome_of(task: Task) -> dict[str, Any] | None:
    """None for a task that has not settled, and for a part: its whole task has one."""
    if task.state not in SETTLED or task.part is not None:
        return None
    return {
        "request": request_document(task.request),
        "created": task.created_at,
        "submitter": _submitter(task),
        "schedule": _schedule(task),
        "attempts": task.attempt,
        "parts": {} if task.split is None else {str(k): n for k, n in task.split.states.items()},
        "scanners": _scanners(task),
        "partial": task.partial,
        "discarded": task.discard,
        **_found(task),
    }


def request_document(request: ScanRequest) -> dict[str, Any]:
    """What was asked for, in JSON; names of credentials, never secrets."""
    verify = request.verify
    document: dict[str, Any] = {
        "name": request.name,
        "kind": str(request.kind),
        "targets": _bounded(request.targets),
        "exclude": _bounded(request.exclude),
        "credentials": list(request.credentials),
        "template": request.template,
        "policy": request.policy,
        "audit": request.audit,
        "discovery": None if request.discovery is None else str(request.discovery),
        "profile": request.profile,
        "settings": dict(request.settings),
        "pool": request.pool,
        "scanner_instance": request.scanner_instance,
        "between": request.between,
        "rescan_of": request.rescan_of,
        "verifies": None if verify is None else len(verify.findings),
    }
    return {name: value for name, value in document.items() if value not in (None, "", [], {})}


def _bounded(texts: Sequence[str]) -> dict[str, Any] | list[str]:
    """The texts; of very many the first ones, their number, and the SHA-256 of all lines."""
    room, kept = MOST_TEXT, 0
    for text in texts:
        room -= len(text) + 1
        if room < 0:
            break
        kept += 1
    if kept == len(texts):
        return list(texts)
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    return {"first": list(texts[:kept]), "count": len(texts), "sha256": digest}


def _submitter(task: Task) -> dict[str, Any]:
    who = task.submitter
    if who is None:
        return {"actor": task.actor}
    return {"actor": task.actor, "user": who.user, "uid": who.uid, "client": who.client}


def _schedule(task: Task) -> dict[str, Any] | None:
    found = task.schedule
    if found is None:
        return None
    return {"id": found.schedule_id, "name": found.name, "nominal": found.nominal}


def _scanners(task: Task) -> list[str]:
    """Those that its reports are from, or else the last one that took it."""
    found = [each.scanner_instance for each in task.kept_reports] or [task.scanner_instance]
    return sorted({name for name in found if name})


def _found(task: Task) -> dict[str, Any]:
    """What the results say, in short; nothing if there are none."""
    summary = task.summary
    if summary is None:
        return {"results": None}
    scan: Mapping[str, Any] = summary.get("scan", {})
    verdict: Mapping[str, Any] = summary.get("verdict", {})
    coverage: dict[str, Any] | None = summary.get("coverage")
    if coverage is not None and coverage["not_reached"]:
        coverage = {**coverage, "why": why_unfinished(task)}
    return {
        "results": {
            **{name: summary[name] for name in _COUNTS if name in summary},
            "coverage": coverage,
            "plugin_set": scan.get("plugin_set", ""),
            "scanner_version": scan.get("scanner_version", ""),
            "policy": scan.get("policy", ""),
            "started": scan.get("started", ""),
            "ended": scan.get("ended", ""),
            "logins": {name: count for name, count in verdict.get("counts", {}).items() if count},
            "credentials": [
                {name: each.get(name) for name in _LOGIN} for each in verdict.get("logins", ())
            ],
            "warnings": sorted({each["code"] for each in summary.get("warnings", ())}),
        }
    }
