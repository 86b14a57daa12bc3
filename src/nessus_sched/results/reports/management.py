"""The report for management: on one page the current state, the trend, and what to do first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.core.text import pluralize
from nessus_sched.results.ledger.logins import LoginRun
from nessus_sched.results.ledger.reach import Reach
from nessus_sched.results.ledger.sla import IN_TIME, SlaCounts, SlaState
from nessus_sched.results.ledger.trend import Step, TrendPoint
from nessus_sched.results.model import SEVERITIES, UNKNOWN_SEVERITY
from nessus_sched.results.reports import charts
from nessus_sched.results.reports.period import Period
from nessus_sched.results.reports.rendering import number, signed
from nessus_sched.results.untrusted import clean_line

FIRST: Final = 6
"""Solutions that are listed."""
AGES: Final = ((30, "to 30 days"), (90, "to 90 days"), (180, "to 180 days"), (None, "longer"))
"""Days that end each group of ages, and its label."""
_NO_SOLUTION: Final = "No solution is known"
_SOLUTION: Final = 180
_WORST: Final = (*reversed(SEVERITIES[1:]), UNKNOWN_SEVERITY)


@attrs.frozen(kw_only=True)
class History:
    """What happened: `points` are drawn, `within` are those of the period alone, and `before` is
    what was open at its start, by severity."""

    step: Step
    points: Sequence[TrendPoint]
    before: Mapping[str, int]
    within: Sequence[TrendPoint]


@attrs.frozen(kw_only=True)
class Facts:
    """What the report is made from. `open` counts by severity what is open now, without what is
    accepted or called false; `ended` tells whether the period ended before. `solutions` are
    groups of a search, `ages` the counts by severity for each of `AGES`. `logins` are the latest
    scans with each credential. `all_allowed`: `coverage` is that of all that may be scanned, of
    which the scanning program may need a small part. `failed_checks` is how many compliance checks
    do not pass, which no other number has, and on how many hosts."""

    period: Period
    open: Mapping[str, int]
    ended: bool
    history: History
    exploited: int
    ages: Sequence[Mapping[str, int]]
    solutions: Sequence[Mapping[str, Any]]
    solutions_total: int
    coverage: Mapping[Reach, int]
    all_allowed: bool
    days: int
    excepted: Mapping[str, int]
    logins: Mapping[str, LoginRun]
    sla: SlaCounts
    failed_checks: tuple[int, int] = (0, 0)


def document(facts: Facts) -> dict[str, Any]:
    """What the template shows, besides what every report has."""
    return {
        "tiles": _tiles(facts),
        "trend": charts.trend([_drawn(point, facts) for point in facts.history.points]),
        "trend_by": facts.history.step.value,
        "baseline": sum(point.baseline for point in facts.history.points),
        "ended": facts.ended,
        "first": [solution(row, facts.period) for row in facts.solutions[:FIRST]],
        "first_left_out": max(facts.solutions_total - FIRST, 0),
        "ages": charts.bars(
            (label, sum(counts.values()), _counted(counts))
            for (_, label), counts in zip(AGES, facts.ages, strict=True)
        ),
        "sla": _in_time(facts.sla),
        "coverage": _coverage(facts),
        "scanned": any(facts.coverage.get(each) for each in _SCANNED),
        "logins": [_login(*each, facts.period) for each in _by_scan(facts.logins)],
        "trend_excepted": sum(facts.excepted.values()),
        "checks": _checks(*facts.failed_checks),
        "exceptions": _exceptions(facts.excepted),
    }


def _tiles(facts: Facts) -> list[dict[str, Any]]:
    within = facts.history.within
    after = within[-1].open if within else {}
    shown = after if facts.ended else facts.open
    tiles = []
    for name in _WORST:
        count = shown.get(name, 0)
        if name == UNKNOWN_SEVERITY and not count:
            continue
        change = signed(after.get(name, 0) - facts.history.before.get(name, 0))
        tiles.append(_tile(name, count, f"{change} in the period", name))
    tiles.append(_tile("exploited", facts.exploited, "known, and open"))
    tiles.append(_tile("fixed", sum(each.fixed for each in within), "in the period"))
    return tiles


def _tile(label: str, count: int, change: str, tone: str = "") -> dict[str, Any]:
    return {"label": label, "value": count, "change": change, "tone": tone}


def _drawn(point: TrendPoint, facts: Facts) -> dict[str, Any]:
    day = facts.period.day(point.until - 1)
    return {
        "label": day[:7] if facts.history.step is Step.MONTH else day[5:],
        "open": sum(point.open.values()),
        "new": point.new + point.resurfaced,
        "fixed": point.fixed,
        "hosts": point.hosts,
    }


def solution(row: Mapping[str, Any], period: Period) -> dict[str, Any]:
    """A group of findings by solution, for people."""
    return {
        "solution": clean_line(row["solution"] or _NO_SOLUTION, _SOLUTION),
        "severity": row["severity"],
        "findings": row["findings"],
        "hosts": row["hosts"],
        "plugins": row["plugins"],
        "cisa_kev": row["cisa_kev"],
        "first_seen": period.day(row["first_seen"]),
    }


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in _WORST if counts.get(name))


def _in_time(found: SlaCounts) -> dict[str, Any] | None:
    parts = (
        ("in time", found.total(SlaState.ON_TIME) + found.total(SlaState.MET)),
        ("due soon", found.total(SlaState.DUE)),
        ("fixed late", found.total(SlaState.MET_LATE)),
        ("overdue", found.total(SlaState.BREACHED)),
    )
    total = sum(count for _, count in parts)
    if not total:
        return None
    in_time = sum(map(found.total, IN_TIME))
    overdue = found.counts.get(SlaState.BREACHED, {})
    text = f"{charts.percent(in_time, total)} in time."
    if overdue:
        text += f" Overdue: {_counted(overdue)}."
    return {"chart": charts.shares(parts), "text": text}


_SCANNED: Final = (Reach.COVERED, Reach.WITHOUT_LOGIN, Reach.UNFINISHED)
_SILENT: Final = (Reach.NO_LONGER_ANSWERS, Reach.NEVER_ANSWERED)


def _coverage(facts: Facts) -> dict[str, Any]:
    counts, days = facts.coverage, facts.days
    never = counts.get(Reach.NEVER_SCANNED, 0)
    scanned = sum(counts.get(each, 0) for each in _SCANNED)
    silent = sum(counts.get(each, 0) for each in _SILENT)
    parts = [
        ("scanned", scanned),
        ("no answer", silent),
        ("not lately", counts.get(Reach.NOT_LATELY, 0)),
        *([] if facts.all_allowed else [("never", never)]),
    ]
    doubts = [
        f"{number(counts[each])} {words}"
        for each, words in (
            (Reach.WITHOUT_LOGIN, "without a login"),
            (Reach.UNFINISHED, "not to the end"),
        )
        if counts.get(each)
    ]
    total = sum(count for _, count in parts)
    targets = f"{number(total)} {'target' if total == 1 else 'targets'}"
    kept = " that a scan has ever finished" if facts.all_allowed else ""
    text = f"Of {targets}{kept}, in the last {days} days."
    if doubts:
        text += f" Of those scanned, {' and '.join(doubts)}."
    if facts.all_allowed and never:
        text += f" {number(never)} more may be scanned but never were."
    return {"chart": charts.shares(parts), "text": text}


def _by_scan(logins: Mapping[str, LoginRun]) -> Iterator[tuple[str, LoginRun]]:
    """Credentials that the same scan used are one: how it went is known of all of them together."""
    names: dict[str, list[str]] = {}
    for name, run in logins.items():
        names.setdefault(run.task_id, []).append(name)
    for run in {run.task_id: run for run in logins.values()}.values():
        *most, last = names[run.task_id]
        yield f"{', '.join(most)} and {last}" if most else last, run


def _login(name: str, run: LoginRun, period: Period) -> str:
    rest = [
        f"{count} {word}" for count, word in ((run.partial, "in part"), (run.failed, "failed"))
        if count
    ]  # fmt: skip
    more = f", {', '.join(rest)}" if rest else ""
    hosts = pluralize(run.hosts, "host")
    return f"{name}, {period.day(run.at)}: full login on {run.full} of {hosts}{more}."


def _checks(failed: int, hosts: int) -> str | None:
    if not failed:
        return None
    return (
        f"Audits: {pluralize(failed, 'check')} failed on {pluralize(hosts, 'host')}, which are not "
        "counted above."
    )


def _exceptions(counts: Mapping[str, int]) -> str:
    found = ", ".join(
        f"{count} {kind.replace('_', ' ')}" for kind, count in counts.items() if count
    )
    return f"Findings with an exception: {found}." if found else "No finding has an exception."
