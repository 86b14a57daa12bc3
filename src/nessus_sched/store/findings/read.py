"""Reads pages of one scan's findings (synchronous, within one snapshot)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.core.store_errors import NoFindings
from nessus_sched.results.catalog import FIELDS
from nessus_sched.results.columns import Kind
from nessus_sched.results.model import NO_SEVERITY, severity_name
from nessus_sched.results.query.model import Query, SortKey
from nessus_sched.store.findings.schema import STORED_SEVERITIES, Table
from nessus_sched.store.findings.sql import (
    Clause,
    ScanRow,
    Selection,
    after,
    effective_order,
    in_severities,
    join,
    join_parts,
    order_by,
    order_expression,
    select,
)

Counts = tuple[int, ...]
"""Counts of findings in the order of `STORED_SEVERITIES`."""

_FEW: Final = 20_000
"""Up to this many findings, selecting them by an index and sorting is faster than walking
through the scan in order until the page is full."""

_INDEXES: Final = {
    Table.PLUGINS: "findings_by_plugin",
    Table.HOSTS: "findings_by_host",
}


_SCAN: Final = "SELECT scan, task_id, imported_at, first_row, last_row, counts FROM scans"


def scan_of(connection: sqlite3.Connection, task_id: str) -> ScanRow:
    """Raises `NoFindings`."""
    row = connection.execute(f"{_SCAN} WHERE task_id = ? AND ready", (task_id,)).fetchone()
    if row is None:
        raise NoFindings(task_id)
    return _scan_row(row)


def scans_between(
    connection: sqlite3.Connection, since: float | None, until: float | None
) -> list[ScanRow]:
    """Scans imported at `since` or later and before `until`, latest first."""
    rows = connection.execute(
        f"{_SCAN} WHERE ready AND imported_at >= ? AND imported_at < ? ORDER BY scan DESC",
        (-1e300 if since is None else since, 1e300 if until is None else until),
    )
    return [_scan_row(row) for row in rows]


def _scan_row(row: Sequence[Any]) -> ScanRow:
    scan, task_id, imported_at, first_row, last_row, counts = row
    return ScanRow(
        scan=scan,
        task_id=task_id,
        imported_at=imported_at,
        first_row=first_row,
        last_row=last_row,
        counts=tuple(json.loads(counts)),
    )


@attrs.frozen(kw_only=True)
class ScanQuery:
    """A query for one scan, with an optional extra condition of the store."""

    scan: ScanRow
    query: Query
    selection: Selection
    extra_condition: Clause | None = None

    @property
    def order(self) -> tuple[SortKey, ...]:
        return effective_order(self.query.sort)


def build_scan_query(
    scan: ScanRow, query: Query, extra_condition: Clause | None = None
) -> ScanQuery:
    selection = select(scan, query.conditions, query.match)
    return ScanQuery(scan=scan, query=query, selection=selection, extra_condition=extra_condition)


def count(connection: sqlite3.Connection, scan_query: ScanQuery) -> Counts:
    """The number of matching findings by severity, from tallies if possible."""
    scan, chosen = scan_query.scan, scan_query.selection
    clauses = [chosen.where] if chosen.where else []
    if scan_query.extra_condition is None and not clauses:
        found = dict(zip(STORED_SEVERITIES, scan.counts, strict=True))
    elif scan_query.extra_condition is None and chosen.parts <= {Table.PLUGINS}:
        found = _tally(connection, "plugin_tally", [_tally_range(scan, Table.PLUGINS), *clauses])
    elif scan_query.extra_condition is None and chosen.parts <= {Table.HOSTS}:
        found = _tally(connection, "host_tally", [_tally_range(scan, Table.HOSTS), *clauses])
    else:
        found = {row[0]: row[-1] for row in summed(connection, scan_query)}
    return tuple(
        found.get(severity, 0) if severity in chosen.severities else 0
        for severity in STORED_SEVERITIES
    )


def summed(
    connection: sqlite3.Connection, scan_query: ScanQuery, sums: Clause | None = None
) -> list[tuple[int, ...]]:
    """For each severity: the severity, these sums over the matching findings, and how
    many those are."""
    where = where_of(scan_query, scan_query.scan.rows)
    columns = f"{sums.sql}, count(*)" if sums else "count(*)"
    return connection.execute(
        f"SELECT severity, {columns} FROM {source_of(connection, scan_query)}"
        f" WHERE {where.sql} GROUP BY severity",
        (*(sums.values if sums else ()), *where.values),
    ).fetchall()


def _tally(connection: sqlite3.Connection, table: str, clauses: Sequence[Clause]) -> dict[int, int]:
    where = join("AND", clauses)
    return dict(
        connection.execute(
            f"SELECT severity, sum(n) FROM {table} WHERE {where.sql} GROUP BY severity",
            where.values,
        )
    )


def _tally_range(scan: ScanRow, part: Table) -> Clause:
    if part is Table.PLUGINS:
        return Clause("scan = ?", (scan.scan,))
    return Clause("host_row BETWEEN ? AND ?", scan.rows)


def where_of(scan_query: ScanQuery, rows: tuple[int, int]) -> Clause:
    """A clause for the matching findings among these rows."""
    chosen = scan_query.selection
    clauses = [Clause("finding_row BETWEEN ? AND ?", rows), in_severities(chosen.severities)]
    clauses += [clause for clause in (chosen.where, scan_query.extra_condition) if clause]
    return join("AND", clauses)


def source_of(connection: sqlite3.Connection, scan_query: ScanQuery) -> str:
    """The findings table, with the index to use."""
    chosen = scan_query.selection
    if not chosen.alternatives:
        sizes = {
            index: sum(
                _tally(
                    connection,
                    part.reference.replace("_row", "_tally"),
                    [_tally_range(scan_query.scan, part), chosen.by_part[part]],
                ).values()
            )
            for part, index in _INDEXES.items()
            if part in chosen.by_part
        }
        if sizes and min(sizes.values()) <= _FEW:
            return f"findings INDEXED BY {min(sizes, key=sizes.__getitem__)}"
    return "findings NOT INDEXED"


def page_rows(
    connection: sqlite3.Connection, scan_query: ScanQuery, counts: Counts, *, last: int, limit: int
) -> list[int]:
    """Up to `limit` rows of `findings` in the order asked for, those after row `last`
    (0: from the beginning)."""
    rows = _possible_rows(scan_query.scan, counts)
    if rows is None:
        return []
    order = scan_query.order
    where = [where_of(scan_query, rows)]
    if last:
        values = sort_values(connection, order, last)
        where.append(after(order, [None] * len(order) if values is None else values, last))
    clause = join("AND", where)
    found = connection.execute(
        f"SELECT finding_row FROM {source_of(connection, scan_query)}"
        f"{join_parts(key.field for key in order)}"
        f" WHERE {clause.sql} ORDER BY {order_by(order)} LIMIT ?",
        (*clause.values, limit),
    )
    return [row for (row,) in found]


def _possible_rows(scan: ScanRow, counts: Counts) -> tuple[int, int] | None:
    """The range of rows with severities that have matches."""
    begin = scan.first_row
    ranges = []
    for total, matching in zip(scan.counts, counts, strict=True):
        if matching:
            ranges.append((begin, begin + total - 1))
        begin += total
    return (ranges[0][0], ranges[-1][1]) if ranges else None


def sort_values(
    connection: sqlite3.Connection, order: Sequence[SortKey], row: int
) -> Sequence[Any] | None:
    """The sort values of a finding, or None if it is no longer stored."""
    if not order:
        return ()
    values = ", ".join(order_expression(key.field) for key in order)
    parts = join_parts(key.field for key in order)
    found: Sequence[Any] | None = connection.execute(
        f"SELECT {values} FROM findings{parts} WHERE finding_row = ?", (row,)
    ).fetchone()
    return found


def read_rows(
    connection: sqlite3.Connection, query: Query, rows: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """The full rows, projected, one at a time: texts may be large."""
    columns = ", ".join(f'"{field}"' for field in query.fields)
    statement = f"SELECT {columns} FROM findings{join_parts(query.fields)} WHERE finding_row = ?"
    for row in rows:
        values = connection.execute(statement, (row,)).fetchone()
        decoded = {
            name: decoded_value(FIELDS[name].kind, value)
            for name, value in zip(query.fields, values, strict=True)
        }
        yield _present(decoded, query)


def decoded_value(kind: Kind, value: Any) -> Any:
    """A stored value as rows of answers have it."""
    if kind is Kind.LIST:
        return [] if value is None else json.loads(value)
    if kind is Kind.FLAG and value is not None:
        return bool(value)
    if kind is Kind.SEVERITY:
        return severity_name(None if value == NO_SEVERITY else value)
    return value


def _present(row: Mapping[str, Any], query: Query) -> dict[str, Any]:
    """The row without absent fields, or with `keep_absent` without optional ones that are absent or
    false."""
    if not query.keep_absent:
        return {name: value for name, value in row.items() if value not in (None, [])}
    return {
        name: value
        for name, value in row.items()
        if name not in query.optional or (value not in (None, []) and value is not False)
    }
