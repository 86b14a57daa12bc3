"""Stores one scan's findings in one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Hashable, Iterable, Sequence
from hashlib import blake2b
from typing import Any, Final, Generic, TypeVar

import attrs

from nessus_sched.core.asked import SentLogin
from nessus_sched.results.catalog import FIELDS
from nessus_sched.results.coverage import (
    CoverageBuilder,
    HostCoverage,
    ScanCoverage,
    from_data,
    of_both,
    to_data,
)
from nessus_sched.results.model import (
    NO_SEVERITY,
    ComplianceResult,
    Finding,
    HostEnd,
    HostReport,
    Plugin,
)
from nessus_sched.store.findings.coverage import store_coverage
from nessus_sched.store.findings.schema import (
    STORED_SEVERITIES,
    Table,
    columns_of,
)

K = TypeVar("K", bound=Hashable)

_BATCH_SIZE: Final = 1000
_KEEP: Final = 2048
"""Rows of a dimension that are remembered to find repetitions. A later repetition is stored
twice, which only costs space; plugins are looked up in the database."""
_KEEP_TEXT: Final = 2000
"""Longer outputs are not deduplicated."""
_STEPS: Final = 200_000
"""Instructions of SQLite between two looks for a cancellation, some milliseconds: the statements at
the end of a large report take many seconds."""

_STAGE: Final = """
CREATE TEMP TABLE staged (
  "index" INTEGER, severity INTEGER, plugin_row INTEGER, host_row INTEGER,
  service_row INTEGER, output_row INTEGER, compliance_row INTEGER, same INTEGER, port INTEGER
)"""
_UNSTAGE: Final = "DROP TABLE IF EXISTS temp.staged"

# The window numbers the rows in the default order of queries (see `schema`).
_PLACE: Final = """
INSERT INTO findings
SELECT :first - 1 + row_number() OVER (
         ORDER BY s.severity DESC, p.cvss_score DESC NULLS LAST, p.plugin_id NULLS LAST,
                  host_order(h.host), s.port NULLS LAST, s."index"),
       s."index", s.severity, s.plugin_row, s.host_row, s.service_row, s.output_row,
       s.compliance_row, s.same
FROM temp.staged s CROSS JOIN plugins p USING (plugin_row) CROSS JOIN hosts h USING (host_row)
ORDER BY 1"""

_TALLY: Final = (
    """INSERT INTO plugin_tally SELECT :scan, plugin_row, severity, count(*)
       FROM temp.staged GROUP BY plugin_row, severity""",
    """INSERT INTO host_tally SELECT host_row, severity, count(*)
       FROM temp.staged GROUP BY host_row, severity""",
)


@attrs.frozen(kw_only=True)
class Imported:
    """The result of an import. `severities` counts findings from critical down to info and
    unknown."""

    hosts: int
    findings: int
    severities: tuple[int, ...]


def import_events(
    connection: sqlite3.Connection,
    task_id: str,
    events: Iterable[HostReport | Finding | HostEnd],
    *,
    at: float,
    check: Callable[[], None],
    coverage: Callable[[], ScanCoverage] | None = None,
    sent: Sequence[SentLogin] = (),
) -> Imported:
    """Replaces the findings of a task; if anything raises, nothing is changed. `check` is called
    now and then and may raise to abort. `coverage` is called after the last event; without it
    the scan's coverage is unknown. `sent` are the credentials of the scan."""
    connection.execute("BEGIN IMMEDIATE")
    connection.set_progress_handler(check, _STEPS)  # a statement ends if it raises
    try:
        scan, first, imported = _import(connection, task_id, events, at=at, check=check, sent=sent)
        if coverage is not None:
            store_coverage(connection, scan, first, coverage())
        connection.execute("COMMIT")
    except sqlite3.OperationalError:
        check()
        raise
    finally:
        connection.set_progress_handler(None, 0)
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute(_UNSTAGE)
    return imported


def _import(
    connection: sqlite3.Connection,
    task_id: str,
    events: Iterable[HostReport | Finding | HostEnd],
    *,
    at: float,
    check: Callable[[], None],
    sent: Sequence[SentLogin],
) -> tuple[int, int, Imported]:
    """Returns the number of the scan, its first row, and the result."""
    connection.execute(_STAGE)
    connection.execute("UPDATE scans SET ready = 0 WHERE task_id = ? AND ready", (task_id,))
    (first,) = connection.execute("SELECT coalesce(max(last_row), 0) + 1 FROM scans").fetchone()
    stage = _Import(connection, first, sent)
    for count, event in enumerate(events):
        if count % _BATCH_SIZE == 0:
            check()
        stage.add(event)
    stage.flush()
    counts = _severity_counts(connection)
    scan = connection.execute(
        "INSERT INTO scans (task_id, imported_at, first_row, last_row, counts)"
        " VALUES (?, ?, ?, ?, ?)",
        (task_id, at, first, first + max(stage.hosts, sum(counts)), json.dumps(counts)),
    ).lastrowid
    assert scan is not None
    check()
    connection.execute(_PLACE, {"first": first})
    for statement in _TALLY:
        connection.execute(statement, {"scan": scan} if ":scan" in statement else {})
    return scan, first, Imported(hosts=stage.hosts, findings=sum(counts), severities=counts)


