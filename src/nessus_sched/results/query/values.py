"""Converts the values of conditions to the types of their fields."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from nessus_sched.results.columns import Kind
from nessus_sched.results.model import NO_SEVERITY, SEVERITIES, UNKNOWN_SEVERITY
from nessus_sched.results.parser.values import cwe_id
from nessus_sched.results.presence import is_many
from nessus_sched.results.query.catalogs import QueryField
from nessus_sched.results.query.model import Scalar

MAX_TEXT: Final = 1000
"""Characters in a text to search for."""

_LARGEST: Final = 2.0**63
_HOSTS: Final = ("host", "host_ip")
_SEVERAL: Final = re.compile(r"[0-9a-fA-F.:]+/[0-9.]+|[0-9.]+-[0-9.]+")
"""Looks like a network or range; no host has such a name."""
_FLAGS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class BadValue(ValueError):
    """An invalid value; the message says what was expected."""


def read_value(field: QueryField, raw: Any) -> Scalar:
    """Raises `BadValue` if `raw` is not a valid value for `field`."""
    try:
        if looks_several(field, raw) and not is_many(str(raw)):
            raise BadValue("a name, an address, a network such as 192.0.2.0/24 or a range")
        value = _READERS[field.kind](raw)
        if field.words:
            value = _word(value, field.words)
        return cwe_id(value) if field.name == "cwe" and isinstance(value, str) else value
    except BadValue as wrong:
        message = f"{field.name} takes {wrong}, not {shown(raw)}"
        raise BadValue(message) from None


def looks_several(field: QueryField, raw: Any) -> bool:
    """Whether the value for a host field is a network or range."""
    return field.name in _HOSTS and _SEVERAL.fullmatch(str(raw).strip()) is not None


def shown(raw: Any) -> str:
    """The input, truncated for use in an error."""
    text = repr(raw)
    return text if len(text) <= 60 else text[:60] + "..."


def _number(raw: Any) -> int | float:
    value = raw
    if isinstance(raw, str):
        try:
            value = float(raw) if not raw.strip().lstrip("+-").isdecimal() else int(raw)
        except ValueError:
            value = None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue("a number")
    if not math.isfinite(value) or abs(value) >= _LARGEST:
        raise BadValue("a number of usual size")
    return value


def _severity(raw: Any) -> int:
    expected = BadValue(
        f"a severity: {', '.join(SEVERITIES)}, 0 to {len(SEVERITIES) - 1}, or {UNKNOWN_SEVERITY}"
    )
    if isinstance(raw, str):
        name = raw.strip().casefold()
        if name in SEVERITIES:
            return SEVERITIES.index(name)
        if name == "informational":
            return 0
        if name == UNKNOWN_SEVERITY:
            return NO_SEVERITY
    try:
        number = _number(raw)
    except BadValue:
        raise expected from None
    if number not in range(len(SEVERITIES)):
        raise expected
    return int(number)


def _flag(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    found = _FLAGS.get(str(raw).strip().casefold()) if isinstance(raw, str | int) else None
    if found is None:
        raise BadValue("true or false")
    return found


def _word(value: Scalar, words: tuple[str, ...]) -> str:
    word = "_".join(str(value).strip().casefold().replace("-", " ").split())
    if word not in words:
        raise BadValue(f"one of {', '.join(words)}")
    return word


def _date(raw: Any) -> str:
    try:
        return date.fromisoformat(raw.strip().replace("/", "-")).isoformat()
    except (ValueError, AttributeError):
        raise BadValue("a date such as 2024-05-31") from None


def _time(raw: Any) -> float:
    if isinstance(raw, str):
        try:
            moment = datetime.fromisoformat(raw.strip())
        except ValueError:
            pass
        else:
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    try:
        return float(_number(raw))
    except BadValue:
        expected = "a time such as 2024-05-31T12:00:00Z, or epoch seconds"
        raise BadValue(expected) from None


def _text(raw: Any) -> str:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise BadValue("a text")
    text = str(raw)
    if not text or len(text) > MAX_TEXT:
        raise BadValue(f"a text of 1 to {MAX_TEXT} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadValue("a text in valid Unicode") from None
    return text


_READERS: Final[Mapping[Kind, Callable[[Any], Scalar]]] = {
    Kind.TEXT: _text,
    Kind.LIST: _text,
    Kind.INTEGER: _number,
    Kind.NUMBER: _number,
    Kind.SEVERITY: _severity,
    Kind.FLAG: _flag,
    Kind.DATE: _date,
    Kind.TIME: _time,
}
