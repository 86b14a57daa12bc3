"""Gathers what the report for management says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.reporting.open_findings import Finder
from nessus_sched.api.reporting.scope import Asked
from nessus_sched.core.exceptions.rule import ExceptionKind
from nessus_sched.results.ledger.logins import LoginRun
from nessus_sched.results.ledger.reach import Reach
from nessus_sched.results.query.model import Condition, Op
from nessus_sched.results.reports import management
from nessus_sched.results.reports.period import DAY, Period

LATELY: Final = 30
"""Days in which a target should have been scanned."""
_LOGINS: Final = 3
_ROWS: Final = 1000


async def gather(finder: Finder, period: Period, _asked: Asked) -> dict[str, Any]:
    """What the template shows, and `rows`: what to do, by solution."""
    solutions = await finder.solutions(_ROWS)
    exploited = Condition(field="cisa_kev", op=Op.EQUAL, value=True)
    facts = management.Facts(
        period=period,
        open=await finder.posture(),
        before=None,
        exploited=sum((await finder.posture(exploited)).values()),
        fixed=None,
        trend=[],
        trend_by="week",
        ages=[await finder.posture(*_aged(place)) for place in range(len(management.AGES))],
        solutions=solutions.rows,
        solutions_total=solutions.total,
        coverage=await _coverage(finder),
        days=LATELY,
        excepted=await _excepted(finder),
        logins=await _logins(finder),
        in_time=None,
    )
    rows = [management.solution(row, period) for row in solutions.rows]
    return {**management.document(facts), "rows": rows}


def _aged(place: int) -> tuple[Condition, ...]:
    """The conditions on the ages of one group."""
    most = management.AGES[place][0]
    least = management.AGES[place - 1][0] if place else None
    found = []
    if most is not None:
        found.append(Condition(field="age_days", op=Op.AT_MOST, value=most))
    if least is not None:
        found.append(Condition(field="age_days", op=Op.GREATER, value=least))
    return tuple(found)


async def _coverage(finder: Finder) -> Mapping[Reach, int]:
    counts = Counter[Reach]()
    targets = finder.scope.targets
    if targets is not None and targets.address_count:
        with as_tool_errors():
            for each in await finder.app.ledger.reach(targets, finder.now - LATELY * DAY):
                counts[each.status] += each.size
    return counts


async def _excepted(finder: Finder) -> dict[str, int]:
    """Open findings by the kind of their exception."""
    return {
        kind.value: sum(
            (
                await finder.counts(
                    Condition(field="exception", op=Op.EQUAL, value=kind.value),
                )
            ).values()
        )
        for kind in ExceptionKind
    }


async def _logins(finder: Finder) -> dict[str, LoginRun]:
    """The latest scan with each credential. It is of all hosts of a scan, and so not for limited
    roles or scopes."""
    found: dict[str, LoginRun] = {}
    if finder.scope.region is None:
        with as_tool_errors():
            for each in finder.app.config.credentials:
                for run in await finder.app.ledger.logins(each.name, 1):
                    found[each.name] = run
    latest = sorted(found, key=lambda name: found[name].at, reverse=True)
    return {name: found[name] for name in latest[:_LOGINS]}
