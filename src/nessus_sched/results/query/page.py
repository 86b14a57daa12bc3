"""Fits a page of findings into a limited size."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import attrs

from nessus_sched.core.text import pluralize
from nessus_sched.results.model import COMPLIANCE_RESULTS, SEVERITIES, UNKNOWN_SEVERITY
from nessus_sched.results.query.tokens import estimated_tokens

Row: TypeAlias = Mapping[str, Any]
"""A finding as JSON-able data: values by field name, lists for lists, None for absent."""
Room: TypeAlias = tuple[float, float]
"""Bytes and tokens."""

_LARGEST_SHARE: Final = 8
"""Maximum fraction of a limited answer that one text may take, unless it has one row only."""
_READ: Final = 64 * 1024
"""Up to this bound in bytes a page is for a model, which pays for tokens."""
_BYTES_PER_TOKEN: Final = 10 / 3
_MOST_TOKENS: Final = 6_800
"""Of such a page, as estimated: with what is added to its rows later, under 10,000."""


@attrs.frozen(kw_only=True)
class Page:
    """`total` counts all matching findings, `severities` those of each severity (`unknown` if
    the report's is unreadable), and `checks` the compliance checks, which are in no severity, by
    result; `groups` counts their groups if the rows are such. `left_out`
    rows of the page did not fit; `next_cursor` continues with the first of them, and is None at
    the end. `shortened` texts were truncated. `notes` says all this in words, and how to request
    less."""

    rows: tuple[Row, ...]
    total: int
    severities: Mapping[str, int]
    checks: Mapping[str, int] = attrs.field(factory=dict)
    groups: int | None = None
    next_cursor: str | None = None
    left_out: int = 0
    shortened: int = 0
    notes: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Fitted:
    """The first rows of an answer, and the number of texts shortened in them."""

    rows: tuple[Row, ...]
    shortened: int = 0


def fit(rows: Iterable[Row], max_bytes: int | None) -> Fitted:
    """As many of the first rows as fit in `max_bytes` of compact JSON in UTF-8, and on a page for
    a model in as many tokens as that is of ordinary text.

    Texts and lists over an eighth of the limit are truncated, in a single row only as needed. The
    first row is always included and truncated as needed: even one with all fields fits in 12,000
    bytes.
    """
    if max_bytes is None:
        return Fitted(rows=tuple(rows))
    waiting = iter(rows)
    first, second = next(waiting, None), next(waiting, None)
    if first is None:
        return Fitted(rows=())
    room = _room(max_bytes)
    share = max_bytes // _LARGEST_SHARE
    small, shortened = _squeeze(first, room, max_bytes if second is None else share)
    kept = [small]
    left = _without(room, small)
    for row in (*(() if second is None else (second,)), *waiting):
        small, cuts = _shorten(row, share)
        left = _without(left, small)
        if min(left) < 0:
            break
        kept.append(small)
        shortened += cuts
    return Fitted(rows=tuple(kept), shortened=shortened)


def _room(max_bytes: int) -> Room:
    """Bytes and tokens that the rows may take."""
    tokens = min(max_bytes / _BYTES_PER_TOKEN, _MOST_TOKENS)
    return max_bytes, tokens if max_bytes <= _READ else math.inf


def _without(room: Room, row: Row) -> Room:
    """What the row leaves of it."""
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    tokens = 0 if room[1] == math.inf else estimated_tokens(text)
    return room[0] - len(text.encode("utf-8", "replace")) - 1, room[1] - tokens


def _squeeze(row: Row, room: Room, limit: int) -> tuple[Row, int]:
    small, cuts = _shorten(row, limit)
    while min(_without(room, small)) < 0 and limit:
        limit = limit * 3 // 4
        small, cuts = _shorten(row, limit)
    return small, cuts


def _shorten(row: Row, limit: int) -> tuple[Row, int]:
    small = {name: _cut(value, limit) for name, value in row.items()}
    return small, sum(small[name] is not value for name, value in row.items())


def _cut(value: Any, limit: int) -> Any:
    if isinstance(value, str) and len(value) > limit + _MARK_ROOM:
        return f"{value[:limit]}… (+{len(value) - limit} characters)"
    if isinstance(value, list) and sum(map(len, value)) > limit + _MARK_ROOM:
        kept = list(_first_members(value, limit))
        return [*kept, f"… (+{len(value) - len(kept)} more)"]
    return value


_MARK_ROOM: Final = 30
"""What is hardly longer than the bound is not made shorter by a mark."""


def _first_members(members: list[str], limit: int) -> Iterator[str]:
    for member in members:
        limit -= len(member)
        if limit < 0:
            return
        yield member


RESULTS: Final = (*COMPLIANCE_RESULTS, "UNKNOWN")
"""Results of checks, and the word for any other."""


def severity_counts(counts: Iterable[int]) -> dict[str, int]:
    """Counts by name, from critical down to info and unknown, without zeros."""
    names = (*reversed(SEVERITIES), UNKNOWN_SEVERITY)
    return {name: count for name, count in zip(names, counts, strict=True) if count}


def result_counts(counts: Iterable[int]) -> dict[str, int]:
    """Counts by result, in the order of `RESULTS`, without zeros."""
    return {name: count for name, count in zip(RESULTS, counts, strict=True) if count}


def notes(page: Page, *, max_bytes: int | None) -> tuple[str, ...]:
    """Notes about what is missing from a page and how to get it."""
    said = []
    grouped = page.groups is not None
    of = f"{page.groups} groups" if grouped else f"{page.total} matching findings"
    if page.next_cursor is not None:
        said.append(f"{len(page.rows)} of {of}; more with cursor=next_cursor.")
    if page.left_out:
        said.append(
            f"{page.left_out} rows of this page did not fit in {max_bytes} bytes and come with "
            f"the next cursor. To get more at once: {_narrower(page)}."
        )
    if page.shortened:
        said.append(
            f"{pluralize(page.shortened, 'long value')} cut, ending in '… (+N ...)'. To read more "
            "of one, ask for that field alone, with filters on host and plugin_id, and max_bytes "
            "40000; 'nessus-sched results export' has it whole."
        )
    return tuple(said)


def _narrower(page: Page) -> str:
    ways = ["profile 'minimal' or a list of fields"]
    above = 0
    for name, count in page.severities.items():
        above += count
        if name != UNKNOWN_SEVERITY and above < page.total:
            ways.append(f"the filter severity>={name} ({pluralize(above, 'finding')})")
            break
    return " or ".join(ways)
