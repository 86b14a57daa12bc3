"""Counts findings in the ledger by plugin, solution or host, worst group first."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import attrs

from nessus_sched.results.ledger.search import LedgerPage, LedgerSearch
from nessus_sched.results.model import NO_SEVERITY, severity_name
from nessus_sched.results.query.model import GroupBy
from nessus_sched.results.query.page import fit, severity_counts
from nessus_sched.store.findings.schema import STORED_SEVERITIES
from nessus_sched.store.ledger.checks import RESULTS, audit_plugins, by_result
from nessus_sched.store.ledger.search.columns import excepted
from nessus_sched.store.ledger.search.conditions import Conditions
from nessus_sched.store.ledger.search.source import Source, where


@attrs.frozen(kw_only=True)
class _Kind:
    """By which column to group entries `e` with their plugin `d`; which columns to show, by name,
    and which to count distinct values of."""

    by: str
    shown: dict[str, str]
    counted: dict[str, str]


_MACHINE: Final = "(SELECT h.{} FROM machines h WHERE h.machine = e.machine)"
_KINDS: Final = {
    GroupBy.PLUGIN: _Kind(
        by="e.plugin",
        shown={
            "plugin_id": "e.plugin",
            "plugin_name": "max(d.name)",
            "cvss_score": "max(d.cvss)",
            "solution": "max(d.solution)",
        },
        counted={"hosts": "e.machine"},
    ),
    GroupBy.SOLUTION: _Kind(
        by="d.solution",
        shown={"solution": "d.solution"},
        counted={"plugins": "e.plugin", "hosts": "e.machine"},
    ),
    GroupBy.HOST: _Kind(
        by="e.machine",
        shown={"host": _MACHINE.format("name"), "host_ip": _MACHINE.format("ip")},
        counted={"plugins": "e.plugin"},
    ),
}


def read_groups(
    connection: sqlite3.Connection,
    conditions: Conditions,
    source: Source,
    search: LedgerSearch,
    begin: int,
    max_bytes: int | None,
) -> tuple[LedgerPage, int | None]:
    """The groups after the first `begin`, without what counts all findings, and how many come
    before the next page, if any."""
    query = search.query
    assert query.group_by is not None
    found = _groups(connection, conditions, source, _KINDS[query.group_by], search.now)
    groups = sorted(found, key=_rank)
    wanted = groups[begin : begin + query.page_size]
    fitted = fit((row for row, _counts in wanted), max_bytes)
    end = begin + len(fitted.rows)
    page = LedgerPage(
        rows=fitted.rows, total=0, severities={}, groups=len(groups),
        left_out=len(wanted) - len(fitted.rows), shortened=fitted.shortened,
    )  # fmt: skip
    return page, end if end < len(groups) else None


def _groups(
    connection: sqlite3.Connection, conditions: Conditions, source: Source, kind: _Kind, now: float
) -> list[tuple[dict[str, Any], tuple[int, ...]]]:
    """The rows, each with its counts by severity."""
    clause = where(conditions, source)
    columns = [
        *kind.shown.values(),
        *(f"count(DISTINCT {sql})" for sql in kind.counted.values()),
        "max(d.exploited)",
        "min(e.first_seen)",
        f"count({excepted('1', now)})",
        *(f"count(*) FILTER (WHERE e.severity = {severity})" for severity in STORED_SEVERITIES),
    ]
    if audit_plugins(connection):
        tests = [*(f"e.severity = {severity}" for severity in STORED_SEVERITIES), *RESULTS]
        columns += [f"count(*) FILTER (WHERE e.audit_check <> 0 AND {test})" for test in tests]
    rows = connection.execute(
        f"SELECT {', '.join(columns)} FROM {source}"
        " LEFT JOIN definitions d ON d.plugin = e.plugin"
        f" WHERE {clause.sql} GROUP BY {kind.by}",
        clause.values,
    )
    return [_group(kind, row) for row in rows]


def _group(kind: _Kind, row: tuple[Any, ...]) -> tuple[dict[str, Any], tuple[int, ...]]:
    names = (*kind.shown, *kind.counted)
    exploited, oldest, covered, *numbers = row[len(names) :]
    counts = numbers[: len(STORED_SEVERITIES)]
    checks = numbers[len(counts) :] or [0] * (len(counts) + len(RESULTS))
    apart = (every - check for every, check in zip(counts, checks, strict=False))
    results = by_result(*checks[len(counts) :])
    worst = next(s for s, n in zip(STORED_SEVERITIES, counts, strict=True) if n)
    return {
        **dict(zip(names, row, strict=False)),
        "findings": sum(counts),
        "severity": severity_name(None if worst == NO_SEVERITY else worst),
        "severities": severity_counts(apart),
        **({"compliance_counts": results} if results else {}),
        "cisa_kev": bool(exploited),
        "first_seen": oldest,
        "excepted": covered,
    }, tuple(counts)


def _rank(group: tuple[dict[str, Any], tuple[int, ...]]) -> tuple[Any, ...]:
    """By the worst severity, then known to be exploited, then how many findings of each severity,
    then by name."""
    row, counts = group
    worst = next(place for place, number in enumerate(counts) if number)
    name = next(iter(row.values()))
    return (
        worst, not row["cisa_kev"], tuple(-number for number in counts), name is None,
        name if isinstance(name, int) else str(name),
    )  # fmt: skip
