"""Counts findings by plugin, host or solution, worst group first."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.results.logins.verdict import URGENCY
from nessus_sched.results.model import NO_SEVERITY, SEVERITIES, UNKNOWN_SEVERITY
from nessus_sched.results.query.cursor import Cursor, decode_cursor, encode_cursor, fingerprint
from nessus_sched.results.query.model import GroupBy, Query
from nessus_sched.results.query.page import RESULTS, Page, fit, notes
from nessus_sched.results.reached import ScannedHost
from nessus_sched.store.findings.checks import (
    IS_CHECK,
    NONE,
    RESULT,
    CheckCounts,
    count_checks,
    has_checks,
)
from nessus_sched.store.findings.coverage import read_scanned_hosts
from nessus_sched.store.findings.page import told_apart
from nessus_sched.store.findings.read import (
    Counts,
    ScanQuery,
    build_scan_query,
    count,
    source_of,
    where_of,
)
from nessus_sched.store.findings.schema import STORED_SEVERITIES, TABLE_OF, Table
from nessus_sched.store.findings.sql import (
    Clause,
    ScanRow,
    Selection,
    in_severities,
    join,
    join_parts,
)

_PLACES: Final = 20
"""Hosts and ports named in a group; the rest are counted."""
_MANY: Final = 50_000
"""Up to this many findings are looked up once if their conditions are costly."""


@attrs.frozen(kw_only=True)
class _Kind:
    """How to group: by which columns, which columns to show (their greatest value), and which to
    count distinct values of. `later` is counted only for the groups of a page."""

    by: tuple[str, ...]
    about: tuple[str, ...] = ()
    counted: Mapping[str, str] = attrs.field(factory=dict)
    later: tuple[str, ...] = ()

    @property
    def of_plugins(self) -> bool:
        """Whether tallies of plugins are enough."""
        needed = (*self.by, *self.about, *self.counted.values())
        return all(TABLE_OF[field] is Table.PLUGINS for field in needed)


_KINDS: Final = {
    GroupBy.PLUGIN: _Kind(
        by=("plugin_id", "plugin_name"),
        about=("cvss_score", "exploit_available", "cisa_kev", "solution"),
        later=("hosts",),
    ),
    GroupBy.HOST: _Kind(by=("host",), about=("host_ip",), counted={"plugins": "plugin_id"}),
    GroupBy.SOLUTION: _Kind(by=("solution",), counted={"plugins": "plugin_id"}, later=("hosts",)),
}
_LOGIN_OF_HOST: Final = ("host_login", "host_privilege", "host_logins", "host_login_reasons")


@attrs.frozen(kw_only=True)
class _Group:
    key: tuple[Any, ...]
    counts: tuple[int, ...]
    row: dict[str, Any]

    @property
    def rank(self) -> tuple[Any, ...]:
        return (tuple(-count for count in self.counts), tuple(map(str, self.key)))


def read_groups(
    connection: sqlite3.Connection, scan: ScanRow, query: Query, *, max_bytes: int | None
) -> Page:
    """A page of groups of matching findings."""
    assert query.group_by is not None
    asked = fingerprint(query, "groups", scan.task_id)
    cursor = decode_cursor(query.cursor, asked) if query.cursor else None
    scan_query = _looked_up(connection, build_scan_query(scan, query))
    groups = sorted(_groups(connection, scan_query, query.group_by), key=lambda each: each.rank)
    begin = cursor.after if cursor else 0
    wanted = groups[begin : begin + query.page_size]
    describe = _DETAILS[query.group_by]
    fitted = fit(({**g.row, **describe(connection, scan_query, g)} for g in wanted), max_bytes)
    counts = count(connection, scan_query)
    checks = cursor.checks if cursor else count_checks(connection, [scan_query])
    severities, results = told_apart(counts, checks)
    end = begin + len(fitted.rows)
    follows = Cursor(question=asked, scan=scan.scan, after=end, counts=counts, checks=checks)
    page = Page(
        rows=fitted.rows,
        total=sum(counts),
        severities=severities,
        checks=results,
        groups=len(groups),
        next_cursor=encode_cursor(follows) if end < len(groups) else None,
        left_out=len(wanted) - len(fitted.rows),
        shortened=fitted.shortened,
    )
    return attrs.evolve(page, notes=notes(page, max_bytes=max_bytes))


def read_matching_hosts(
    connection: sqlite3.Connection, scan: ScanRow, query: Query
) -> list[ScannedHost]:
    """The hosts that match, in the report's order."""
    if not query.conditions:
        return read_scanned_hosts(connection, scan)
    groups = _groups(connection, build_scan_query(scan, query), GroupBy.HOST)
    return read_scanned_hosts(connection, scan, {group.key[0] for group in groups})


