"""Compares two scans.

A finding is the same in both if host, plugin, port, protocol and, for compliance, the check
are the same. A finding missing from the later scan is fixed only if that scan would have shown
it (`results.absence`); the same rule decides whether a finding is new.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs

from nessus_sched.results.absence import Reason
from nessus_sched.results.comparison import IN_BEFORE, MOST_HOSTS, Change, Comparison, notes
from nessus_sched.results.model import NO_SEVERITY, severity_name
from nessus_sched.results.query.model import Query
from nessus_sched.results.query.page import RESULTS, result_counts, severity_counts
from nessus_sched.store.findings.checks import IS_CHECK
from nessus_sched.store.findings.checks import RESULT as KNOWN_RESULT
from nessus_sched.store.findings.pairing import ABSENCE, OF_HOST, RESULT, Pairing, paired
from nessus_sched.store.findings.read import (
    ScanQuery,
    build_scan_query,
    scan_of,
    source_of,
    where_of,
)
from nessus_sched.store.findings.schema import STORED_SEVERITIES
from nessus_sched.store.findings.sql import Clause, join
from nessus_sched.store.findings.sql_functions import host_order

Annotate = Callable[[int], Mapping[str, Any]]
"""Returns additional fields for the finding in a row."""


@contextmanager
def changed(
    connection: sqlite3.Connection, before: str, after: str, change: Change, query: Query
) -> Iterator[tuple[ScanQuery, Annotate]]:
    """The findings with that change, readable within the block. Raises `NoFindings`."""
    earlier, later = scan_of(connection, before), scan_of(connection, after)
    own, other = (earlier, later) if change in IN_BEFORE else (later, earlier)
    with paired(connection, own, other) as pairing:
        scan_query = build_scan_query(own, query, _extra_condition(change, pairing))
        yield scan_query, lambda row: _annotation(connection, pairing, change, row)


def _extra_condition(change: Change, pairing: Pairing) -> Clause:
    known = pairing.known()
    if change in (Change.CHANGED, Change.PERSISTING):
        alike = pairing.alike()
        return join("AND", [known, alike if change is Change.PERSISTING else _not(alike)])
    proved = change in (Change.NEW, Change.FIXED)
    return join("AND", [_not(known), Clause(f"{ABSENCE} {'=' if proved else '<>'} ''")])


def _not(clause: Clause) -> Clause:
    return Clause(f"NOT ({clause.sql})", clause.values)


def _annotation(
    connection: sqlite3.Connection, pairing: Pairing, change: Change, row: int
) -> Mapping[str, Any]:
    if change in (Change.NOT_CHECKED, Change.NOT_CHECKED_BEFORE):
        (reason,) = connection.execute(
            f"SELECT {ABSENCE} FROM findings WHERE finding_row = ?", (row,)
        ).fetchone()
        return {"not_checked": reason}
    if change is Change.CHANGED:
        return {"before": _state_before(connection, pairing, row)}
    return {}


def _state_before(connection: sqlite3.Connection, pairing: Pairing, row: int) -> str | None:
    """The check result or severity of a finding in the other scan."""
    (host_row,) = connection.execute(
        "SELECT host_row FROM findings WHERE finding_row = ?", (row,)
    ).fetchone()
    for other in pairing.counterparts[host_row]:
        found = connection.execute(
            f"SELECT severity, {RESULT} FROM findings INDEXED BY findings_by_host"
            f" WHERE host_row = ? AND {OF_HOST} ="
            f" (SELECT {OF_HOST} FROM findings WHERE finding_row = ?)",
            (other, row),
        ).fetchone()
        if found is not None:
            severity, result = found
            return result or severity_name(None if severity == NO_SEVERITY else severity)
    return None


def compare(connection: sqlite3.Connection, before: str, after: str, query: Query) -> Comparison:
    """Raises `NoFindings`."""
    earlier, later = scan_of(connection, before), scan_of(connection, after)
    with paired(connection, later, earlier) as pairing:
        now = _tally(connection, build_scan_query(later, query), pairing)
        added, in_both = _sorted(pairing.hosts_without()), pairing.hosts_in_both()
    with paired(connection, earlier, later) as pairing:
        then = _tally(connection, build_scan_query(earlier, query), pairing)
        gone = _sorted(pairing.hosts_without())
    comparison = Comparison(
        severities={
            Change.NEW: _severities(now, ""),
            Change.NOT_CHECKED_BEFORE: _severities(now, *Reason),
            Change.FIXED: _severities(then, ""),
            Change.NOT_CHECKED: _severities(then, *Reason),
            Change.CHANGED: _severities(now, _CHANGED),
            Change.PERSISTING: _severities(now, _PERSISTING),
        },
        compliance_counts=_with_checks(
            {
                Change.NEW: _results(now, ""),
                Change.NOT_CHECKED_BEFORE: _results(now, *Reason),
                Change.FIXED: _results(then, ""),
                Change.NOT_CHECKED: _results(then, *Reason),
                Change.CHANGED: _results(now, _CHANGED),
                Change.PERSISTING: _results(now, _PERSISTING),
            }
        ),
        not_checked=_reasons(then),
        not_checked_before=_reasons(now),
        hosts_added=tuple(added[:MOST_HOSTS]),
        hosts_gone=tuple(gone[:MOST_HOSTS]),
        hosts_added_total=len(added),
        hosts_gone_total=len(gone),
        hosts_in_both=in_both,
    )
    return attrs.evolve(comparison, notes=notes(comparison))


_RESULT = (
    f"(SELECT CASE WHEN {IS_CHECK} THEN {KNOWN_RESULT} ELSE '' END FROM compliances c"
    " WHERE c.compliance_row = findings.compliance_row)"
)
_CHANGED = Change.CHANGED.value
_PERSISTING = Change.PERSISTING.value
_Tally = Counter[tuple[str, int, str]]
"""Counts of findings by outcome (changed, persisting, empty for proved absent from the other
scan, or a `Reason`), severity, and result (empty if it is no check)."""


def _tally(connection: sqlite3.Connection, scan_query: ScanQuery, pairing: Pairing) -> _Tally:
    known, alike = pairing.known(), pairing.alike()
    where = where_of(scan_query, scan_query.scan.rows)
    found = connection.execute(
        f"SELECT CASE WHEN {known.sql} THEN CASE WHEN {alike.sql} THEN '{_PERSISTING}'"
        f" ELSE '{_CHANGED}' END ELSE {ABSENCE} END AS became, severity, {_RESULT} AS result,"
        f" count(*) FROM {source_of(connection, scan_query)}"
        f" WHERE {where.sql} GROUP BY became, severity, result",
        (*known.values, *alike.values, *where.values),
    )
    return Counter({(became, severity, result): count for became, severity, result, count in found})


def _severities(tally: _Tally, *became: str) -> dict[str, int]:
    return severity_counts(
        sum(tally[each, severity, ""] for each in became) for severity in STORED_SEVERITIES
    )


def _results(tally: _Tally, *became: str) -> dict[str, int]:
    return result_counts(
        sum(count for key, count in tally.items() if key[0] in became and key[2] == result)
        for result in RESULTS
    )


def _with_checks(found: Mapping[Change, Mapping[str, int]]) -> dict[Change, Mapping[str, int]]:
    return {change: counts for change, counts in found.items() if counts}


def _reasons(tally: _Tally) -> dict[Reason, int]:
    counts = {
        reason: sum(count for (became, *_), count in tally.items() if became == reason)
        for reason in Reason
    }
    return {reason: count for reason, count in counts.items() if count}


def _sorted(hosts: list[str]) -> list[str]:
    return sorted(hosts, key=lambda host: host_order(host) or "")
