"""Exports findings for people and other programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import click

from nessus_sched.cli.output_file import whole_file
from nessus_sched.cli.reporting.local import page_of
from nessus_sched.cli.results.reports import Query, Report, all_rows
from nessus_sched.config.delivery import ReportSettings
from nessus_sched.core.coverage import Status
from nessus_sched.core.text import pluralize
from nessus_sched.results.exports import (
    COLUMNS,
    COLUMNS_OF_TASKS,
    check_columns,
    csv_lines,
    json_lines,
)
from nessus_sched.results.reports import technical


def export_text(
    report: Report,
    form: str,
    columns: Sequence[str] | None,
    query: Query,
    *,
    coverage: bool = False,
    reports: ReportSettings | None = None,
) -> Iterator[str]:
    """The file's text in pieces; the first rows are read at once, so that the report's summary is
    known when this returns. `coverage`: JSON lines end with what became of the targets. `reports`
    are the settings of HTML. Raises `click.UsageError` for unknown fields."""
    try:
        check_columns(columns or ())
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if form == "html":
        rows = _rows(report, {**query, "fields": list(technical.FIELDS)})
        filtered = query.get("filters")
        shown = report.page({**query, "fields": ["host"], "page_size": 1}) if filtered else None
        summary = report.summary()
        missed = report.coverage(Status.NOT_REACHED, Status.SILENT)
        return page_of(
            report.title, technical.document(report.title, summary, rows, shown, missed), reports
        )
    if form == "jsonl":
        shown = {"fields": list(columns)} if columns else {"profile": "full"}
        lines = json_lines(_rows(report, {**query, **shown}), columns)
        return chain(lines, _coverage_lines(report)) if coverage else lines
    chosen = columns or (COLUMNS_OF_TASKS if report.in_ledger else COLUMNS)
    return csv_lines(_rows(report, {**query, "fields": list(chosen)}), chosen)


def write(text: Iterable[str], output: Path | None, *, force: bool) -> int | None:
    """Writes a complete file or none, or UTF-8 to stdout; returns the number of characters, None
    for stdout.

    Raises `click.ClickException` if the file cannot be written.
    """
    if output is None:
        for piece in text:
            click.echo(piece.encode(), nl=False)
        return None
    with whole_file(output, force=force) as file:
        return sum(map(file.write, text))


def check_complete(subject: str, summary: Mapping[str, Any], output: Path | None) -> None:
    """Raises `click.ClickException` if part of a report would replace a file."""
    if output is not None and output.exists() and not summary["complete"]:
        raise click.ClickException(
            f"{subject} is incomplete: {_why_incomplete(summary)}. {output} was not replaced; "
            "to export what could be read, write to a new file"
        )


def report_incomplete(subject: str, summary: Mapping[str, Any]) -> None:
    """Raises `click.ClickException` if the exported rows are not the whole report."""
    if not summary["complete"]:
        raise click.ClickException(
            f"{subject} is incomplete: {_why_incomplete(summary)}. Only what could be read was "
            "exported"
        )


def _why_incomplete(summary: Mapping[str, Any]) -> str:
    for warning in summary["warnings"]:
        if warning["code"] == "ended_early":
            return str(warning["message"].rstrip("."))
    problems = summary["problems"]
    if not problems:
        return "it is truncated"
    first, more = problems[0], len(problems) - 1
    others = f" (and {pluralize(more, 'more problem')})" if more else ""
    return f"line {first['line']}, column {first['column']}: {first['message']}{others}"


def _coverage_lines(report: Report) -> Iterator[str]:
    """A line for each target or range of targets: an object with the only key `coverage`."""
    found = report.coverage()
    for row in found["rows"] if found else ():
        yield json.dumps({"coverage": row}) + "\n"


def _rows(report: Report, query: Query) -> Iterator[Mapping[str, Any]]:
    """Rows with tuples for lists; the first page is read at once."""
    return (
        {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
        for row in all_rows(report, query)
    )
