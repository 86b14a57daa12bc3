"""What is open in the scope of a report, from the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.api.app import ReadApp
from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.operations import Call
from nessus_sched.api.outcomes.search import seen_by
from nessus_sched.api.reporting.scope import ReportScope
from nessus_sched.core.exceptions.rule import ExceptionKind
from nessus_sched.results.ledger.search import LedgerPage, LedgerSearch
from nessus_sched.results.model import NO_SEVERITY, SEVERITIES, UNKNOWN_SEVERITY
from nessus_sched.results.query.model import MAX_PAGE_SIZE, Condition, GroupBy, Op, Query

SERIOUS: Final = (*range(1, len(SEVERITIES)), NO_SEVERITY)
"""The severities that reports are about; an unknown one may be serious."""
_HIDING: Final = (ExceptionKind.ACCEPTED, ExceptionKind.FALSE_POSITIVE)
NOT_EXCEPTED: Final = Condition(
    field="exception", op=Op.NOT_IN, value=tuple(kind.value for kind in _HIDING)
)

_CHECK: Final = Condition(field="compliance_check_name", op=Op.PRESENT)
NO_CHECK: Final = Condition(field="compliance_check_name", op=Op.ABSENT)
"""Compliance checks have no severity of their own: reports list them apart."""


def _of_kind(kind: ExceptionKind) -> Condition:
    return Condition(field="exception", op=Op.EQUAL, value=kind.value)


CHANGED: Final = _of_kind(ExceptionKind.SEVERITY)
_FAILED: Final = (NOT_EXCEPTED, _CHECK)
"""Open ones do not pass. Exceptions are not counted for checks, so each is looked at."""


@attrs.frozen(kw_only=True)
class Finder:
    """Asks the ledger on behalf of a caller, about the hosts in a scope. Exceptions count until
    `now` (epoch seconds): `excepted` has the number of open findings by kind of exception, and
    `checks` is how many compliance checks do not pass, which no other number has. To look at the
    exception of each finding takes a while, and is left out where there is none."""

    app: ReadApp
    call: Call
    scope: ReportScope
    now: float
    excepted: Mapping[ExceptionKind, int] = attrs.field(factory=dict)
    checks: int = 0

    async def counted(self) -> Finder:
        """With what is excepted, and compliance checks."""
        page = await self.page(fields=("host",), page_size=1)
        self = attrs.evolve(self, checks=sum(page.checks.values()))
        if not sum(page.excepted.values()):
            return self
        counts = {kind: sum((await self.counts(_of_kind(kind))).values()) for kind in ExceptionKind}
        return attrs.evolve(self, excepted={kind: n for kind, n in counts.items() if n})

    @property
    def not_excepted(self) -> tuple[Condition, ...]:
        """What leaves out findings that are accepted or called false."""
        hidden = any(self.excepted.get(kind) for kind in _HIDING)
        return (NOT_EXCEPTED,) if hidden else ()

    @property
    def _changed(self) -> bool:
        return bool(self.excepted.get(ExceptionKind.SEVERITY))

    async def page(self, *conditions: Condition, **asked: Any) -> LedgerPage:
        query = Query(conditions=(*self.scope.conditions, *conditions), optional=(), **asked)
        search = LedgerSearch(
            query=query, now=self.now, stale_after=self.app.config.ledger.stale_after,
            seen=seen_by(self.app.scopes_of(self.call.peer)), labelled=self.scope.labelled,
        )  # fmt: skip
        with as_tool_errors():
            return await self.app.ledger.search(search)

    async def counts(self, *conditions: Condition) -> dict[str, int]:
        """How many match, by severity."""
        return dict((await self.page(*conditions, fields=("host",), page_size=1)).severities)

    @property
    def serious(self) -> tuple[Condition, ...]:
        """What is open from low up, after exceptions, without compliance checks."""
        name = "effective_severity" if self._changed else "severity"
        apart = (NO_CHECK,) if self.checks else ()
        return (*self.not_excepted, *apart, Condition(field=name, op=Op.IN, value=SERIOUS))

    async def posture(self, *conditions: Condition) -> dict[str, int]:
        """Serious findings by severity, after exceptions."""
        found = await self.counts(*self.not_excepted, *conditions)
        changed = await self.counts(CHANGED, *conditions) if self._changed else {}
        for name, count in changed.items():
            found[name] -= count
        if changed:
            for number in SERIOUS:
                now_so = Condition(field="effective_severity", op=Op.EQUAL, value=number)
                name = UNKNOWN_SEVERITY if number == NO_SEVERITY else SEVERITIES[number]
                among = await self.counts(CHANGED, now_so, *conditions)
                found[name] = found.get(name, 0) + sum(among.values())
        return {name: found[name] for name in (*reversed(SEVERITIES), UNKNOWN_SEVERITY)
                if found.get(name) and name != SEVERITIES[0]}  # fmt: skip

    async def solutions(self, most: int) -> LedgerPage:
        """What to do about serious findings, worst first, without exceptions."""
        return await self.page(*self.serious, group_by=GroupBy.SOLUTION, page_size=most)

    async def rows(
        self, conditions: Sequence[Condition], fields: tuple[str, ...], most: int
    ) -> tuple[list[Mapping[str, Any]], int]:
        """The first findings that match, worst first, and how many match."""
        found: list[Mapping[str, Any]] = []
        cursor, total = None, 0
        while len(found) < most:
            size = min(MAX_PAGE_SIZE, most - len(found))
            page = await self.page(*conditions, fields=fields, page_size=size, cursor=cursor)
            found += page.rows
            cursor, total = page.next_cursor, page.total
            if cursor is None:
                break
        return found, total

    async def failed_checks(self, fields: tuple[str, ...], most: int) -> list[Mapping[str, Any]]:
        """The first compliance checks that do not pass, without exceptions."""
        return (await self.rows(_FAILED, fields, most))[0] if self.checks else []

    async def failed_check_hosts(self) -> tuple[int, int]:
        """How many compliance checks do not pass, without exceptions, and on how many hosts."""
        if not self.checks:
            return 0, 0
        page = await self.page(*_FAILED, group_by=GroupBy.HOST, page_size=1)
        return page.total, page.groups or 0
