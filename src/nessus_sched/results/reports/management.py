"""The report for management: on one page how things are, where they go, and what to do first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.core.text import pluralize
from nessus_sched.results.ledger.logins import LoginRun
from nessus_sched.results.ledger.reach import Reach
from nessus_sched.results.model import SEVERITIES, UNKNOWN_SEVERITY
from nessus_sched.results.reports import charts
from nessus_sched.results.reports.period import Period
from nessus_sched.results.reports.rendering import signed
from nessus_sched.results.untrusted import clean_line

FIRST: Final = 6
"""Solutions that are listed."""
AGES: Final = ((30, "to 30 days"), (90, "to 90 days"), (180, "to 180 days"), (None, "longer"))
"""Days that end each group of ages, and its label."""
COLUMNS: Final = (
    "solution", "severity", "findings", "hosts", "plugins", "exploited", "open_since",
)  # fmt: skip
_NO_SOLUTION: Final = "No solution is known"
_SOLUTION: Final = 180
_WORST: Final = (*reversed(SEVERITIES[1:]), UNKNOWN_SEVERITY)


@attrs.frozen(kw_only=True)
class Point:
    """A week or month of a trend: what was open at its end, by severity, and what happened in
    it."""

    label: str
    open: Mapping[str, int]
    new: int
    fixed: int
    hosts: int


@attrs.frozen(kw_only=True)
class InTime:
    """Findings with a time limit: open ones that are in time, due soon or breached, and those
    fixed in the period in time or late."""

    on_time: int
    due: int
    breached: int
    met: int
    met_late: int


@attrs.frozen(kw_only=True)
class Facts:
    """What the report is made from. `open` and `before` count by severity what is open at the end
    and what was at the start of the period; `solutions` are groups of a search, `ages` the counts
    by severity for each of `AGES`. `logins` are the latest scans with each credential."""

    period: Period
    open: Mapping[str, int]
    before: Mapping[str, int] | None
    exploited: int
    fixed: int | None
    trend: Sequence[Point]
    trend_by: str
    ages: Sequence[Mapping[str, int]]
    solutions: Sequence[Mapping[str, Any]]
    solutions_total: int
    coverage: Mapping[Reach, int]
    days: int
    excepted: Mapping[str, int]
    logins: Mapping[str, LoginRun]
    in_time: InTime | None


def document(facts: Facts) -> dict[str, Any]:
    """What the template shows, besides what every report has."""
    return {
        "tiles": _tiles(facts),
        "trend": charts.trend([_drawn(point) for point in facts.trend]),
        "trend_by": facts.trend_by,
        "first": [solution(row, facts.period) for row in facts.solutions[:FIRST]],
        "first_left_out": max(facts.solutions_total - FIRST, 0),
        "ages": charts.bars(
            (label, sum(counts.values()), _counted(counts))
            for (_, label), counts in zip(AGES, facts.ages, strict=True)
        ),
        "sla": _in_time(facts.in_time),
        "coverage": _coverage(facts.coverage, facts.days),
        "scanned": any(facts.coverage.get(each) for each in _SCANNED),
        "logins": [_login(name, run, facts.period) for name, run in facts.logins.items()],
        "exceptions": _exceptions(facts.excepted),
    }


def _tiles(facts: Facts) -> list[dict[str, str]]:
    tiles = []
    for name in _WORST:
        count = facts.open.get(name, 0)
        if name == UNKNOWN_SEVERITY and not count:
            continue
        change = "" if facts.before is None else f"{signed(count - facts.before.get(name, 0))}"
        tiles.append(
            {"label": name, "tone": name, "value": str(count),
             "change": f"{change} in the period" if change else "open"}
        )  # fmt: skip
    tiles.append(
        {"label": "exploited", "tone": "", "value": str(facts.exploited),
         "change": "known, and open"}
    )  # fmt: skip
    if facts.fixed is not None:
        tiles.append(
            {"label": "fixed", "tone": "", "value": str(facts.fixed), "change": "in the period"}
        )
    return tiles


def _drawn(point: Point) -> dict[str, Any]:
    return {
        "label": point.label, "open": sum(point.open.values()), "new": point.new,
        "fixed": point.fixed, "hosts": point.hosts,
    }  # fmt: skip


def solution(row: Mapping[str, Any], period: Period) -> dict[str, Any]:
    """A group of findings by solution, for people."""
    return {
        "solution": clean_line(row["solution"] or _NO_SOLUTION, _SOLUTION),
        "severity": row["severity"],
        "findings": row["findings"],
        "hosts": row["hosts"],
        "plugins": row["plugins"],
        "exploited": row["cisa_kev"],
        "open_since": period.day(row["first_seen"]),
        "since": period.day(row["first_seen"]),
    }


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in _WORST if counts.get(name))


def _in_time(found: InTime | None) -> dict[str, Any] | None:
    if found is None:
        return None
    parts = (
        ("in time", found.on_time + found.met),
        ("due soon", found.due),
        ("fixed late", found.met_late),
        ("overdue", found.breached),
    )
    total = sum(count for _, count in parts)
    good = total - found.met_late - found.breached
    text = (
        f"{charts.percent(good, total)} in time; {found.breached} open past their limit, "
        f"{found.due} due soon."
        if total
        else "No finding has a time limit."
    )
    return {"chart": charts.shares(parts), "text": text}


_SCANNED: Final = (Reach.COVERED, Reach.WITHOUT_LOGIN, Reach.UNFINISHED)
_SILENT: Final = (Reach.NO_LONGER_ANSWERS, Reach.NEVER_ANSWERED)


def _coverage(counts: Mapping[Reach, int], days: int) -> dict[str, Any]:
    scanned = sum(counts.get(each, 0) for each in _SCANNED)
    silent = sum(counts.get(each, 0) for each in _SILENT)
    parts = (
        ("scanned", scanned),
        ("no answer", silent),
        ("not lately", counts.get(Reach.NOT_LATELY, 0)),
        ("never", counts.get(Reach.NEVER_SCANNED, 0)),
    )
    doubts = [
        f"{counts[each]} {words}"
        for each, words in (
            (Reach.WITHOUT_LOGIN, "without a login"),
            (Reach.UNFINISHED, "not to the end"),
        )
        if counts.get(each)
    ]
    text = f"Of {pluralize(sum(count for _, count in parts), 'target')}, in the last {days} days."
    if doubts:
        text += f" Of those scanned, {' and '.join(doubts)}."
    return {"chart": charts.shares(parts), "text": text}


def _login(name: str, run: LoginRun, period: Period) -> str:
    rest = [
        f"{count} {word}" for count, word in ((run.partial, "in part"), (run.failed, "failed"))
        if count
    ]  # fmt: skip
    more = f", {', '.join(rest)}" if rest else ""
    return (
        f"{name}, {period.day(run.at)}: {run.full} of {pluralize(run.hosts, 'host')} fully{more}."
    )


def _exceptions(counts: Mapping[str, int]) -> str:
    found = ", ".join(
        f"{count} {kind.replace('_', ' ')}" for kind, count in counts.items() if count
    )
    return f"Findings with an exception: {found}." if found else "No finding has an exception."
