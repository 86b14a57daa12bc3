"""Gathers what the report for management says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import attrs

from nessus_sched.api.errors import as_tool_errors
from nessus_sched.api.reporting.open_findings import Finder
from nessus_sched.api.reporting.scope import Asked
from nessus_sched.results.ledger.logins import LoginRun
from nessus_sched.results.ledger.reach import Reach
from nessus_sched.results.ledger.sla import SlaCounts, SlaQuery
from nessus_sched.results.ledger.trend import Step, TrendQuery
from nessus_sched.results.query.model import Condition, Op
from nessus_sched.results.reports import management
from nessus_sched.results.reports.period import DAY, Period

LATELY: Final = 30
"""Days in which a target should have been scanned."""
_LOGINS: Final = 3
_WEEKS: Final = 13
"""Weeks that a trend shows at least."""
_LONG: Final = 200
"""Days from which on it shows months."""
_ROWS: Final = 1000


async def gather(finder: Finder, period: Period, _asked: Asked) -> dict[str, Any]:
    """What the template shows, and `rows`: what to do, by solution."""
    solutions = await finder.solutions(_ROWS)
    exploited = Condition(field="cisa_kev", op=Op.EQUAL, value=True)
    history = await _history(finder, period)
    facts = management.Facts(
        period=period,
        open=await finder.posture(),
        ended=period.until < finder.now,
        history=history,
        exploited=sum((await finder.posture(exploited)).values()),
        ages=[await finder.posture(*_aged(place)) for place in range(len(management.AGES))],
        solutions=solutions.rows,
        solutions_total=solutions.groups or 0,
        coverage=await _coverage(finder),
        all_allowed=finder.scope.all_allowed,
        days=LATELY,
        excepted={kind.value: count for kind, count in finder.excepted.items()},
        logins=await _logins(finder),
        sla=await _sla(finder, period),
        failed_checks=await finder.failed_check_hosts(),
    )
    rows = [management.solution(row, period) for row in solutions.rows]
    return {**management.document(facts), "rows": rows}


async def _history(finder: Finder, period: Period) -> management.History:
    """The trend of the period, and of some weeks before if it is short."""
    scope = finder.scope
    begin = min(period.since, period.until - _WEEKS * 7 * DAY)
    step = Step.MONTH if period.until - begin > _LONG * DAY else Step.WEEK
    whole = TrendQuery(
        since=begin, until=period.until, step=step, zone=period.zone, region=scope.region,
        labelled=scope.labelled,
    )  # fmt: skip
    before = attrs.evolve(whole, since=period.since - DAY, until=period.since)
    with as_tool_errors():
        points = await finder.app.ledger.trend(whole)
        earlier = await finder.app.ledger.trend(before)
        within = await finder.app.ledger.trend(attrs.evolve(whole, since=period.since))
    return management.History(
        step=step, points=points, before=earlier[-1].open if earlier else {}, within=within
    )


async def _sla(finder: Finder, period: Period) -> SlaCounts:
    query = SlaQuery(
        limits=finder.app.config.sla, since=period.since, now=finder.now,
        region=finder.scope.region, labelled=finder.scope.labelled,
    )  # fmt: skip
    with as_tool_errors():
        return await finder.app.ledger.sla(query)


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


async def _logins(finder: Finder) -> dict[str, LoginRun]:
    """The latest scan with each credential. It is of all hosts of a scan, and so not for limited
    roles or scopes."""
    found: dict[str, LoginRun] = {}
    if finder.scope.all_hosts:
        with as_tool_errors():
            for each in finder.app.config.credentials:
                for run in await finder.app.ledger.logins(each.name, 1):
                    found[each.name] = run
    latest = sorted(found, key=lambda name: found[name].at, reverse=True)
    return {name: found[name] for name in latest[:_LOGINS]}
