"""What the operations on exceptions answer."""

from __future__ import annotations

import attrs

from nessus_sched.api.answers import iso, person_text
from nessus_sched.core.exceptions.exception import FindingException
from nessus_sched.core.exceptions.rule import SEVERITIES
from nessus_sched.core.fields import field


@attrs.frozen(kw_only=True)
class ExceptionAnswer:
    exception_id: str = field("Its id.")
    status: str = field("proposed, approved (in force), rejected, revoked, expired or lapsed.")
    kind: str = field("accepted, false_positive or severity.")
    plugins: list[int] = field("Plugin ids.")
    cves: list[str] = field("CVEs.")
    hosts: list[str] = field("Its hosts; * means all.")
    port: str | None = field("Only this port; null means all.")
    severity: str | None = field("For kind severity.")
    reason: str = field("Why.")
    owner: str = field("Who is responsible for it.")
    until: str = field("Its end (ISO 8601).")
    proposed_by: str = field("Who proposed it.")
    proposed_at: str = field("ISO 8601.")
    decided_by: str | None = field("Who decided about it last.")
    decided_at: str | None = field("ISO 8601.")
    cause: str | None = field("Why it ended.")


def exception_answer(exception: FindingException) -> ExceptionAnswer:
    rule = exception.rule
    decided = exception.decided_at is not None
    return ExceptionAnswer(
        exception_id=exception.exception_id,
        status=exception.status,
        kind=rule.kind,
        plugins=list(rule.plugins),
        cves=list(rule.cves),
        hosts=list(rule.hosts),
        port=rule.port_text,
        severity=None if rule.severity is None else SEVERITIES[rule.severity],
        reason=exception.reason,
        owner=exception.owner,
        until=iso(exception.expires) or "",
        proposed_by=person_text(exception.actor, exception.submitter),
        proposed_at=iso(exception.proposed_at) or "",
        decided_by=person_text(exception.decided_by, exception.decider) if decided else None,
        decided_at=iso(exception.decided_at),
        cause=exception.cause or None,
    )
