"""What changed between two scans.

A finding is the same in both when host, plugin, port, protocol and, for compliance, the
check are. A host that only one of the scans saw says nothing about its findings: they are
neither new nor fixed, and kept apart.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import attrs

from nessus_sched.results.query import Query
from nessus_sched.results.query_page import severity_counts
from nessus_sched.store.findings_read import Question, ask, scan_of, summed
from nessus_sched.store.findings_schema import STORED_SEVERITIES
from nessus_sched.store.findings_sql import Clause, ScanRow, join


class Change(StrEnum):
    """What became of a finding from the scan before to the scan after."""

    NEW = "new"
    FIXED = "fixed"
    PERSISTING = "persisting"
    HOST_ADDED = "host_added"
    """On a host that only the scan after saw."""
    HOST_GONE = "host_gone"
    """On a host that only the scan before saw."""


IN_BEFORE: Final = frozenset({Change.FIXED, Change.HOST_GONE})
"""Changes whose findings are those of the scan before."""


@attrs.frozen(kw_only=True)
class Comparison:
    """Numbers of findings by change and severity, and the hosts that only one scan saw
    (at most `MOST_HOSTS` of each; the totals count all)."""

    severities: Mapping[Change, Mapping[str, int]]
    hosts_added: tuple[str, ...]
    hosts_gone: tuple[str, ...]
    hosts_added_total: int
    hosts_gone_total: int
    hosts_in_both: int


MOST_HOSTS: Final = 100


def question_of(
    connection: sqlite3.Connection, before: str, after: str, change: Change, query: Query
) -> Question:
    """The findings with that change. Raises `NoFindings`."""
    earlier, later = scan_of(connection, before), scan_of(connection, after)
    own, other = (earlier, later) if change in IN_BEFORE else (later, earlier)
    return ask(own, query, _besides(change, other))


def _besides(change: Change, other: ScanRow) -> Clause:
    seen, known = _seen(other), _known(other)
    if change is Change.PERSISTING:
        return known
    if change in {Change.HOST_ADDED, Change.HOST_GONE}:
        return _not(seen)
    return join("AND", [seen, _not(known)])


def _seen(other: ScanRow) -> Clause:
    """The other scan saw the host."""
    return Clause(
        "host_row IN (SELECT host_row FROM hosts WHERE host IN"
        " (SELECT host FROM hosts WHERE host_row BETWEEN ? AND ?))",
        other.rows,
    )


def _known(other: ScanRow) -> Clause:
    """The other scan has the finding."""
    return Clause(
        # In order, because a million random numbers are indexed three times as fast so.
        "same IN (SELECT same FROM findings WHERE finding_row BETWEEN ? AND ? ORDER BY same)",
        other.rows,
    )


def _not(clause: Clause) -> Clause:
    return Clause(f"NOT {clause.sql}", clause.values)


def compare(connection: sqlite3.Connection, before: str, after: str, query: Query) -> Comparison:
    """Raises `NoFindings`."""
    earlier, later = scan_of(connection, before), scan_of(connection, after)
    new, persisting, added = _changes(connection, ask(later, query), earlier)
    fixed, _, gone = _changes(connection, ask(earlier, query), later)
    hosts_added = _hosts_without(connection, later, earlier)
    hosts_gone = _hosts_without(connection, earlier, later)
    (hosts_after,) = connection.execute(
        "SELECT count(DISTINCT host) FROM hosts WHERE host_row BETWEEN ? AND ?", later.rows
    ).fetchone()
    return Comparison(
        severities={
            Change.NEW: new,
            Change.FIXED: fixed,
            Change.PERSISTING: persisting,
            Change.HOST_ADDED: added,
            Change.HOST_GONE: gone,
        },
        hosts_added=tuple(hosts_added[:MOST_HOSTS]),
        hosts_gone=tuple(hosts_gone[:MOST_HOSTS]),
        hosts_added_total=len(hosts_added),
        hosts_gone_total=len(hosts_gone),
        hosts_in_both=hosts_after - len(hosts_added),
    )


def _changes(
    connection: sqlite3.Connection, question: Question, other: ScanRow
) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Findings that only this scan has, that both have, and on hosts only this one saw."""
    seen, known = _seen(other), _known(other)
    sums = Clause(f"sum({known.sql}), sum(NOT {seen.sql})", known.values + seen.values)
    found = {severity: rest for severity, *rest in summed(connection, question, sums)}
    counts = [found.get(severity, (0, 0, 0)) for severity in STORED_SEVERITIES]
    return (
        severity_counts(total - both - elsewhere for both, elsewhere, total in counts),
        severity_counts(both for both, _, _ in counts),
        severity_counts(elsewhere for _, elsewhere, _ in counts),
    )


def _hosts_without(connection: sqlite3.Connection, scan: ScanRow, other: ScanRow) -> list[str]:
    found = connection.execute(
        "SELECT DISTINCT host FROM hosts WHERE host_row BETWEEN ? AND ? AND host NOT IN"
        " (SELECT host FROM hosts WHERE host_row BETWEEN ? AND ?) ORDER BY host_order(host)",
        (*scan.rows, *other.rows),
    )
    return [host for (host,) in found]
