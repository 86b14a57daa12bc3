"""The exceptions at the end of a period, from the journal: who proposed and approved them, why, and
until when; and which of them counts for a finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from nessus_sched.core.exceptions.exception import ExceptionStatus, FindingException, rank
from nessus_sched.core.exceptions.rule import ExceptionKind, Rule, Subject

_CHANGES: Final[Mapping[str, ExceptionStatus]] = {
    "exception_proposed": ExceptionStatus.PROPOSED,
    "exception_approved": ExceptionStatus.APPROVED,
    "exception_extended": ExceptionStatus.APPROVED,
    "exception_rejected": ExceptionStatus.REJECTED,
    "exception_revoked": ExceptionStatus.REVOKED,
    "exception_expired": ExceptionStatus.EXPIRED,
    "exception_lapsed": ExceptionStatus.LAPSED,
}
ENDED: Final = frozenset(ExceptionStatus) - {ExceptionStatus.PROPOSED, ExceptionStatus.APPROVED}


@attrs.define(kw_only=True)
class Term:
    """An exception as it stood. Moments are epoch seconds. `exception` has its rule, reason, owner
    and end; `approver` is who decided in its favor last."""

    exception: FindingException
    approver: str = ""
    source: str = "journal"

    @property
    def ended_at(self) -> float | None:
        return self.exception.ended_at

    def in_force(self, at: float) -> bool:
        return self.exception.in_force(at)


class Exceptions:
    """Follows the exceptions through the journal. `stored` are those of the store, for what the
    journal does not have: rows of older releases lack the reason, and the oldest rows may be
    deleted."""

    def __init__(self, stored: Iterable[FindingException] = ()) -> None:
        self._stored = {each.exception_id: each for each in stored}
        self.terms: dict[str, Term] = {}
        self._later: set[str] = set()

    def read(self, entry: Mapping[str, Any]) -> None:
        """An entry up to the end of the period."""
        status, detail = _CHANGES.get(entry["event"]), entry.get("detail", {})
        if status is None or "exception_id" not in detail:
            return
        before = self.terms.get(detail["exception_id"])
        self.terms[detail["exception_id"]] = self._after(before, status, entry, detail)

    def complete(self, until: float) -> list[Term]:
        """All of them, with those that only the store has, in the order of their ids."""
        for name, stored in self._stored.items():
            if name not in self.terms and stored.proposed_at < until:
                self.terms[name] = Term(
                    exception=_as_of(stored, until), approver=_approver_of(stored), source="store"
                )
        return [self.terms[name] for name in sorted(self.terms)]

    def _after(
        self,
        before: Term | None,
        status: ExceptionStatus,
        entry: Mapping[str, Any],
        detail: Mapping[str, Any],
    ) -> Term:
        actor, at = entry.get("actor", "system"), entry["at"]
        stored = self._stored.get(detail["exception_id"])
        known, approver = None, ""
        if before is not None:
            known, approver = before.exception, before.approver
        elif stored is not None and status is not ExceptionStatus.PROPOSED:
            known, approver = _as_of(stored, at), _approver_of(stored)
        changes: dict[str, Any] = {
            "exception_id": detail["exception_id"],
            "rule": _rule(detail),
            "reason": _reason(entry, detail, known, stored),
            "owner": detail["owner"],
            "expires": detail["expires"],
            "status": status,
            "cause": "" if status is ExceptionStatus.PROPOSED else entry.get("cause", ""),
            "ended_at": at if status in ENDED else None,
        }
        if known is None:
            changes |= {"actor": actor, "proposed_at": at}
        if status is ExceptionStatus.APPROVED:
            approver = actor
            changes |= {"decided_by": actor, "decided_at": at}
            if entry["event"] == "exception_approved":
                changes["approved_at"] = at
        if known is None:
            return Term(exception=FindingException(**changes), approver=approver)
        return Term(exception=attrs.evolve(known, **changes), approver=approver)


def _reason(
    entry: Mapping[str, Any],
    detail: Mapping[str, Any],
    known: FindingException | None,
    stored: FindingException | None,
) -> str:
    """Entries of older releases have it only if they propose, as their cause."""
    if "reason" in detail:
        return str(detail["reason"])
    if entry["event"] == "exception_proposed":
        return str(entry.get("cause", ""))
    found = known or stored
    return "" if found is None else found.reason


def _approver_of(stored: FindingException) -> str:
    """Of a stored one; not known any more if it was revoked."""
    approved = stored.approved_at is not None and stored.status is not ExceptionStatus.REVOKED
    return stored.decided_by if approved else ""


def _as_of(stored: FindingException, at: float) -> FindingException:
    """A stored one before what has happened to it since."""
    approved = stored.approved_at is not None and stored.approved_at < at
    if stored.ended_at is not None and stored.ended_at < at:
        return stored
    return attrs.evolve(
        stored,
        status=ExceptionStatus.APPROVED if approved else ExceptionStatus.PROPOSED,
        approved_at=stored.approved_at if approved else None,
        ended_at=None,
        cause="",
    )


def _rule(detail: Mapping[str, Any]) -> Rule:
    port, _, protocol = (detail.get("port") or "").partition("/")
    return Rule(
        kind=ExceptionKind(detail["kind"]),
        plugins=tuple(detail["plugins"]),
        cves=tuple(detail["cves"]),
        hosts=tuple(detail["hosts"]),
        port=int(port) if port else None,
        protocol=protocol or None,
        severity=detail.get("severity"),
    )


class Covering:
    """Tells which exception counts for a finding; of those in force at a time."""

    def __init__(self, terms: Iterable[Term], at: float) -> None:
        self._by_plugin: dict[int, list[FindingException]] = {}
        self._by_cve: dict[str, list[FindingException]] = {}
        for term in terms:
            if not term.in_force(at):
                continue
            for plugin in term.exception.rule.plugins:
                self._by_plugin.setdefault(plugin, []).append(term.exception)
            for cve in term.exception.rule.cves:
                self._by_cve.setdefault(cve, []).append(term.exception)

    def of(self, subject: Subject) -> FindingException | None:
        """The narrowest, as in the ledger."""
        found = [*self._by_plugin.get(subject.plugin_id, ())]
        if self._by_cve:
            found += [each for cve in subject.cves for each in self._by_cve.get(cve, ())]
        covering = [each for each in found if each.rule.covers(subject)]
        return min(covering, key=rank, default=None)
