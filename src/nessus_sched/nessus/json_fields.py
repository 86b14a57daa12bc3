"""Where a scanner's bytes become values: every number, text and list is bounded here. Pure.

Nothing that a scanner sends raises anything but `Unreadable`; what is missing, null, of
another type or out of bounds is None or empty.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

Document = Mapping[str, Any]

MOST_VALUES: Final = 1_500_000
"""Values in one document, about: with 20 to a row, the list of 70,000 scans. More would take
hundreds of megabytes once parsed, however few bytes it came in."""
LARGEST_WHOLE: Final = 2**53
LATEST: Final = 2**33
"""Epoch seconds, in the year 2242: what lies beyond is no date."""
LONGEST_TEXT: Final = 4096
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")
_TOKEN: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,127}")
_LONGEST_FILE_NAME: Final = 255


class Unreadable(ValueError):
    """Not a JSON object, or more of one than we take; the text completes the sentence "it
    was answered with ..."."""


def parse(body: bytes) -> Document:
    """The JSON object that `body` is. Numbers beyond any use (NaN, infinities, hundreds of
    digits) become null. Raises `Unreadable`."""
    if sum(map(body.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise Unreadable(f"more than {MOST_VALUES} values.")
    try:
        found = _DECODER.decode(body.decode(json.detect_encoding(body)))
    except (ValueError, RecursionError):
        raise Unreadable(_not_json(body)) from None
    if not isinstance(found, dict):
        raise Unreadable("something other than a JSON object.")
    return found


def tolerant(body: bytes) -> Document:
    """The JSON object of an error's body, empty when it is none."""
    try:
        return parse(body)
    except Unreadable:
        return {}


def rows(holder: Document, key: str) -> Sequence[Document]:
    """The objects in a list; Nessus says null for an empty one."""
    found = holder.get(key)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def part(holder: Document, key: str) -> Document:
    """A nested object, empty when there is none."""
    found = holder.get(key)
    return found if isinstance(found, dict) else {}


def whole(value: object, *, least: int = 0, most: int = LARGEST_WHOLE) -> int | None:
    """An integer from `least` to `most`, also when it comes as a string or a float."""
    if isinstance(value, str):
        # The length comes first: stripping a huge text takes time.
        short = value.strip() if len(value) <= 2 * len(str(most)) else ""
        value = int(short) if _WHOLE.fullmatch(short) else None
    if isinstance(value, float) and math.isfinite(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if least <= value <= most else None


def identity(value: object) -> int | None:
    """The id of a scan, a run, a folder or a policy: a positive integer."""
    return whole(value, least=1)


def moment(value: object) -> float | None:
    """Epoch seconds; Nessus says 0 for never."""
    found = whole(value, least=1, most=LATEST)
    return None if found is None else float(found)


def token(value: object) -> str | None:
    """A name that the scanner made for use in requests (a uuid, a file id): letters, digits
    and `_.-`, at most 128 of them. It is part of a path, and so never `..`."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = None if whole(value) is None else str(value)
    return value if isinstance(value, str) and _TOKEN.fullmatch(value) else None


def file_name(value: object) -> str | None:
    """The name of a file on the scanner: printable, at most 255 characters."""
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_FILE_NAME and value.isprintable():
        return value
    return None


def text(value: object, *, longest: int = LONGEST_TEXT) -> str:
    """A string or a number as text, cut at `longest` characters and not cleaned otherwise;
    anything else is empty."""
    if isinstance(value, str):
        return value[:longest]
    number = whole(value, least=-LARGEST_WHOLE)
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


# Hooks in Python also let go of the interpreter now and then: a large document that is
# parsed in a thread does not hold up the event loop.
_DECODER: Final = json.JSONDecoder(
    parse_int=_integer, parse_float=_number, parse_constant=lambda _: None
)
