"""Says when the hosts that a search asks for were last scanned: no findings does not mean clean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from nessus_sched.core.text import pluralize
from nessus_sched.results.ledger.search import LedgerSearch
from nessus_sched.results.presence import is_many
from nessus_sched.results.query.model import Condition, Op
from nessus_sched.results.untrusted import clean_line
from nessus_sched.store.findings.sql import Clause, join
from nessus_sched.store.ledger.search.conditions import Conditions, named, visible

_NAMED: Final = 5
_NOT_CLEAN: Final = "That does not mean it is clean."
_LOGINS: Final = {
    "full": "with a full login",
    "partial": "with a login that had too few rights or gaps",
    "failed": "without a login: it failed",
    "not_provided": "without a login: none was given",
    "none": "without a login",
}


def host_notes(
    connection: sqlite3.Connection, conditions: Conditions, search: LedgerSearch, total: int
) -> Iterator[str]:
    """For each host and network in the query, when it was last scanned and how."""
    asked = list(dict.fromkeys(_asked(search)))
    for name in asked[:_NAMED]:
        yield f"{clean_line(name, 80)}: {_told(connection, name, search)}"
    if len(asked) > _NAMED:
        yield f"{pluralize(len(asked) - _NAMED, 'more host')} of the filters not looked up."
    if not total and not asked:
        hosts = _machines(connection, Clause("1"), search)[0]
        yield (
            f"Nothing matches on {pluralize(hosts, 'scanned host')}; hosts that were never scanned"
            " are not among them."
        )


def _asked(search: LedgerSearch) -> Iterator[str]:
    for condition in search.query.conditions:
        if condition.field in ("host", "host_ip") and condition.op in (Op.EQUAL, Op.IN):
            many = condition.value if isinstance(condition.value, tuple) else (condition.value,)
            yield from map(str, many)


def _told(connection: sqlite3.Connection, name: str, search: LedgerSearch) -> str:
    where = named(Condition(field="host", op=Op.EQUAL, value=name))
    hosts, reported, answered, tried, silent, login = _machines(connection, where, search)
    if not hosts:
        return f"no scan has ever reported it. {_NOT_CLEAN}"
    if is_many(name):
        return (
            f"{pluralize(hosts, 'host')} of it known, last scanned {_day(reported)}"
            + (f"; {silent} did not answer or finish in its latest scan" if silent else "")
            + ". Others were never scanned or never answered."
        )
    if answered is None:
        return f"it has never answered a scan (last tried {_day(tried)}). {_NOT_CLEAN}"
    if silent:
        return (
            f"its latest scan ({_day(tried)}) did not reach it or did not finish; last scanned to"
            f" its end: {_day(reported)}. {_NOT_CLEAN}"
        )
    return f"last scanned {_day(answered)}, {_LOGINS.get(login, 'with an unknown login result')}."


def _machines(
    connection: sqlite3.Connection, where: Clause, search: LedgerSearch
) -> tuple[int, int | None, int | None, int | None, int, str]:
    """How many hosts these are, when they were last scanned to the end, answered and were tried,
    of how many the latest scan was not whole, and the login of the latest."""
    clause = join("AND", [where, *visible(search)])
    row = connection.execute(
        "SELECT count(*), max(m.last_whole), max(m.last_answered), max(m.tried_at),"
        " count(*) FILTER (WHERE coalesce(m.last_whole, 0) < m.tried_at), max(m.login)"
        f" FROM machines m WHERE {clause.sql}",
        clause.values,
    ).fetchone()
    return (*row[:5], row[5] or "")


def _day(at: int | None) -> str:
    return "never" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