def _severity_counts(connection: sqlite3.Connection) -> tuple[int, ...]:
    found = dict(connection.execute("SELECT severity, count(*) FROM temp.staged GROUP BY severity"))
    return tuple(found.get(severity, 0) for severity in STORED_SEVERITIES)


class _Import:
    """Receives the events of a report in order and writes them in batches to the dimensions and
    to a temporary table of findings."""

    def __init__(
        self, connection: sqlite3.Connection, first: int, sent: Sequence[SentLogin]
    ) -> None:
        self._connection = connection
        self._first = first
        self.hosts = 0
        self._earlier: tuple[HostCoverage, Sequence[Any]] | None = None
        self._plugins = _Plugins(connection)
        self._hosts = _Batch(connection, _insert(Table.HOSTS, verb="INSERT OR REPLACE"))
        self._services = _Dimension[tuple[int | str | None, ...]](
            _Batch(connection, _insert(Table.SERVICES)), first
        )
        self._outputs = _Dimension[str | None](_Batch(connection, _insert(Table.OUTPUTS)), first)
        self._compliances = _Dimension[ComplianceResult](
            _Batch(connection, _insert(Table.COMPLIANCES)), first
        )
        self._findings = _Batch(connection, f"INSERT INTO temp.staged VALUES ({_placeholders(9)})")
        self._coverage = CoverageBuilder(sent)
        self._covered = _Batch(connection, "INSERT OR REPLACE INTO host_coverage VALUES (?, ?)")

    def add(self, event: HostReport | Finding | HostEnd) -> None:
        covered = self._coverage.add(event)
        if isinstance(event, Finding):
            self._add_finding(event)
        elif isinstance(event, HostReport):
            self._earlier = self._element_before(event.index)
            if self._earlier is None:
                self._add_host(event)  # in case its end is missing
        else:
            assert covered is not None
            self._end_host(event.host, covered)

    def _end_host(self, host: HostReport, covered: HostCoverage) -> None:
        if self._earlier is not None:
            before, known = self._earlier
            covered = of_both(before, covered)
            host = attrs.evolve(host, login=None)
        judged = _judged(host, covered)
        values = _values(judged, _HOST_ATTRIBUTES)
        if self._earlier is not None:
            values = [
                old if value is None or (old is not None and name not in _OF_THE_LAST) else value
                for name, old, value in zip(_HOST_ATTRIBUTES, known, values, strict=True)
            ]
        row = self._first + host.index
        self.hosts = max(self.hosts, host.index + 1)
        self._hosts.add((row, *values))
        self._covered.add((row, json.dumps(to_data(covered), sort_keys=True)))

    def _element_before(self, index: int) -> tuple[HostCoverage, Sequence[Any]] | None:
        """The facts from an earlier element of the same host, which is rare."""
        if index >= self.hosts:
            return None
        self._hosts.flush()
        self._covered.flush()
        names = ", ".join(f'"{name}"' for name in columns_of(Table.HOSTS))
        found = self._connection.execute(
            f"SELECT facts, {names} FROM hosts JOIN host_coverage USING (host_row)"
            " WHERE host_row = ?",
            (self._first + index,),
        ).fetchone()
        return None if found is None else (from_data(json.loads(found[0])), found[1:])

    def _add_host(self, host: HostReport) -> None:
        self.hosts = max(self.hosts, host.index + 1)
        values = _values(host, _HOST_ATTRIBUTES)
        self._hosts.add((self._first + host.index, *values))

    def _add_finding(self, finding: Finding) -> None:
        service = tuple(getattr(finding, name) for name in _SERVICE_ATTRIBUTES)
        output = finding.plugin_output
        compliance = finding.compliance or _NO_COMPLIANCE
        self._findings.add(
            (
                finding.index,
                NO_SEVERITY if finding.severity is None else finding.severity,
                self._plugins.row_of(finding.plugin),
                self._first + finding.host_index,
                self._services.row_of(service, lambda: service),
                self._outputs.row_of(
                    output, lambda: (output,), keep=output is None or len(output) <= _KEEP_TEXT
                ),
                self._compliances.row_of(
                    compliance, lambda: _values(compliance, _COMPLIANCE_ATTRIBUTES)
                ),
                _same(finding),
                finding.port,
            )
        )

    def flush(self) -> None:
        for rows in (self._hosts, self._findings, self._covered):
            rows.flush()
        for part in (self._services, self._outputs, self._compliances):
            part.rows.flush()


