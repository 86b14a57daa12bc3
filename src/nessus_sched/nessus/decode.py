"""Reading JSON that may be null, odd or not JSON at all."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from nessus_sched.core.scanner import TransientError
from nessus_sched.nessus.errors import unreadable
from nessus_sched.nessus.messages import Answer, Call

Document = Mapping[str, Any]


def document(call: Call, answer: Answer) -> Document:
    """The JSON object of a successful answer; raises for anything else."""
    problem: TransientError | None = None
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        problem = unreadable(call, answer)
    if problem is None and not isinstance(found, dict):
        problem = unreadable(call, answer, what="something other than a JSON object.")
    if problem is not None:
        raise problem
    assert isinstance(found, dict)
    return found


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
