"""Where a search of the ledger reads entries from: what leads to the fewest."""

from __future__ import annotations

import sqlite3
from enum import StrEnum
from typing import Final

from nessus_sched.results.ledger.states import State
from nessus_sched.store.findings.sql import Clause, join
from nessus_sched.store.ledger.search.conditions import (
    Conditions,
    in_severities,
    in_states,
    of_plugins,
    on_machines,
)

MANY: Final = 100_000
"""Open entries on the machines of a search above which reading them all takes too long."""
FEW_PLUGINS: Final = 20
"""Plugins that are looked for one by one on each machine."""
_TALLIES: Final = ("critical", "high", "medium", "low", "info", "unknown")


class Source(StrEnum):
    """Entries `e`, for the FROM of a statement."""

    ALL = "entries e NOT INDEXED"
    PLUGINS = "entries e INDEXED BY open_by_plugin"
    SEVERITIES = "entries e INDEXED BY open_by_severity"
    MACHINES = "machines m CROSS JOIN entries e ON e.machine = m.machine"
    EXCEPTIONS = (
        "excepted y CROSS JOIN exceptions x ON x.number = y.number CROSS JOIN entries e"
        " ON e.machine = y.machine AND e.plugin = y.plugin AND e.service = y.service"
        " AND e.audit_check = y.audit_check"
    )
    EXCEPTIONS_OF_MACHINES = (
        "machines m CROSS JOIN excepted y ON y.machine = m.machine"
        " CROSS JOIN exceptions x ON x.number = y.number CROSS JOIN entries e"
        " ON e.machine = y.machine AND e.plugin = y.plugin AND e.service = y.service"
        " AND e.audit_check = y.audit_check"
    )


_BY_MACHINE: Final = frozenset({Source.MACHINES, Source.EXCEPTIONS_OF_MACHINES})


def where(conditions: Conditions, source: Source) -> Clause:
    """A clause for the entries that match, when they are read from `source`."""
    clauses = [in_states(conditions.states), in_severities(conditions.severities)]
    if conditions.plugins is not None:
        clauses.append(_of_plugins(conditions.plugins, source))
    if conditions.machines is not None:
        joined = source in _BY_MACHINE
        clauses.append(conditions.machines if joined else on_machines(conditions.machines))
    if conditions.rest is not None:
        clauses.append(conditions.rest)
    return join("AND", clauses)


def _of_plugins(plugins: tuple[int, ...], source: Source) -> Clause:
    """With many plugins, looking for each on each machine takes longer than reading all that the
    machine has; the plus keeps SQLite from it."""
    clause = of_plugins(plugins)
    if source in _BY_MACHINE and len(plugins) > FEW_PLUGINS:
        return Clause(f"+{clause.sql}", clause.values)
    return clause


def source_of(connection: sqlite3.Connection, conditions: Conditions) -> Source:
    """`ALL`, `PLUGINS` or `MACHINES`."""
    on_hosts = None
    if conditions.machines is not None:
        on_hosts = sum(tallied(connection, conditions.machines))
    if conditions.plugins is not None and conditions.all_open:
        spread = _spread(connection, conditions.plugins)
        return Source.PLUGINS if on_hosts is None or spread <= on_hosts else Source.MACHINES
    few = conditions.plugins is not None and len(conditions.plugins) <= FEW_PLUGINS
    if few or (on_hosts is not None and on_hosts <= MANY):
        return Source.MACHINES
    return Source.ALL


def excepted_source(source: Source) -> Source:
    """Where to read those entries from that have an exception `x`."""
    return Source.EXCEPTIONS_OF_MACHINES if source is Source.MACHINES else Source.EXCEPTIONS


def tallied(connection: sqlite3.Connection, machines: Clause | None) -> tuple[int, ...]:
    """The open entries of these machines by severity, in the order of `STORED_SEVERITIES`."""
    sums = ", ".join(f"coalesce(sum(m.{name}), 0)" for name in _TALLIES)
    clause = machines or Clause("1")
    row: tuple[int, ...] = connection.execute(
        f"SELECT {sums} FROM machines m WHERE {clause.sql}", clause.values
    ).fetchone()
    return row


def _spread(connection: sqlite3.Connection, plugins: tuple[int, ...]) -> int:
    """How many open entries plugins have, as far as `MANY`."""
    clause = of_plugins(plugins)
    (found,) = connection.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM {Source.PLUGINS} WHERE e.state < {State.FIXED:d}"
        f" AND {clause.sql} LIMIT ?)",
        (*clause.values, MANY + 1),
    ).fetchone()
    assert isinstance(found, int)
    return found