class _Batch:
    """Rows to be written to one table."""

    def __init__(self, connection: sqlite3.Connection, statement: str) -> None:
        self._connection = connection
        self._statement = statement
        self._waiting: list[Sequence[Any]] = []

    def add(self, row: Sequence[Any]) -> None:
        self._waiting.append(row)
        if len(self._waiting) >= _BATCH_SIZE:
            self.flush()

    def flush(self) -> None:
        self._connection.executemany(self._statement, self._waiting)
        self._waiting.clear()


class _Dimension(Generic[K]):
    """A dimension that stores repeated rows once, most of the time."""

    def __init__(self, rows: _Batch, first: int) -> None:
        self.rows = rows
        self._next = first
        self._known: dict[K, int] = {}

    def row_of(self, key: K, values: Callable[[], Sequence[Any]], *, keep: bool = True) -> int:
        known = self._known.get(key) if keep else None
        if known is not None:
            return known
        row = self._next
        self._next += 1
        self.rows.add((row, *values()))
        if keep:
            if len(self._known) >= _KEEP:
                self._known.clear()
            self._known[key] = row
        return row


class _Plugins:
    """Stores each distinct plugin once in the whole database, identified by its digest."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[Plugin, int] = {}
        names = ", ".join(f'"{name}"' for name in columns_of(Table.PLUGINS))
        marks = _placeholders(len(columns_of(Table.PLUGINS)) + 1)
        self._insert = f"INSERT INTO plugins (digest, {names}) VALUES ({marks})"

    def row_of(self, plugin: Plugin) -> int:
        row = self._known.get(plugin)
        if row is None:
            row = self._stored(plugin)
            if len(self._known) >= _KEEP:
                self._known.clear()
            self._known[plugin] = row
        return row

    def _stored(self, plugin: Plugin) -> int:
        values = _values(plugin, _PLUGIN_ATTRIBUTES)
        digest = blake2b(json.dumps(values).encode(), digest_size=16).digest()
        found = self._connection.execute(
            "SELECT plugin_row FROM plugins WHERE digest = ?", (digest,)
        ).fetchone()
        if found is None:
            found = (self._connection.execute(self._insert, (digest, *values)).lastrowid,)
        assert isinstance(found[0], int)
        return found[0]


def _judged(host: HostReport, covered: HostCoverage) -> HostReport:
    """The host with the verdict on its login, unless it already has one."""
    if host.login is not None:
        return host
    return attrs.evolve(
        host,
        login=covered.login.value,
        privilege=covered.privilege.value,
        logins=covered.logins,
        login_reasons=covered.reasons,
    )


def _insert(table: Table, *, verb: str = "INSERT") -> str:
    names = ", ".join(f'"{name}"' for name in columns_of(table))
    marks = _placeholders(len(columns_of(table)) + 1)
    return f"{verb} INTO {table} ({table.reference}, {names}) VALUES ({marks})"


def _placeholders(count: int) -> str:
    return ", ".join("?" * count)


def _attributes(table: Table, **other: str) -> tuple[str, ...]:
    """The attributes of a model class that are columns of a dimension."""
    return tuple(other.get(name, FIELDS[name].attribute) for name in columns_of(table))


_PLUGIN_ATTRIBUTES: Final = _attributes(Table.PLUGINS)
_COMPLIANCE_ATTRIBUTES: Final = _attributes(Table.COMPLIANCES)
_SERVICE_ATTRIBUTES: Final = _attributes(Table.SERVICES)
_HOST_ATTRIBUTES: Final = _attributes(Table.HOSTS, host="key")
_OF_THE_LAST: Final = frozenset(
    {"login", "privilege", "logins", "login_reasons", "ended_at", "local_end"}
)
"""Attributes that the last of several elements of a host settles, if it has them."""
_NO_COMPLIANCE: Final = ComplianceResult()


def _values(source: object, attributes: Iterable[str]) -> list[Any]:
    return [_encode(getattr(source, name)) for name in attributes]


def _encode(value: Any) -> Any:
    if isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False) if value else None
    return value


def _same(finding: Finding) -> int:
    """A hash that identifies the finding across scans: host, plugin, port, protocol, and for
    compliance the check. The service name is a guess that may change, so it is not included."""
    check = finding.compliance
    if check is None:
        about: tuple[object, ...] = ()
    else:
        about = (check.check_id,) if check.check_id else (check.check_name, check.audit_file)
    identity = (finding.host, finding.plugin.plugin_id, finding.port, finding.protocol, *about)
    digest = blake2b(repr(identity).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
