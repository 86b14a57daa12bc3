"""The rows of a report as CSV and JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nessus_sched.results.exports import cell


def csv_text(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """RFC 4180, with a header, safe to open in a spreadsheet; nothing without rows."""
    if not rows:
        return
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    names = list(rows[0])
    writer.writerow(names)
    for row in rows:
        writer.writerow([cell(_flat(row[name])) for name in names])
    yield buffer.getvalue()


def jsonl_text(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One JSON object per line."""
    for row in rows:
        yield json.dumps(row, ensure_ascii=True) + "\n"


def _flat(value: Any) -> Any:
    return tuple(map(str, value)) if isinstance(value, list) else value
