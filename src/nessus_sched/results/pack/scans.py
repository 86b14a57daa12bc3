"""The scans of a pack as documents and as rows of its tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from nessus_sched.results.ledger.logins import ScanRun
from nessus_sched.results.pack.journal import ScanEnd
from nessus_sched.results.pack.times import iso

SCAN_COLUMNS: Final = (
    "task_id", "name", "schedule", "kind", "began", "ended", "state", "why", "scanners",
    "plugin_set", "scanner_version", "targets", "exclude", "credentials", "requested", "answered",
    "silent", "not_reached", "hosts_finished", "findings", "logins_full", "logins_partial",
    "logins_failed", "submitted_by", "journal_row", "source", "checks_failed", "checks_passed",
)  # fmt: skip
UNREACHED_COLUMNS: Final = ("task_id", "targets", "why")
LOGIN_COLUMNS: Final = ("task_id", "credential", "protocol", "user", "hosts")
_COVERAGE: Final = ("requested", "answered", "silent", "not_reached")
JOURNAL: Final = "journal"
"""The source of most scans: their outcome is in the chain."""


def scan_document(
    end: ScanEnd, *, outcome: Mapping[str, Any] | None, source: str
) -> dict[str, Any]:
    """`outcome` is that of the journal, or, for rows of older releases, that of the task if it is
    still stored; `source` says which."""
    return {
        "task_id": end.task_id,
        "began": iso(end.began),
        "ended": iso(end.settled),
        "state": end.state,
        "why": end.cause,
        "scanners": list(end.scanners),
        "journal_row": end.seq,
        "source": source,
        "outcome": outcome,
    }


def ledger_document(run: ScanRun) -> dict[str, Any]:
    """Of a scan that only the ledger knows; `ended` is when its last host was scanned."""
    logins = {"full": run.full, "partial": run.partial, "failed": run.failed}
    return {
        "task_id": run.task_id,
        "began": None,
        "ended": iso(run.at),
        "state": None,
        "why": "",
        "scanners": [],
        "journal_row": None,
        "source": "ledger",
        "outcome": {
            "request": {"credentials": list(run.credentials)},
            "results": {"hosts": run.hosts, "logins": {k: n for k, n in logins.items() if n}},
        },
    }


def scan_row(document: Mapping[str, Any]) -> dict[str, Any]:
    """By `SCAN_COLUMNS`."""
    outcome = document["outcome"] or {}
    request, results = outcome.get("request", {}), outcome.get("results") or {}
    coverage = results.get("coverage") or {}
    schedule, submitter = outcome.get("schedule") or {}, outcome.get("submitter") or {}
    logins = results.get("logins", {})
    return {
        **{name: document[name] for name in ("task_id", "began", "ended", "state", "source")},
        "journal_row": document["journal_row"],
        "name": request.get("name", ""),
        "schedule": schedule.get("name", ""),
        "kind": request.get("kind", ""),
        "why": document["why"] or outcome.get("partial") or "",
        "scanners": document["scanners"] or outcome.get("scanners", []),
        "plugin_set": results.get("plugin_set", ""),
        "scanner_version": results.get("scanner_version", ""),
        "targets": _targets(request.get("targets", [])),
        "exclude": _targets(request.get("exclude", [])),
        "credentials": request.get("credentials", []),
        **{name: coverage.get(name) for name in _COVERAGE},
        "hosts_finished": results.get("hosts_finished"),
        **_counts(results),
        **{f"logins_{name}": logins.get(name, 0) for name in ("full", "partial", "failed")},
        "submitted_by": submitter.get("user") or submitter.get("actor", ""),
    }


def _counts(results: Mapping[str, Any]) -> dict[str, int | None]:
    """Findings without compliance checks, and these: whatever does not pass has failed. Rows of
    older releases do not have them apart."""
    checks: Mapping[str, int] = results.get("compliance_counts") or {}
    every, passed = sum(checks.values()), checks.get("PASSED", 0)
    findings = results.get("findings")
    return {
        "findings": None if findings is None else findings - every,
        "checks_failed": every - passed if checks else None,
        "checks_passed": passed if checks else None,
    }


def unreached_rows(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """By `UNREACHED_COLUMNS`: the stretches that no scan of the task has finished."""
    results = (document["outcome"] or {}).get("results") or {}
    coverage = results.get("coverage") or {}
    why = coverage.get("why", "")
    for targets in coverage.get("not_reached_targets", ()):
        yield {"task_id": document["task_id"], "targets": targets, "why": why}
    if more := coverage.get("not_reached_left_out", 0):
        yield {"task_id": document["task_id"], "targets": f"and {more} more", "why": why}


def login_rows(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """By `LOGIN_COLUMNS`: on how many hosts each login worked."""
    results = (document["outcome"] or {}).get("results") or {}
    for each in results.get("credentials", ()):
        name = each["credential"] or " or ".join(each["one_of"])
        yield {
            "task_id": document["task_id"], "credential": name, "protocol": each["protocol"],
            "user": each["user"], "hosts": each["hosts"],
        }  # fmt: skip


def targets_of(outcome: Mapping[str, Any] | None) -> list[str] | None:
    """What was to be scanned; None if that is not known, or not all of it."""
    found = (outcome or {}).get("request", {}).get("targets")
    return found if isinstance(found, list) else None


def _targets(found: list[str] | Mapping[str, Any]) -> list[str]:
    if isinstance(found, list):
        return found
    return [*found["first"], f"and {found['count'] - len(found['first'])} more"]
