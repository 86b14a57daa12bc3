"""Reads the counts of a scan's findings from its tallies in milliseconds."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

import attrs

from nessus_sched.results.query.page import severity_counts
from nessus_sched.store.findings.read import scan_of
from nessus_sched.store.findings.schema import STORED_SEVERITIES
from nessus_sched.store.findings.sql import ScanRow


@attrs.frozen(kw_only=True)
class Group:
    """A group of findings with counts, total and by severity. `about` is the host, the family,
    or plugin id and title."""

    about: Mapping[str, Any]
    findings: int
    severities: Mapping[str, int]


@attrs.frozen(kw_only=True)
class Tallies:
    """Counts of one task's findings. Groups are sorted worst first and truncated; the totals
    count all."""

    findings: int
    severities: Mapping[str, int]
    hosts: tuple[Group, ...]
    hosts_total: int
    families: tuple[Group, ...]
    families_total: int
    plugins: tuple[Group, ...]
    plugins_total: int
    exploitable: int
    """Findings for which a public exploit exists."""
    known_exploited: int
    """Findings in CISA's catalog of known exploited vulnerabilities."""


_HOSTS: Final = "host_tally JOIN hosts USING (host_row) WHERE host_row BETWEEN :first AND :last"
_PLUGINS: Final = "plugin_tally JOIN plugins USING (plugin_row) WHERE scan = :scan"

# Worst first: by the number of critical findings, then of high ones, and so on.
_BY_SEVERITY: Final = ", ".join(
    f"sum(n) FILTER (WHERE severity = {severity})" for severity in STORED_SEVERITIES
)
_WORST_FIRST: Final = ", ".join(
    f"coalesce(sum(n) FILTER (WHERE severity = {severity}), 0) DESC"
    for severity in STORED_SEVERITIES
)


def tallies(connection: sqlite3.Connection, task_id: str, top: int) -> Tallies:
    """Raises `NoFindings`."""
    scan = scan_of(connection, task_id)
    hosts, hosts_total = _groups(connection, scan, _HOSTS, ("host",), top)
    families, families_total = _groups(connection, scan, _PLUGINS, ("plugin_family",), top)
    plugins, plugins_total = _groups(connection, scan, _PLUGINS, ("plugin_id", "plugin_name"), top)
    exploitable, known_exploited = connection.execute(
        f"SELECT coalesce(sum(n) FILTER (WHERE exploit_available), 0),"
        f" coalesce(sum(n) FILTER (WHERE cisa_kev), 0) FROM {_PLUGINS}",
        {"scan": scan.scan},
    ).fetchone()
    return Tallies(
        findings=sum(scan.counts),
        severities=severity_counts(scan.counts),
        hosts=hosts,
        hosts_total=hosts_total,
        families=families,
        families_total=families_total,
        plugins=plugins,
        plugins_total=plugins_total,
        exploitable=exploitable,
        known_exploited=known_exploited,
    )


def _groups(
    connection: sqlite3.Connection, scan: ScanRow, source: str, by: tuple[str, ...], top: int
) -> tuple[tuple[Group, ...], int]:
    """The worst `top` groups, and how many there are."""
    values = {"scan": scan.scan, "first": scan.first_row, "last": scan.last_row}
    names = ", ".join(by)
    rows = connection.execute(
        f"SELECT {names}, {_BY_SEVERITY} FROM {source}"
        f" GROUP BY {names} ORDER BY {_WORST_FIRST}, {names}",
        values,
    ).fetchall()
    return tuple(_group(by, row) for row in rows[:top]), len(rows)


def _group(by: tuple[str, ...], row: tuple[Any, ...]) -> Group:
    counts = [count or 0 for count in row[len(by) :]]
    return Group(
        about=dict(zip(by, row, strict=False)),
        findings=sum(counts),
        severities=severity_counts(counts),
    )
