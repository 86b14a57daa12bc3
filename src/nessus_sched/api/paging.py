"""How large an answer may be: lists are cut at a number of tokens, with a way to the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

import attrs

from nessus_sched.api.operations import ToolError
from nessus_sched.results.query.tokens import estimated_tokens

T = TypeVar("T")

USUAL_BYTES: Final = 11_000
"""Of the findings of an answer, unless a client asks for another number."""
USUAL_TOKENS: Final = 3_300
"""Of the rows of an answer, as estimated: with the rest of it under 4,000."""
MOST_TOKENS: Final = 8_500
"""Of the rows when a client asks for many: with the rest under 10,000."""
USUAL_ROWS: Final = 20
MAX_ROWS: Final = 100
_DIGITS: Final = 18
"""Of the largest cursor: SQLite's integers have 64 bits."""


def token_budget(limit: int) -> int:
    """Maximum tokens for the rows of an answer when `limit` rows were requested."""
    return USUAL_TOKENS if limit <= USUAL_ROWS else MOST_TOKENS


def tokens_of(value: Any) -> int:
    """Tokens of the value as JSON, as estimated."""
    return estimated_tokens(_json(value))


def take_within(rows: Sequence[T], most: int, cost: Callable[[Any], int] = tokens_of) -> list[T]:
    """As many of the first `rows`, mappings or attrs instances, as cost no more than `most`; at
    least one."""
    kept: list[T] = []
    left = most
    for row in rows:
        left -= cost(row if isinstance(row, Mapping) else attrs.asdict(cast(Any, row)))
        if left < 0 and kept:
            break
        kept.append(row)
    return kept


def size(value: Any) -> int:
    """Bytes of the value as JSON."""
    return len(_json(value).encode("utf-8", "replace"))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def parse_cursor(cursor: str | None, tool: str) -> int | None:
    """The order number in a cursor. Raises `ToolError` for any other text."""
    if cursor is None:
        return None
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > _DIGITS:
        raise ToolError("bad_arguments", f"cursor: not one that {tool} returned")
    return int(cursor)
