"""Exports findings as CSV and JSON lines, one row at a time.

There is no SARIF export, because its results refer to source files and not to ports of hosts.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from nessus_sched.core.text import did_you_mean
from nessus_sched.results.catalog import FIELDS, Value
from nessus_sched.results.query.model import JOINED
from nessus_sched.results.untrusted import clean

Row = Mapping[str, Value]

COLUMNS: Final = (
    "host",
    "host_ip",
    "port",
    "protocol",
    "svc_name",
    "severity",
    "plugin_id",
    "plugin_name",
    "plugin_family",
    "cvss_score",
    "vpr_score",
    "epss_score",
    "exploit_available",
    "cisa_kev",
    "cve",
    "compliance_check_name",
    "compliance_result",
    "synopsis",
    "solution",
)
"""Default columns of a table for people."""
COLUMNS_OF_TASKS: Final = (*COLUMNS, "state", "exception", "first_seen", "last_seen")
"""Those of tasks, of which the ledger knows more."""
_KNOWN: Final = (*FIELDS, *JOINED)

_TOLD: Final = 5
"""Unknown fields named in an error."""
_CELL: Final = 32_000
"""Characters per cell; spreadsheets truncate at 32767."""
_FORMULA: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001


def check_columns(columns: Sequence[str]) -> Sequence[str]:
    """Returns the columns; raises `ValueError` naming those that are not fields."""
    unknown = [
        f"unknown field {n[:60]!r}{did_you_mean(n, _KNOWN)}" for n in columns if n not in _KNOWN
    ]
    if unknown:
        raise ValueError("; ".join(unknown[:_TOLD]))
    return columns


def csv_lines(rows: Iterable[Row], columns: Sequence[str] = COLUMNS) -> Iterator[str]:
    """RFC 4180 lines with a header. Safe to open in a spreadsheet: text that looks like a
    formula is prefixed with an apostrophe. Lists are joined with line breaks."""
    check_columns(columns)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        yield _drain(buffer)
        writer.writerow([cell(row.get(name)) for name in columns])
    yield _drain(buffer)


def cell(value: Value) -> str:
    """A value as a cell. Numbers are not prefixed: a negative one is not a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = clean("\n".join(value) if isinstance(value, tuple) else value, _CELL)
    if text.startswith(("\t", "\n")) or text.lstrip().startswith(_FORMULA):
        return "'" + text
    return text


def json_lines(rows: Iterable[Row], columns: Sequence[str] | None = None) -> Iterator[str]:
    """One JSON object per line, with texts as in the report. Absent values are left out, to
    distinguish them from false, 0 and ""."""
    names = _KNOWN if columns is None else tuple(check_columns(columns))
    for row in rows:
        said = {name: value for name in names if (value := row.get(name)) not in (None, ())}
        yield json.dumps(said, ensure_ascii=True) + "\n"


def _drain(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
