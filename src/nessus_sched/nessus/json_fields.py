"""Parses a scanner's bytes into values: every number, text and list is bounded here. Pure.

No input raises anything but `BadDocument`. Values that are missing, null, of another type or
out of bounds become None or empty.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

Document = Mapping[str, Any]

MAX_VALUES: Final = 1_500_000
"""Approximate values in one document, enough for a list of 70,000 scans with 20 values each.
More would take hundreds of megabytes once parsed, however few bytes were sent."""
MAX_INT: Final = 2**53
MAX_TIME: Final = 2**33
"""Epoch seconds, in the year 2242; anything later is not a date."""
LONGEST_TEXT: Final = 4096
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")
_TOKEN: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,127}")
_LONGEST_FILE_NAME: Final = 255


class BadDocument(ValueError):
    """Not a JSON object, or one that is too large; the text completes the sentence "it was
    answered with ..."."""


def parse(body: bytes) -> Document:
    """Parses `body` as a JSON object. Useless numbers (NaN, infinities, hundreds of digits)
    become null. Raises `BadDocument`."""
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise BadDocument(f"more than {MAX_VALUES} values.")
    try:
        found = _DECODER.decode(body.decode(json.detect_encoding(body)))
    except (ValueError, RecursionError):
        raise BadDocument(_not_json(body)) from None
    if not isinstance(found, dict):
        raise BadDocument("something other than a JSON object.")
    return found


def object_or_empty(body: bytes) -> Document:
    """The JSON object in the body of an error, or an empty one."""
    try:
        return parse(body)
    except BadDocument:
        return {}


def rows(holder: Document, key: str) -> Sequence[Document]:
    """The objects in a list; Nessus sends null for an empty one."""
    found = holder.get(key)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def object_at(holder: Document, key: str) -> Document:
    """A nested object, or an empty one."""
    found = holder.get(key)
    return found if isinstance(found, dict) else {}


def as_int(value: object, *, least: int = 0, most: int = MAX_INT) -> int | None:
    """An integer from `least` to `most`; also accepts a string or a float."""
    if isinstance(value, str):
        # Check the length first: stripping a huge text takes time.
        short = value.strip() if len(value) <= 2 * len(str(most)) else ""
        value = int(short) if _WHOLE.fullmatch(short) else None
    if isinstance(value, float) and math.isfinite(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if least <= value <= most else None


def as_id(value: object) -> int | None:
    """The id of a scan, a run, a folder or a policy: a positive integer."""
    return as_int(value, least=1)


def as_time(value: object) -> float | None:
    """Epoch seconds; Nessus sends 0 for never."""
    found = as_int(value, least=1, most=MAX_TIME)
    return None if found is None else float(found)


def as_token(value: object) -> str | None:
    """An identifier for use in requests (a uuid, a file id): at most 128 letters, digits and
    `_.-`, but never `..`, because it becomes part of a path."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = None if as_int(value) is None else str(value)
    return value if isinstance(value, str) and _TOKEN.fullmatch(value) else None


def as_file_name(value: object) -> str | None:
    """The name of a file on the scanner: printable, at most 255 characters."""
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_FILE_NAME and value.isprintable():
        return value
    return None


def as_text(value: object, *, longest: int = LONGEST_TEXT) -> str:
    """A string or a number as text, truncated to `longest` characters but not cleaned;
    empty for anything else."""
    if isinstance(value, str):
        return value[:longest]
    number = as_int(value, least=-MAX_INT)
    return "" if number is None else str(number)


def _not_json(body: bytes) -> str:
    if not body.strip():
        return "nothing."
    page = body.lstrip()[:1] == b"<"
    return "a web page; is there a proxy, or is `url` wrong?" if page else "no valid JSON."


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) < 20 else None


def _number(digits: str) -> float | None:
    found = float(digits)
    return found if math.isfinite(found) else None


# Python hooks release the GIL now and then, so that parsing a large document in a thread does
# not block the event loop.
_DECODER: Final = json.JSONDecoder(
    parse_int=_integer, parse_float=_number, parse_constant=lambda _: None
)
