"""The demo's tables: they drop columns where there is no room, rather than mangle them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from nessus_sched.results.untrusted import clean_line

Row = Mapping[str, str]
"""Column and cell; every row of a table has the columns of the first."""

STYLES: Final[Mapping[str, str]] = {
    "critical": "bold white on red",
    "high": "bold red",
    "medium": "yellow",
    "low": "cyan",
    "info": "dim",
}
DISPENSABLE: Final = ("status", "scanner", "queue", "edition", "info", "warnings", "low", "logins")
"""Columns to drop when there is no room, in this order."""
_ANY_WIDTH: Final = 10_000


def scan_rows(
    tasks: Iterable[Mapping[str, Any]], totals: Mapping[str, int]
) -> tuple[Sequence[Row], Row]:
    """A row for each scan, and one with the totals; `totals` are findings by severity, worst
    first."""
    rows = [_scan_row(task, list(totals)) for task in tasks]
    counts = {severity: str(count) for severity, count in totals.items()}
    return rows, {
        "scan": "all",
        "scanner": "",
        "status": "",
        **counts,
        "logins": "",
        "warnings": "",
    }


def _scan_row(task: Mapping[str, Any], severities: Sequence[str]) -> Row:
    counts, validation = task["severity_counts"], task["validation"] or {}
    return {
        "scan": clean_line(task["name"], 40),
        "scanner": task["scanner_instance"] or "",
        "status": task["status"],
        **{severity: str(counts[severity]) if counts else "-" for severity in severities},
        "logins": (validation.get("verdict") or {}).get("credentialed", "-"),
        "warnings": str(len(validation["warnings"])) if "warnings" in validation else "-",
    }


def fitting(console: Console, title: str, rows: Sequence[Row], total: Row | None = None) -> Table:
    """A table of `rows` (at least one), no wider than the console."""
    columns = list(rows[0])
    drawn = _drawn(title, columns, rows, total)
    for spare in DISPENSABLE:
        if _width(console, drawn) <= console.width:
            break
        columns = [column for column in columns if column != spare]
        drawn = _drawn(title, columns, rows, total)
    return drawn


def _width(console: Console, table: Table) -> int:
    options = console.options.update(max_width=_ANY_WIDTH)
    return Measurement.get(console, options, table).maximum


def _drawn(title: str, columns: Sequence[str], rows: Sequence[Row], total: Row | None) -> Table:
    table = Table(title=title, title_justify="left", box=None)
    for column in columns:
        number = column in STYLES or column == "warnings"
        table.add_column(
            column, justify="right" if number else "left", style=STYLES.get(column, "")
        )
    for row in rows:
        table.add_row(*(Text(row[column]) for column in columns))
    if total is not None:
        table.add_row(*(Text(total[column]) for column in columns), style="bold")
    return table
