"""Counts the compliance checks among findings, which no count by severity has."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from nessus_sched.results.query.page import RESULTS
from nessus_sched.store.findings.read import ScanQuery, source_of, where_of
from nessus_sched.store.findings.schema import STORED_SEVERITIES
from nessus_sched.store.findings.sql import Clause, ScanRow, join_parts

CheckCounts = tuple[int, ...]
"""By severity, in the order of `STORED_SEVERITIES`, then by result, in that of `RESULTS`."""

NONE: Final[CheckCounts] = (0,) * (len(STORED_SEVERITIES) + len(RESULTS))
IS_CHECK: Final = "(compliance_result IS NOT NULL OR compliance_check_name IS NOT NULL)"
_KNOWN: Final = ", ".join(f"'{result}'" for result in RESULTS)
RESULT: Final = (
    f"CASE WHEN compliance_result IN ({_KNOWN}) THEN compliance_result ELSE '{RESULTS[-1]}' END"
)


def has_checks(connection: sqlite3.Connection, scan: ScanRow) -> bool:
    found = connection.execute(
        f"SELECT 1 FROM compliances WHERE compliance_row BETWEEN ? AND ? AND {IS_CHECK} LIMIT 1",
        (scan.first_row, scan.last_row),
    )
    return found.fetchone() is not None


def count_checks(connection: sqlite3.Connection, scan_queries: Sequence[ScanQuery]) -> CheckCounts:
    """Those that match, in all these scans."""
    sums = NONE
    for scan_query in scan_queries:
        if has_checks(connection, scan_query.scan):
            where = where_of(scan_query, scan_query.scan.rows)
            source = source_of(connection, scan_query)
            sums = tuple(map(sum, zip(sums, _counted(connection, source, where), strict=True)))
    return sums


def count_checks_among(connection: sqlite3.Connection, rows: Clause) -> CheckCounts:
    """Those in these rows of the findings table."""
    return _counted(connection, "findings", rows)


def _counted(connection: sqlite3.Connection, source: str, where: Clause) -> CheckCounts:
    found = connection.execute(
        f"SELECT severity, {RESULT}, count(*) FROM {source}{join_parts(['compliance_result'])}"
        f" WHERE {where.sql} AND {IS_CHECK} GROUP BY 1, 2",
        where.values,
    ).fetchall()
    return tuple(
        sum(count for *keys, count in found if keys[place] == key)
        for place, each in enumerate((STORED_SEVERITIES, RESULTS))
        for key in each
    )
