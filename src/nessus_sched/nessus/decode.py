"""Reading JSON in which anything may be null, missing or of another type. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]


def tolerant(body: bytes) -> Document:
    """The JSON object of an error's body, empty when it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def rows(holder: Document, key: str) -> Sequence[Document]:
    """The objects in a list; Nessus says null for an empty one."""
    found = holder.get(key)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def part(holder: Document, key: str) -> Document:
    """A nested object, empty when there is none."""
    found = holder.get(key)
    return found if isinstance(found, dict) else {}


def whole(value: object) -> int | None:
    """An integer, also when it comes as a string or a float."""
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal() and len(value) < 20:
        return int(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def moment(value: object) -> float | None:
    """Epoch seconds; Nessus says 0 for never."""
    found = whole(value)
    return float(found) if found else None
