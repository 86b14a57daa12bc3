"""What changed between two scans, or since a time, grouped by what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.results.reports import charts
from nessus_sched.results.reports.grouping import Found, by_solution, checks, rank, row, summary
from nessus_sched.results.reports.period import Period

MOST_GROUPS: Final = 60
"""Solutions that are listed of each change."""
MOST_HOSTS: Final = 30
MOST_NAMES: Final = 3
_MOST_REASONS: Final = 4

TITLES: Final[Mapping[str, tuple[str, str]]] = {
    "resurfaced": ("Back", "They were fixed and are back."),
    "new": ("New", "A scan shows them for the first time."),
    "not_checked_before": ("Newly seen", "The previous scan could not have shown them."),
    "changed": ("Changed", "Both scans show them, with a different severity or result."),
    "not_checked": ("Not checked", "The later scan could not have shown them: they may remain."),
    "unverified": ("Not confirmed", "The latest scan could not have shown them: they may remain."),
    "fixed": ("Fixed", "A scan would have shown them and did not."),
}
"""By the change: its title, and what it means; in the order of the report."""


@attrs.frozen(kw_only=True)
class Section:
    """Findings with one change, the first ones; `counts` are of all, by severity, but not of the
    compliance checks among them, which have none."""

    change: str
    counts: Mapping[str, int]
    found: Sequence[Found]

    @property
    def findings(self) -> Sequence[Found]:
        return [each for each in self.found if each.check is None]

    @property
    def checks(self) -> Sequence[Found]:
        return [each for each in self.found if each.check is not None]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def document(
    sections: Sequence[Section], period: Period, facts: Sequence[str] = ()
) -> dict[str, Any]:
    """What the template shows, and `rows`. `facts` are sentences that head the page."""
    ordered = sorted(sections, key=lambda section: list(TITLES).index(section.change))
    return {
        "facts": list(facts),
        "chart": charts.bars(
            (TITLES[each.change][0], each.total, _counted(each.counts)) for each in ordered
        ),
        "sections": [_section(each, period) for each in ordered if each.total or each.checks],
        "rows": [
            {"change": section.change, **row(each, period), "reason": each.note}
            for section in ordered
            for each in _in_order(section)
        ],
    }


def _in_order(section: Section) -> Iterator[Found]:
    for _, several in by_solution(section.findings):
        yield from several
    yield from section.checks


def _counted(counts: Mapping[str, int]) -> str:
    found = sorted(filter(counts.get, counts), key=rank, reverse=True)
    return ", ".join(f"{counts[name]} {name}" for name in found)


def _section(section: Section, period: Period) -> dict[str, Any]:
    title, meaning = TITLES[section.change]
    groups = by_solution(section.findings)
    return {
        "change": section.change,
        "title": title,
        "meaning": meaning,
        "counts": _counted(section.counts),
        "total": section.total,
        "groups": [_group(*group, period) for group in groups[:MOST_GROUPS]],
        "left_out": max(len(groups) - MOST_GROUPS, 0),
        "findings_left_out": max(section.total - len(section.findings), 0),
        "checks": checks(section.checks, period),
    }


def _group(solution: str, found: Sequence[Found], period: Period) -> dict[str, Any]:
    named = summary(solution, found, period)
    hosts = list(dict.fromkeys(each.host for each in found))
    reasons = Counter(each.note for each in found if each.note)
    names = named["names"]
    return {
        **named,
        "names": names[:MOST_NAMES],
        "names_left_out": max(len(names) - MOST_NAMES, 0),
        "hosts_listed": hosts[:MOST_HOSTS],
        "hosts_left_out": max(len(hosts) - MOST_HOSTS, 0),
        "reasons": [
            reason if count == len(found) else f"{count}: {reason}"
            for reason, count in reasons.most_common(_MOST_REASONS)
        ],
    }