def _looked_up(connection: sqlite3.Connection, scan_query: ScanQuery) -> ScanQuery:
    """The same findings by their rows, if there are few and the conditions look at every finding:
    groups ask several times."""
    chosen = scan_query.selection
    if chosen.parts <= {Table.PLUGINS, Table.HOSTS}:
        return scan_query
    where = where_of(scan_query, scan_query.scan.rows)
    found = connection.execute(
        f"SELECT finding_row FROM {source_of(connection, scan_query)} WHERE {where.sql}"
        f" LIMIT {_MANY + 1}",
        where.values,
    ).fetchall()
    if len(found) > _MANY:
        return scan_query
    rows = json.dumps([row for (row,) in found])
    return attrs.evolve(
        scan_query,
        selection=Selection(severities=chosen.severities),
        extra_condition=Clause("finding_row IN (SELECT value FROM json_each(?))", (rows,)),
    )


def _groups(connection: sqlite3.Connection, scan_query: ScanQuery, by: GroupBy) -> Iterator[_Group]:
    kind = _KINDS[by]
    if (
        kind.of_plugins
        and scan_query.extra_condition is None
        and scan_query.selection.parts <= {Table.PLUGINS}
        and not has_checks(connection, scan_query.scan)
    ):
        yield from _tallied(connection, scan_query, kind)
        return
    found = list(_counted(connection, scan_query, kind))
    yield from found
    if by is GroupBy.HOST and _hosts_alone_decide(scan_query):
        met = {group.key for group in found}
        for host, address in _hosts(connection, scan_query):
            if (host,) not in met:
                yield _group(kind, (host, address, 0, *((0,) * len(STORED_SEVERITIES))))


def _tallied(
    connection: sqlite3.Connection, scan_query: ScanQuery, kind: _Kind
) -> Iterator[_Group]:
    """The same as `_counted`, whatever the number of findings."""
    chosen = scan_query.selection
    clauses = [Clause("scan = ?", (scan_query.scan.scan,)), in_severities(chosen.severities)]
    clauses += [clause for clause in (chosen.where,) if clause]
    each = [
        f"coalesce(sum(n) FILTER (WHERE severity = {severity}), 0)"
        for severity in STORED_SEVERITIES
    ]
    source = "plugin_tally CROSS JOIN plugins USING (plugin_row)"
    return _summed(connection, kind, source, join("AND", clauses), each)


def _counted(
    connection: sqlite3.Connection, scan_query: ScanQuery, kind: _Kind
) -> Iterator[_Group]:
    each = [f"count(*) FILTER (WHERE severity = {severity})" for severity in STORED_SEVERITIES]
    fields = [*kind.by, *kind.about, *kind.counted.values()]
    if has_checks(connection, scan_query.scan):
        tests = [*(f"severity = {severity}" for severity in STORED_SEVERITIES),
                 *(f"{RESULT} = '{result}'" for result in RESULTS)]  # fmt: skip
        each += [f"count(*) FILTER (WHERE {IS_CHECK} AND {test})" for test in tests]
        fields.append("compliance_result")
    source = f"{source_of(connection, scan_query)}{join_parts(fields)}"
    return _summed(connection, kind, source, where_of(scan_query, scan_query.scan.rows), each)


def _summed(
    connection: sqlite3.Connection, kind: _Kind, source: str, where: Clause, each: Sequence[str]
) -> Iterator[_Group]:
    """`each` are the sums of a group after its own columns."""
    columns = [
        *kind.by,
        *(f"max({name})" for name in kind.about),
        *(f"count(DISTINCT {name})" for name in kind.counted.values()),
        *each,
    ]
    rows = connection.execute(
        f"SELECT {', '.join(columns)} FROM {source} WHERE {where.sql}"
        f" GROUP BY {', '.join(kind.by)}",
        where.values,
    )
    return (_group(kind, row) for row in rows)


