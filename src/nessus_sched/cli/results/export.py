"""Writing findings for other programs and for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from nessus_sched.cli.reports import Query, Report, all_rows
from nessus_sched.results.exports import COLUMNS, check_columns, csv_lines, json_lines
from nessus_sched.results.html import html_report
from nessus_sched.results.model import SEVERITIES


def pieces(report: Report, form: str, columns: Sequence[str] | None, query: Query) -> Iterator[str]:
    """The file's text, piece by piece. Raises `click.UsageError` for unknown fields."""
    try:
        check_columns(columns or ())
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if form == "html":
        rows = _rows(report, {**query, "profile": "full"})
        return html_report(report.title, report.summary(), rows)
    if form == "jsonl":
        shown = {"fields": list(columns)} if columns else {"profile": "full"}
        return json_lines(_rows(report, {**query, **shown}), columns)
    chosen = columns or COLUMNS
    return csv_lines(map(_named, _rows(report, {**query, "fields": list(chosen)})), chosen)


def write(text: Iterable[str], output: Path | None) -> int:
    """Writes to a file, whole or not at all, or to stdout; how many characters."""
    written = 0
    if output is None:
        for piece in text:
            click.echo(piece, nl=False)
            written += len(piece)
        return written
    part = output.with_name(f".{output.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            for piece in text:
                written += file.write(piece)
        part.replace(output)
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    return written


def _rows(report: Report, query: Query) -> Iterator[Mapping[str, Any]]:
    """Rows as the writers take them: lists as tuples."""
    for row in all_rows(report, query):
        yield {
            name: tuple(value) if isinstance(value, list) else value for name, value in row.items()
        }


def _named(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row with its severity in words, for the readers of tables."""
    severity = row.get("severity")
    return {**row, "severity": SEVERITIES[severity]} if isinstance(severity, int) else row
