"""Parses typed filters: `severity>=high`, `cve~2021-44228`, `solution is absent`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import attrs

from nessus_sched.results.query.model import Op

_WORDS: Final[Mapping[Op, tuple[str, ...]]] = {
    Op.EQUAL: ("=", "==", "eq", "is", "equals"),
    Op.UNEQUAL: ("!=", "<>", "ne", "is not", "not equals"),
    Op.GREATER: (">", "gt"),
    Op.AT_LEAST: (">=", "gte", "ge"),
    Op.LESS: ("<", "lt"),
    Op.AT_MOST: ("<=", "lte", "le"),
    Op.CONTAINS: ("contains", "~", "=~", "like", "has"),
    Op.NOT_CONTAINS: ("not contains", "!~", "does not contain", "not like"),
    Op.IN: ("in", "is in", "one of"),
    Op.NOT_IN: ("not in", "is not in", "none of"),
    Op.PRESENT: ("present", "is present", "exists", "is not absent", "is not null"),
    Op.ABSENT: ("absent", "is absent", "missing", "is not present", "is null", "not exists"),
}
_OPS: Final = {word: op for op, words in _WORDS.items() for word in words}


def _pattern() -> re.Pattern[str]:
    longest_first = sorted(_OPS, key=len, reverse=True)
    words = "|".join(
        r"\s+" + r"\s+".join(map(re.escape, word.split())) + r"(?!\w)"
        if word[0].isalpha()
        else r"\s*" + re.escape(word)
        for word in longest_first
    )
    return re.compile(rf"\s*(?P<field>[\w.-]+?)(?P<op>{words})(?P<value>.*)", re.DOTALL)


_FILTER: Final = _pattern()


@attrs.frozen(kw_only=True)
class TypedFilter:
    """The parts of a filter, not validated yet. `value` is None if nothing follows the
    operator."""

    field: str
    op: Op
    value: str | None


def operator_named(word: str) -> Op | None:
    """The operator for a name or symbol in any of its usual spellings."""
    return _OPS.get(" ".join(word.casefold().replace("_", " ").split()))


def parse_filter(text: str) -> TypedFilter | None:
    """The parts of a typed filter, or None if it has no operator."""
    found = _FILTER.fullmatch(text)
    if found is None:
        return None
    op = operator_named(found["op"])
    assert op is not None
    return TypedFilter(field=found["field"], op=op, value=_unquoted(found["value"]) or None)


def split_list(text: str) -> list[str]:
    """The members of a typed list: `high, critical` or `[high, critical]`."""
    inner = text.strip()
    if inner.startswith("[") and inner.endswith("]"):
        inner = inner[1:-1]
    return [member for member in map(_unquoted, inner.split(",")) if member]


def _unquoted(text: str) -> str:
    inner = text.strip()
    if len(inner) >= 2 and inner[0] == inner[-1] and inner[0] in "'\"":
        return inner[1:-1]
    return inner
