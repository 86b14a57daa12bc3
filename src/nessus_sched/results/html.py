"""A report for people: one HTML file that needs no network and runs no script."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from nessus_sched.core.coverage import counts_text
from nessus_sched.core.text import pluralize
from nessus_sched.results.catalog import Value
from nessus_sched.results.logins.used import logins_text
from nessus_sched.results.markup import template
from nessus_sched.results.model import UNKNOWN_SEVERITY
from nessus_sched.results.untrusted import clean

if TYPE_CHECKING:
    from jinja2 import Template

Row = Mapping[str, Value]

_COLORS: Final = {
    "critical": "#7b1fa2",
    "high": "#c62828",
    "medium": "#e65100",
    "low": "#9e7d00",
    "info": "#1565c0",
    "unknown": "#555",
}
_MOST_ROWS: Final = 5000
_TEXT: Final = 1000
"""Characters of a value that are shown."""
_BAR_HEIGHT: Final = 30
_LONGEST_BAR: Final = 460


def html_report(
    title: str,
    summary: Mapping[str, Any],
    rows: Iterable[Row],
    shown: Mapping[str, Any] | None = None,
    coverage: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """The pieces of a page: the document of `results.summary`, then a table of findings
    (full rows, most serious first if sorted so, at most 5000). `shown` has `total` and
    `severity_counts` of the rows if they are not all: then they head the page. `coverage` has
    `counts` of the targets and `rows` for those without an answer."""
    cut = _Cut()
    scan, verdict = summary["scan"], summary["verdict"]
    return _template("report.html").generate(
        title=title,
        summary=summary,
        shown=shown,
        period=" to ".join(filter(None, (scan.get("started"), scan.get("ended")))),
        logins=", ".join(
            f"{count} {word.replace('_', ' ')}"
            for word, count in verdict["counts"].items()
            if count
        ),
        used=logins_text(verdict),
        problems_left_out=sum(summary["problem_counts"].values()) - len(summary["problems"]),
        chart=_chart((shown or summary)["severity_counts"]),
        rows=_first_rows(rows, cut),
        coverage=coverage,
        covered=counts_text(coverage["counts"]) if coverage else "",
        most_rows=_MOST_ROWS,
        total=summary["findings"] if shown is None else shown["total"],
        cut=cut,
    )


@attrs.define
class _Cut:
    """Whether rows were left out; known once the table is written."""

    rows: bool = False
    limit: int = _MOST_ROWS


def _first_rows(rows: Iterable[Row], cut: _Cut) -> Iterator[Mapping[str, Any]]:
    for place, row in enumerate(rows):
        if place == cut.limit:
            cut.rows = True
            return
        cve = row.get("cve")
        values = {**row, "cve": ", ".join(cve) if isinstance(cve, tuple) else None}
        yield defaultdict(lambda: None, values)


def _chart(counts: Mapping[str, int]) -> Mapping[str, Any]:
    """What `chart.html` draws: bars by severity, one for unknown severity only if there are any."""
    shown = [
        (name, counts.get(name, 0))
        for name in _COLORS
        if name != UNKNOWN_SEVERITY or counts.get(name)
    ]
    most = max((count for _, count in shown), default=0) or 1
    return {
        "label": ", ".join(f"{count} {name}" for name, count in shown),
        "height": _BAR_HEIGHT * len(shown),
        "bars": [
            {
                "name": name,
                "count": count,
                "y": place * _BAR_HEIGHT,
                "width": max(round(count / most * _LONGEST_BAR), 2 if count else 0),
            }
            for place, (name, count) in enumerate(shown)
        ],
    }


def color(severity: object) -> str:
    return _COLORS.get(str(severity), _COLORS[UNKNOWN_SEVERITY])


def _shown(text: str) -> str:
    return clean(text, _TEXT)


def _template(name: str) -> Template:
    return template("nessus_sched.results", name, _shown, (pluralize, color))
