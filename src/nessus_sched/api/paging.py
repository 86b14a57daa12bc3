"""How large an answer may be: lists are cut at a number of bytes, with a way to the rest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import attrs

from nessus_sched.api.operations import ToolError

T = TypeVar("T", bound=attrs.AttrsInstance)

USUAL_BYTES: Final = 11_000
"""Of the rows of an answer: with the rest of it under 4,000 tokens, even of unusual texts."""
MAX_BYTES: Final = 26_000
"""Of the rows when a client asks for many: with the rest under 10,000 tokens."""
USUAL_ROWS: Final = 20
MAX_ROWS: Final = 100
_DIGITS: Final = 18
"""Of the largest cursor: SQLite's integers have 64 bits."""


def byte_budget(limit: int) -> int:
    """Maximum bytes for the rows of an answer when `limit` rows were requested."""
    return USUAL_BYTES if limit <= USUAL_ROWS else MAX_BYTES


def take_within(rows: Sequence[T], most: int) -> list[T]:
    """As many of the first `rows` as fit into `most` bytes of JSON; at least one."""
    kept: list[T] = []
    left = most
    for row in rows:
        left -= size(attrs.asdict(row))
        if left < 0 and kept:
            break
        kept.append(row)
    return kept


def size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode())


def parse_cursor(cursor: str | None, tool: str) -> int | None:
    """The order number in a cursor. Raises `ToolError` for any other text."""
    if cursor is None:
        return None
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > _DIGITS:
        raise ToolError("bad_arguments", f"cursor: not one that {tool} returned")
    return int(cursor)