def _group(kind: _Kind, row: tuple[Any, ...]) -> _Group:
    names = (*kind.by, *kind.about, *kind.counted)
    counts = row[len(names) :][: len(STORED_SEVERITIES)]
    checks = row[len(names) + len(counts) :] or NONE
    worst = next((s for s, n in zip(STORED_SEVERITIES, counts, strict=True) if n), None)
    said = dict(zip(names, row, strict=False))
    for flag in ("exploit_available", "cisa_kev"):
        if said.get(flag) is not None:
            said[flag] = bool(said[flag])
    return _Group(
        key=row[: len(kind.by)],
        counts=counts,
        row={
            **said,
            **dict.fromkeys(kind.later),
            "findings": sum(counts),
            **({} if worst is None else {"severity": _word(worst)}),
            **_apart(counts, checks),
        },
    )


def _apart(counts: Counts, checks: CheckCounts) -> dict[str, Any]:
    severities, results = told_apart(counts, checks)
    return {"severities": severities, **({"compliance_counts": results} if results else {})}


def _word(severity: int) -> str:
    return UNKNOWN_SEVERITY if severity == NO_SEVERITY else SEVERITIES[severity]


def _hosts_alone_decide(scan_query: ScanQuery) -> bool:
    """Whether hosts without findings match, too."""
    chosen = scan_query.selection
    return (
        scan_query.extra_condition is None
        and chosen.parts <= {Table.HOSTS}
        and chosen.severities == frozenset(STORED_SEVERITIES)
    )


def _hosts(connection: sqlite3.Connection, scan_query: ScanQuery) -> Iterator[tuple[str, str]]:
    clauses = [Clause("host_row BETWEEN ? AND ?", scan_query.scan.rows)]
    clauses += [clause for clause in (scan_query.selection.where,) if clause]
    where = join("AND", clauses)
    yield from connection.execute(
        f"SELECT host, max(host_ip) FROM hosts WHERE {where.sql} GROUP BY host", where.values
    )


def _places(connection: sqlite3.Connection, scan_query: ScanQuery, group: _Group) -> dict[str, Any]:
    """The number of hosts, and the locations: `192.0.2.1:443`, or just the host."""
    kind = _KINDS[scan_query.query.group_by or GroupBy.PLUGIN]
    same = join(
        "AND",
        [
            Clause("plugin_row IN (SELECT plugin_row FROM plugin_tally WHERE scan = ?)",
                   (scan_query.scan.scan,)),
            *(Clause(f"{name} IS ?", (value,))
              for name, value in zip(kind.by, group.key, strict=True)),
        ],
    )  # fmt: skip
    plugins = Clause(
        f"plugin_row IN (SELECT plugin_row FROM plugins WHERE {same.sql})", same.values
    )
    where = join("AND", [where_of(scan_query, scan_query.scan.rows), plugins])
    source = f"findings INDEXED BY findings_by_plugin{join_parts(['host', 'port'])}"
    found = connection.execute(
        f"SELECT DISTINCT host, coalesce(port, 0) FROM {source} WHERE {where.sql}"
        " ORDER BY host_order(host), 2",
        where.values,
    ).fetchall()
    named = [f"{host}:{port}" if port else host for host, port in found[:_PLACES]]
    more = len(found) - _PLACES
    return {
        "hosts": len({host for host, _ in found}),
        "where": [*named, f"… (+{more} more)"] if more > 0 else named,
    }


def _login(connection: sqlite3.Connection, scan_query: ScanQuery, group: _Group) -> dict[str, Any]:
    """The login result; the worst one if the report has the host several times."""
    found = connection.execute(
        f"SELECT {', '.join(_LOGIN_OF_HOST)} FROM hosts"
        " WHERE host_row BETWEEN ? AND ? AND host = ?",
        (*scan_query.scan.rows, *group.key),
    ).fetchall()
    order = [login.value for login in URGENCY]
    known = [row for row in found if row[0] in order]
    if not known:
        return {"login": "unknown", "privilege": "unknown"}
    login, privilege, *lists = min(known, key=lambda row: order.index(row[0]))
    said = {"login": login, "privilege": privilege}
    listed = zip(("logins", "login_reasons"), lists, strict=True)
    return said | {name: json.loads(texts) for name, texts in listed if texts}


_DETAILS: Final[
    Mapping[GroupBy, Callable[[sqlite3.Connection, ScanQuery, _Group], dict[str, Any]]]
] = {GroupBy.PLUGIN: _places, GroupBy.SOLUTION: _places, GroupBy.HOST: _login}
