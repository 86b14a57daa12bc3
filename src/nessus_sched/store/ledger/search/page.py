"""Reads pages of findings in the ledger, with their counts (synchronous, within one snapshot)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.results.ledger.fields import LEDGER_FIELDS
from nessus_sched.results.ledger.search import (
    LOOKED_UP,
    LedgerCursor,
    LedgerPage,
    LedgerSearch,
    decode,
    encode,
)
from nessus_sched.results.query.cursor import DAMAGED, fingerprint
from nessus_sched.results.query.model import BadQuery
from nessus_sched.results.query.page import fit, notes, severity_counts
from nessus_sched.store.findings.read import decoded_value
from nessus_sched.store.findings.sql_functions import register
from nessus_sched.store.ledger.checks import count_checks
from nessus_sched.store.ledger.regions import register_labels
from nessus_sched.store.ledger.search.columns import JOINED, Column, columns
from nessus_sched.store.ledger.search.conditions import MAY_SEE, compiled
from nessus_sched.store.ledger.search.counts import count, count_excepted
from nessus_sched.store.ledger.search.find import Finder
from nessus_sched.store.ledger.search.groups import read_groups
from nessus_sched.store.ledger.search.notes import host_notes
from nessus_sched.store.ledger.search.order import KEY, Key, Place, keys_of
from nessus_sched.store.ledger.search.source import source_of

_ENTRY: Final = "e.plugin = ? AND e.machine = ? AND e.service = ? AND e.audit_check = ?"
_STALE: Final = "cursor: the ledger was rebuilt since; start again without one"


def read_search(
    connection: sqlite3.Connection, search: LedgerSearch, max_bytes: int | None
) -> LedgerPage:
    """The page that is asked for; `total` counts findings. Raises `BadQuery`."""
    register(connection)
    if search.seen is not None:
        connection.create_function(MAY_SEE, 1, search.seen.name)
    register_labels(connection, search.labels)
    asked = fingerprint(search.query, "ledger")
    cursor = decode(search.query.cursor, asked) if search.query.cursor else None
    if cursor is not None:
        search = attrs.evolve(search, now=cursor.now)
    conditions = compiled(connection, search)
    source = source_of(connection, conditions)
    if cursor is None:
        counts = count(connection, conditions, source)
        covered = count_excepted(connection, conditions, source, search.now)
    else:
        counts, covered = cursor.counts, cursor.excepted
    page: LedgerPage
    follows: Place | None
    if search.query.group_by is not None:
        begin = _number(cursor)
        page, end = read_groups(connection, conditions, source, search, begin, max_bytes)
        follows = None if end is None else (end,)
    else:
        finder = Finder(connection, conditions, source, counts, search.now)
        page, follows = _page(finder, search, cursor, max_bytes)
    following = None
    if follows is not None:
        cursor_after = LedgerCursor(now=search.now, after=follows, counts=counts, excepted=covered)
        following = encode(cursor_after, asked)
    of_checks, results = count_checks(connection, conditions)
    page = attrs.evolve(
        page,
        total=sum(counts),
        severities=severity_counts(a - b for a, b in zip(counts, of_checks, strict=True)),
        checks=results,
        excepted=severity_counts(covered),
        next_cursor=following,
    )
    said = () if cursor else host_notes(connection, conditions, search, page.total)
    return attrs.evolve(page, notes=(*said, *notes(page, max_bytes=max_bytes)))


def _number(cursor: LedgerCursor | None) -> int:
    """How many groups come before."""
    match cursor.after if cursor else (0,):
        case (int(number),):
            return number
    raise BadQuery(DAMAGED)


def _page(
    finder: Finder,
    search: LedgerSearch,
    cursor: LedgerCursor | None,
    max_bytes: int | None,
) -> tuple[LedgerPage, Place | None]:
    """The page, and the place after it if there are more."""
    connection, query = finder.connection, search.query
    known = columns(search.now, search.stale_after)
    keys = keys_of(query.sort, known)
    begin = None if cursor is None else _place(connection, keys, cursor)
    if query.sort:
        places = finder.sorted(keys, begin, query.page_size + 1)
    else:
        places = finder.worst_first(keys, begin, query.page_size + 1)
    wanted = places[: query.page_size]
    fitted = fit(_rows(connection, search, known, wanted), max_bytes)
    end = len(fitted.rows)
    page = LedgerPage(
        rows=fitted.rows, total=sum(finder.counts), severities={}, left_out=len(wanted) - end,
        shortened=fitted.shortened,
    )  # fmt: skip
    return page, None if end == len(places) else wanted[end - 1]


def _place(connection: sqlite3.Connection, keys: Sequence[Key], cursor: LedgerCursor) -> Place:
    """The place of a cursor, with its long texts."""
    after = cursor.after
    if len(after) != len(keys):
        raise BadQuery(_STALE)
    if LOOKED_UP not in after:
        return after
    found = connection.execute(
        f"SELECT {', '.join(key.sql for key in keys)} FROM entries e WHERE {_ENTRY}",
        after[-len(KEY) :],
    ).fetchone()
    if found is None:
        raise BadQuery(_STALE)
    return tuple(now if then == LOOKED_UP else then for then, now in zip(after, found, strict=True))


def _rows(
    connection: sqlite3.Connection,
    search: LedgerSearch,
    known: Mapping[str, Column],
    places: Sequence[Place],
) -> Iterator[dict[str, Any]]:
    """The rows, projected; `task_id` is in each, since a row means little without its scan."""
    query = search.query
    fields = tuple(dict.fromkeys((*query.fields, "task_id")))
    shown = ", ".join(known[name].shown for name in fields)
    statement = f"SELECT {shown}, x.number FROM {JOINED.format(now=search.now)} WHERE {_ENTRY}"
    for place in places:
        *values, covered = connection.execute(statement, place[-len(KEY) :]).fetchone()
        kinds = (LEDGER_FIELDS[name].kind for name in fields)
        row = dict(zip(fields, map(decoded_value, kinds, values), strict=True))
        if covered is None and "effective_severity" in query.optional:
            row.pop("effective_severity", None)
        optional = query.optional if query.keep_absent else fields
        yield {
            name: value
            for name, value in row.items()
            if name not in optional or value not in (None, [], False)
        }
