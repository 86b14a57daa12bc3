"""The report for those who fix things: what to install or change, where, since when, until when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, Final

from nessus_sched.results.reports.grouping import Found, by_solution, checks, row, summary
from nessus_sched.results.reports.period import Period

LINES: Final = 520
"""Printed lines, about, of the solutions that are listed with their hosts: four pages of A4."""
IN_TABLE: Final = 55
"""Further solutions, each a line of a table: a page."""
_WIDTH: Final = 50
"""Characters of a printed line."""
MOST_HOSTS: Final = 60
"""Hosts that are named for one solution."""
MOST_NAMES: Final = 3


def document(
    found: Sequence[Found],
    total: int,
    period: Period,
    now: float,
    due_soon: float,
    failed: Sequence[Found] = (),
) -> dict[str, Any]:
    """What the template shows. `found` are the worst of `total` findings, without the checks of
    audits that did not pass: these are `failed`."""
    groups = by_solution(found)
    audits = checks(failed, period)
    in_table = IN_TABLE - (0 if audits is None else len(audits["rows"]))
    whole: list[dict[str, Any]] = []
    lines = 0
    for group in groups:
        card = _card(*group, period, now, due_soon)
        lines += _length(card)
        if lines > LINES and whole:
            break
        whole.append(card)
    rest = [summary(*group, period) for group in groups[len(whole) : len(whole) + in_table]]
    overdue = [each for each in found if each.due is not None and each.due < now]
    soon = [each for each in found if each.due is not None and now <= each.due < now + due_soon]
    return {
        "groups": whole,
        "rest": rest,
        "solutions": len(groups),
        "left_out": max(len(groups) - len(whole) - in_table, 0),
        "findings": total,
        "findings_left_out": total - len(found),
        "hosts": len({each.host for each in found}),
        "overdue": len(overdue),
        "due_soon": len(soon),
        "exploited": sum(each.exploited for each in found),
        "checks": audits,
        "rows": [
            *(_row(each, period) for _, several in groups for each in several),
            *(_row(each, period) for each in failed),
        ],
    }


def _card(
    solution: str, found: Sequence[Found], period: Period, now: float, due_soon: float
) -> dict[str, Any]:
    named = summary(solution, found, period)
    by_day: dict[str, dict[str, list[str]]] = {}
    left = MOST_HOSTS
    for host, since, due in _hosts(found)[:MOST_HOSTS]:
        state = _state(due, now, due_soon)
        day = period.day(since if due is None else due)
        by_day.setdefault(state, {}).setdefault(day, []).append(host)
        left -= 1
    names = named["names"]
    return {
        **named,
        "names": names[:MOST_NAMES],
        "names_left_out": max(len(names) - MOST_NAMES, 0),
        "lines": [
            {"state": state, "days": [{"day": day, "hosts": hosts} for day, hosts in days.items()]}
            for state, days in by_day.items()
        ],
        "hosts_left_out": named["hosts"] - (MOST_HOSTS - left),
    }


def _length(card: Mapping[str, Any]) -> int:
    """Printed lines of a card, about."""
    texts = [card["solution"], 60 * " " + "; ".join(card["names"])]
    for line in card["lines"]:
        days = line["days"]
        hosts = sum(len(host) + 2 for each in days for host in each["hosts"])
        texts.append(" " * (len(line["state"]) + 13 * len(days) + hosts))
    return 1 + sum(ceil(len(text) / _WIDTH) for text in texts)


def _hosts(found: Sequence[Found]) -> list[tuple[str, float, float | None]]:
    """Each host once, with its oldest finding and its earliest due day, the most urgent first."""
    since: dict[str, float] = {}
    due: dict[str, float] = {}
    for each in found:
        assert each.since is not None
        since[each.host] = min(each.since, since.get(each.host, each.since))
        if each.due is not None:
            due[each.host] = min(each.due, due.get(each.host, each.due))
    ordered = sorted(since, key=lambda host: (due.get(host, float("inf")), since[host], host))
    return [(host, since[host], due.get(host)) for host in ordered]


def _state(due: float | None, now: float, due_soon: float) -> str:
    if due is None:
        return "No time limit, open since"
    if due < now:
        return "Overdue since"
    return "Due soon, on" if due < now + due_soon else "Due on"


def _row(each: Found, period: Period) -> dict[str, Any]:
    return {
        **row(each, period),
        "due": None if each.due is None else period.day(each.due),
        "not_confirmed": each.note,
    }
