"""Searches of the ledger: what they ask, what they answer, and their cursors. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from nessus_sched.core.targets.labels import Labelled, Labels
from nessus_sched.core.targets.ranges import Ranges
from nessus_sched.results.ledger.fields import LEDGER_FIELDS
from nessus_sched.results.query.cursor import DAMAGED, OTHER_QUESTION, sealed, unsealed
from nessus_sched.results.query.model import BadQuery, Query
from nessus_sched.results.query.page import Page

Value = str | int | float | None
LOOKED_UP: Final[list[Value]] = []
"""In a cursor, for a text that is too long for it."""
_LONGEST: Final = 60


@attrs.frozen(kw_only=True)
class Seen:
    """The hosts that the caller may see: those with an address in `ranges` or none at all, if
    `name` allows the names under which they were scanned."""

    ranges: Ranges
    name: Callable[[str], bool]


@attrs.frozen(kw_only=True)
class LedgerSearch:
    """`query` is on the fields of the ledger. `scheduled` has the tasks of each schedule, by its
    name in lower case. `seen` and `labelled` are None for all hosts. Exceptions count until `now`
    (epoch seconds), to which ages refer; a finding is stale after `stale_after` seconds. `labels`
    are those that hosts have in their fields."""

    query: Query
    now: float
    stale_after: float
    scheduled: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    seen: Seen | None = None
    labelled: Labelled | None = None
    labels: Labels = attrs.field(factory=Labels)


@attrs.frozen(kw_only=True)
class LedgerPage(Page):
    """`excepted` counts, by severity, how many of the findings that match have an exception.
    Rows, also those of groups, have times in epoch seconds."""

    excepted: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class LedgerCursor:
    """The place after a finding, by its values in the order of the page, or a number of groups.
    The counts by severity and `now` are those of the first page, so that ages and exceptions do
    not change from page to page."""

    now: float
    after: tuple[Value | list[Value], ...]
    counts: tuple[int, ...]
    excepted: tuple[int, ...]


def encode(cursor: LedgerCursor, question: str) -> str:
    after = [LOOKED_UP if _is_long(value) else value for value in cursor.after]
    parts = [question, cursor.now, cursor.counts, cursor.excepted, after]
    return sealed(json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode())


def decode(text: str, question: str) -> LedgerCursor:
    """Raises `BadQuery` for a damaged cursor or one from another query."""
    try:
        asked, now, counts, excepted, after = json.loads(unsealed(text))
    except ValueError as error:
        raise BadQuery(DAMAGED) from error
    if asked != question:
        raise BadQuery(OTHER_QUESTION)
    return LedgerCursor(now=now, after=tuple(after), counts=tuple(counts), excepted=tuple(excepted))


def _is_long(value: object) -> bool:
    return isinstance(value, str) and len(value) > _LONGEST


def mixed(names: list[str], stored: Mapping[str, object]) -> tuple[list[str], list[str]]:
    """Which of these fields only stored scans have, and which only the ledger."""
    return (
        [name for name in names if name in stored and name not in LEDGER_FIELDS],
        [name for name in names if name in LEDGER_FIELDS and name not in stored],
    )
