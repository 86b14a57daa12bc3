"""Counts the findings of a search by severity, from the machines' tallies or an index alone if
they are enough."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from nessus_sched.store.findings.schema import STORED_SEVERITIES
from nessus_sched.store.findings.sql import join
from nessus_sched.store.ledger.search.conditions import (
    OPEN,
    Conditions,
    in_states,
    of_plugins,
    on_machines,
)
from nessus_sched.store.ledger.search.source import Source, excepted_source, tallied, where

Counts = tuple[int, ...]
"""Counts of findings in the order of `STORED_SEVERITIES`."""


def count(connection: sqlite3.Connection, conditions: Conditions, source: Source) -> Counts:
    if conditions.plain:
        tallies = tallied(connection, conditions.machines)
        return _only(conditions, dict(zip(STORED_SEVERITIES, tallies, strict=True)))
    if source is Source.PLUGINS and conditions.rest is None and conditions.states == OPEN:
        return _only(conditions, _by_indexes(connection, conditions))
    clause = where(conditions, source)
    rows = connection.execute(
        f"SELECT e.severity, count(*) FROM {source} WHERE {clause.sql} GROUP BY e.severity",
        clause.values,
    )
    return _only(conditions, dict(rows.fetchall()))


def _by_indexes(connection: sqlite3.Connection, conditions: Conditions) -> dict[int, int]:
    """What the two indexes of open entries say, without a look at the entries."""
    clauses = [of_plugins(conditions.plugins or ())]
    if conditions.machines is not None:
        clauses.append(on_machines(conditions.machines))
    wanted, still_open = join("AND", clauses), in_states(OPEN).sql
    (total,) = connection.execute(
        f"SELECT count(*) FROM {Source.PLUGINS} WHERE {still_open} AND {wanted.sql}", wanted.values
    ).fetchone()
    others = ", ".join(str(severity) for severity in STORED_SEVERITIES if severity)
    found = dict(
        connection.execute(
            f"SELECT e.severity, count(*) FROM {Source.SEVERITIES} WHERE {still_open}"
            f" AND e.severity <> 0 AND e.severity IN ({others}) AND {wanted.sql} GROUP BY 1",
            wanted.values,
        ).fetchall()
    )
    return {**found, 0: total - sum(found.values())}


def count_excepted(
    connection: sqlite3.Connection, conditions: Conditions, source: Source, now: float
) -> Counts:
    """How many of these findings have an exception, without compliance checks."""
    source = excepted_source(source)
    clause = where(conditions, source)
    rows = connection.execute(
        f"SELECT e.severity, count(*) FROM {source} WHERE x.expires > ?"
        f" AND e.audit_check = 0 AND {clause.sql} GROUP BY e.severity",
        (now, *clause.values),
    )
    return _only(conditions, dict(rows.fetchall()))


def _only(conditions: Conditions, found: Mapping[int, int]) -> Counts:
    return tuple(
        found.get(severity, 0) if severity in conditions.severities else 0
        for severity in STORED_SEVERITIES
    )
