"""Counts the compliance checks among entries, which no count by severity has."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Final

from nessus_sched.results.ledger.states import State
from nessus_sched.store.findings.schema import STORED_SEVERITIES
from nessus_sched.store.ledger.search.conditions import Conditions
from nessus_sched.store.ledger.search.source import Source, where

RESULTS: Final = (f"e.state < {State.FIXED:d}", f"e.state = {State.FIXED:d}")
"""SQL: a check that did not pass is open, also with a warning; one that passes now is fixed."""
_PLUGINS: Final = """
WITH RECURSIVE audits(plugin) AS (
  SELECT min(plugin) FROM entries WHERE audit_check <> 0
  UNION ALL
  SELECT (SELECT min(e.plugin) FROM entries e WHERE e.audit_check <> 0 AND e.plugin > a.plugin)
  FROM audits a WHERE a.plugin IS NOT NULL
)
SELECT plugin FROM audits WHERE plugin IS NOT NULL
"""
_COUNTED: Final = f"""
SELECT e.severity, {", ".join(f"count(*) FILTER (WHERE {test})" for test in RESULTS)}
FROM entries e INDEXED BY entries_by_check
WHERE e.audit_check <> 0 AND e.plugin IN (SELECT value FROM json_each(?)) AND {{clause}}
GROUP BY e.severity
"""


def audit_plugins(connection: sqlite3.Connection) -> tuple[int, ...]:
    """Those that any check is of: very few, each found by a look into the index."""
    return tuple(plugin for (plugin,) in connection.execute(_PLUGINS))


def count_checks(
    connection: sqlite3.Connection, conditions: Conditions
) -> tuple[tuple[int, ...], dict[str, int]]:
    """Those that match: by severity, in the order of `STORED_SEVERITIES`, and by result."""
    plugins = set(audit_plugins(connection))
    if conditions.plugins is not None:
        plugins &= set(conditions.plugins)
    if not plugins:
        return (0,) * len(STORED_SEVERITIES), {}
    clause = where(conditions, Source.ALL)
    rows = connection.execute(
        _COUNTED.format(clause=clause.sql), (json.dumps(sorted(plugins)), *clause.values)
    ).fetchall()
    by_severity = {severity: failed + passed for severity, failed, passed in rows}
    return (
        tuple(by_severity.get(severity, 0) for severity in STORED_SEVERITIES),
        by_result(sum(row[1] for row in rows), sum(row[2] for row in rows)),
    )


def by_result(failed: int, passed: int) -> dict[str, int]:
    """Without zeros."""
    counts: Mapping[str, int] = {"PASSED": passed, "FAILED": failed}
    return {result: count for result, count in counts.items() if count}
