"""The findings of a pack as rows of its tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from nessus_sched.core.exceptions.exception import FindingException
from nessus_sched.core.exceptions.rule import ExceptionKind, Subject, address_number
from nessus_sched.results.ledger.as_of import PastFinding
from nessus_sched.results.ledger.states import State
from nessus_sched.results.model import NO_SEVERITY, severity_name
from nessus_sched.results.pack.exceptions import Covering, Term
from nessus_sched.results.pack.times import iso

_FINDING: Final = (
    "host", "port", "protocol", "severity", "plugin_id", "plugin_name", "compliance_check_name",
    "cve", "cisa_kev", "first_seen", "first_task_id",
)  # fmt: skip
OPEN_COLUMNS: Final = (
    *_FINDING, "state", "since", "unverified", "unverified_since", "times_resurfaced",
    "host_scanned", "effective_severity", "exception", "exception_id",
)  # fmt: skip
FIXED_COLUMNS: Final = (*_FINDING, "last_seen", "fixed_at", "task_id")
NEW_COLUMNS: Final = (*_FINDING, "change", "at", "state")
EXCEPTION_COLUMNS: Final = (
    "exception_id", "kind", "status", "plugins", "cves", "hosts", "port", "severity", "reason",
    "owner", "proposed_by", "proposed_at", "approved_by", "approved_at", "expires", "ended_at",
    "cause", "findings", "source",
)  # fmt: skip


def open_row(finding: PastFinding, exception: FindingException | None) -> dict[str, Any]:
    """By `OPEN_COLUMNS`."""
    unverified = finding.unverified_since if finding.reason is not None else None
    return {
        **_plain(finding),
        "state": "resurfaced" if finding.state is State.RESURFACED else "open",
        "since": iso(finding.since),
        "unverified": None if finding.reason is None else finding.reason.value,
        "unverified_since": iso(unverified),
        "times_resurfaced": finding.resurfaced,
        "host_scanned": iso(finding.host_scanned),
        "effective_severity": _severity(_effective(finding, exception)),
        "exception": None if exception is None else exception.rule.kind.value,
        "exception_id": None if exception is None else exception.exception_id,
    }


def fixed_row(finding: PastFinding) -> dict[str, Any]:
    """By `FIXED_COLUMNS`."""
    return {
        **_plain(finding),
        "last_seen": iso(finding.last_seen),
        "fixed_at": iso(finding.since),
        "task_id": finding.fixed_task_id,
    }


def new_row(finding: PastFinding, since: float) -> dict[str, Any] | None:
    """By `NEW_COLUMNS`; None for a finding that was known before `since` and not fixed then."""
    state = "fixed" if finding.state is State.FIXED else "open"
    if finding.first_seen >= since:
        return {**_plain(finding), "change": "new", "at": iso(finding.first_seen), "state": state}
    if finding.state is State.RESURFACED and finding.since >= since:
        return {**_plain(finding), "change": "resurfaced", "at": iso(finding.since), "state": state}
    return None


def exception_of(finding: PastFinding, covering: Covering) -> FindingException | None:
    """The exception that counts for a finding."""
    return covering.of(
        Subject(
            plugin_id=finding.plugin_id, cves=finding.cves, name=finding.host,
            address=address_number(finding.ip or finding.host), port=finding.port,
            protocol=finding.protocol,
        )
    )  # fmt: skip


def exception_row(term: Term, findings: int) -> dict[str, Any]:
    """By `EXCEPTION_COLUMNS`; `findings` is how many open ones it counts for."""
    exception, rule = term.exception, term.exception.rule
    return {
        "exception_id": exception.exception_id,
        "kind": rule.kind.value,
        "status": exception.status.value,
        "plugins": [str(each) for each in rule.plugins],
        "cves": list(rule.cves),
        "hosts": list(rule.hosts),
        "port": rule.port_text,
        "severity": None if rule.severity is None else _severity(rule.severity),
        "reason": exception.reason,
        "owner": exception.owner,
        "proposed_by": exception.actor,
        "proposed_at": iso(exception.proposed_at),
        "approved_by": term.approver,
        "approved_at": iso(exception.approved_at),
        "expires": iso(exception.expires),
        "ended_at": iso(exception.ended_at),
        "cause": exception.cause,
        "findings": findings,
        "source": term.source,
    }


def texts_of(some: Iterable[PastFinding]) -> set[str]:
    """The different texts of a report in the rows of findings."""
    found: set[str] = set()
    for each in some:
        found.update((each.host, each.name or "", each.check or "", *each.cves))
    return found


def severity_of(finding: PastFinding) -> str:
    return _severity(finding.severity)


def _plain(finding: PastFinding) -> Mapping[str, Any]:
    return {
        "host": finding.host,
        "port": finding.port,
        "protocol": finding.protocol,
        "severity": _severity(finding.severity),
        "plugin_id": finding.plugin_id,
        "plugin_name": finding.name,
        "compliance_check_name": finding.check,
        "cve": list(finding.cves),
        "cisa_kev": finding.exploited,
        "first_seen": iso(finding.first_seen),
        "first_task_id": finding.first_task_id,
    }


def _effective(finding: PastFinding, exception: FindingException | None) -> int:
    if exception is None or exception.rule.kind is not ExceptionKind.SEVERITY:
        return finding.severity
    return finding.severity if exception.rule.severity is None else exception.rule.severity


def _severity(number: int) -> str:
    return severity_name(None if number == NO_SEVERITY else number)
