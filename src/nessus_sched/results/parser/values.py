"""Parses texts of a report into values, or None if invalid."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Final

from nessus_sched.results.columns import Kind
from nessus_sched.results.model import SEVERITIES

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,15}\Z")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,17}(?:\.[0-9]{0,17})?(?:[eE][+-]?[0-9]{1,3})?\Z")
_DATE: Final = re.compile(r"([0-9]{4})([-/])([0-9]{1,2})\2([0-9]{1,2})(?:[T ].*)?\Z", re.DOTALL)
_CTIME: Final = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) +([0-9]{1,2}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([0-9]{4})\Z"
)
_ISO: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})?\Z"
)
_MONTHS: Final = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)
_TRUE: Final = frozenset({"true", "yes", "1"})
_FALSE: Final = frozenset({"false", "no", "0"})
_SEVERITY_WORDS: Final = {
    **{name: severity for severity, name in enumerate(SEVERITIES)},
    "informational": 0,
    "information": 0,
    "none": 0,
}
"""Words that other tools write instead of 0 to 4; `none` is Nessus's own risk factor for
information."""

Scalar = str | int | float | bool | None


def read_integer(text: str) -> int | None:
    return int(text) if _INTEGER.match(text) else None


def read_number(text: str) -> float | None:
    """A finite number; `1_0`, `nan` and digits of other scripts are invalid."""
    if not _NUMBER.match(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def read_severity(text: str) -> int | None:
    """0 to 4, from the number or from the word."""
    severity = read_integer(text)
    if severity is None:
        return _SEVERITY_WORDS.get(text.lower())
    return severity if 0 <= severity < len(SEVERITIES) else None


def read_flag(text: str) -> bool | None:
    word = text.lower()
    if word in _TRUE:
        return True
    return False if word in _FALSE else None


def read_date(text: str) -> str | None:
    """A date such as `2024-05-01` from `2024/5/1`, `2024-05-01` or a timestamp."""
    found = _DATE.match(text)
    if found is None:
        return None
    try:
        return datetime.date(int(found[1]), int(found[3]), int(found[4])).isoformat()
    except ValueError:
        return None


def read_clock(text: str) -> tuple[str | None, float | None]:
    """A time on the scanner's clock as ISO 8601 without zone, and in epoch seconds if the text
    has a UTC offset.

    Infrastructure scans write `Fri Nov  7 13:25:52 2025`, web application scans
    `2021-03-12T12:34:30.12031+00:00`.
    """
    if not _ISO.match(text):
        return _read_ctime(text), None
    try:
        moment = datetime.datetime.fromisoformat(text)
        at = None if moment.tzinfo is None else max(moment.timestamp(), 0.0) or None
    except ValueError:
        return None, None
    return moment.replace(tzinfo=None, microsecond=0).isoformat(), at


def _read_ctime(text: str) -> str | None:
    """Parsed by hand, because strptime expects month names in the machine's language."""
    found = _CTIME.match(text)
    if found is None or found[1] not in _MONTHS:
        return None
    month = _MONTHS.index(found[1]) + 1
    try:
        moment = datetime.datetime(  # noqa: DTZ001 - the report does not tell the zone
            int(found[6]), month, int(found[2]), int(found[3]), int(found[4]), int(found[5])
        )
    except ValueError:
        return None
    return moment.isoformat()


def listed(text: str) -> tuple[str, ...] | None:
    """The texts of a JSON list, which Tenable's cloud uses in some tags; None otherwise."""
    if not text.lstrip().startswith("["):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return tuple(found) if all(isinstance(each, str) for each in found) else None


_CWE: Final = re.compile(r"CWE[-: ]*([0-9]+)\Z", re.IGNORECASE)


def cwe_id(text: str) -> str:
    """`20` for `CWE-20`, `cwe:20` or `20`; other texts unchanged."""
    found = _CWE.match(text.strip())
    return found[1] if found else text


READERS: Final[Mapping[Kind, Callable[[str], Scalar]]] = {
    Kind.INTEGER: read_integer,
    Kind.SEVERITY: read_severity,
    Kind.NUMBER: read_number,
    Kind.FLAG: read_flag,
    Kind.DATE: read_date,
    Kind.TIME: read_number,
}
"""Parsers of stripped texts for each kind except TEXT and LIST, which need none."""
