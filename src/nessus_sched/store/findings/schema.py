"""The findings database: its tables, made from the catalog of fields.

A scan's findings are narrow rows of numbers that refer to shared rows in dimension tables:
`plugins` (each distinct one once for all scans), and `hosts`, `services`, `outputs` and
`compliances` of each scan. So a filter is evaluated on the few distinct rows of a dimension,
not on a million findings.

All rows of a scan, in all tables except `plugins`, have numbers from the scan's `first_row` to
its `last_row`, and `finding_row` follows the default order of queries, so that a page is a
range of row numbers, and so are the findings of a severity.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from nessus_sched.results.catalog import FIELDS, Field, Part
from nessus_sched.results.columns import Kind
from nessus_sched.results.model import NO_SEVERITY
from nessus_sched.store.findings.sql_functions import register
from nessus_sched.store.migrations import Schema

STORED_SEVERITIES: Final = (4, 3, 2, 1, 0, NO_SEVERITY)
"""In the order of `finding_row`."""


class Table(StrEnum):
    """The findings table, and the dimensions of a finding's full row. A dimension row has its
    number in the column `reference`, and a finding refers to it by the same column name."""

    FINDINGS = "findings"
    PLUGINS = "plugins"
    HOSTS = "hosts"
    SERVICES = "services"
    OUTPUTS = "outputs"
    COMPLIANCES = "compliances"

    @property
    def reference(self) -> str:
        return self.value.removesuffix("s") + "_row"


SCAN_PARTS: Final = (Table.HOSTS, Table.SERVICES, Table.OUTPUTS, Table.COMPLIANCES)
"""Dimensions that belong to one scan and are deleted with it."""

_OF_PART: Final = {
    Part.PLUGIN: Table.PLUGINS,
    Part.HOST: Table.HOSTS,
    Part.COMPLIANCE: Table.COMPLIANCES,
}
_OF_FINDING: Final = {
    "index": Table.FINDINGS,
    "severity": Table.FINDINGS,
    "host": Table.HOSTS,
    "port": Table.SERVICES,
    "protocol": Table.SERVICES,
    "svc_name": Table.SERVICES,
    "plugin_output": Table.OUTPUTS,
}


def _table(field: Field) -> Table:
    return _OF_FINDING[field.name] if field.part is Part.FINDING else _OF_PART[field.part]


TABLE_OF: Final[Mapping[str, Table]] = MappingProxyType(
    {name: _table(field) for name, field in FIELDS.items()}
)
"""The table that has a field, in a column of the field's name."""

_TYPES: Final = {
    Kind.TEXT: "TEXT",
    Kind.DATE: "TEXT",
    Kind.LIST: "TEXT",  # a JSON array, NULL when empty
    Kind.INTEGER: "INTEGER",
    Kind.SEVERITY: "INTEGER",
    Kind.FLAG: "INTEGER",
    Kind.NUMBER: "REAL",
    Kind.TIME: "REAL",
}


_LONG: Final = {Kind.LIST: 1, Kind.TEXT: 2}


def columns_of(table: Table) -> dict[str, str]:
    """Column definitions of a dimension by field name. Long columns come last, so that SQLite
    can skip them when reading the others."""
    names = [name for name, place in TABLE_OF.items() if place is table]
    names.sort(key=lambda name: _LONG.get(FIELDS[name].kind, 0))
    return {name: f'"{name}" {_TYPES[FIELDS[name].kind]}' for name in names}


def _create(table: Table, *, extra: str = "") -> str:
    columns = ", ".join(columns_of(table).values())
    return f"CREATE TABLE {table} ({table.reference} INTEGER PRIMARY KEY, {extra}{columns});"


_DDL: Final = f"""
-- A number is never used again: cursors hold it. `counts` is a JSON array of the numbers
-- of findings in the order of STORED_SEVERITIES. A scan that is not `ready` is on its way out.
CREATE TABLE scans (
  scan INTEGER PRIMARY KEY AUTOINCREMENT,
  task_id TEXT NOT NULL, imported_at REAL NOT NULL, ready INTEGER NOT NULL DEFAULT 1,
  first_row INTEGER NOT NULL, last_row INTEGER NOT NULL, counts TEXT NOT NULL DEFAULT '[]'
);
CREATE UNIQUE INDEX scans_by_task ON scans (task_id) WHERE ready;
-- `same` is equal for findings of two scans that are the same finding.
CREATE TABLE findings (
  finding_row INTEGER PRIMARY KEY, "index" INTEGER NOT NULL, severity INTEGER NOT NULL,
  plugin_row INTEGER NOT NULL, host_row INTEGER NOT NULL, service_row INTEGER NOT NULL,
  output_row INTEGER NOT NULL, compliance_row INTEGER NOT NULL, same INTEGER NOT NULL
);
CREATE INDEX findings_by_plugin ON findings (plugin_row);
CREATE INDEX findings_by_host ON findings (host_row);
{_create(Table.PLUGINS, extra="digest BLOB NOT NULL UNIQUE, ")}
{"".join(_create(table) for table in SCAN_PARTS)}
CREATE TABLE plugin_tally (
  scan INTEGER NOT NULL, plugin_row INTEGER NOT NULL, severity INTEGER NOT NULL,
  n INTEGER NOT NULL, PRIMARY KEY (scan, plugin_row, severity)
) WITHOUT ROWID;
CREATE INDEX plugin_tally_by_plugin ON plugin_tally (plugin_row);
CREATE TABLE host_tally (
  host_row INTEGER NOT NULL, severity INTEGER NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (host_row, severity)
) WITHOUT ROWID;
"""

_COVERAGE: Final = """
-- What each scan could see (results.coverage); nothing is known of scans stored before.
-- `ids` are the active plugins, packed; most scans share one list.
CREATE TABLE plugin_sets (
  plugin_set INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, ids BLOB NOT NULL
);
CREATE TABLE scan_coverage (
  scan INTEGER PRIMARY KEY, whole INTEGER NOT NULL, targets TEXT, plugin_set INTEGER
);
CREATE TABLE host_coverage (host_row INTEGER PRIMARY KEY, facts TEXT NOT NULL);
"""

_SCANNERS: Final = """
-- A JSON array of [first host_row, scanner] for the runs of hosts that one scanner scanned.
ALTER TABLE scan_coverage ADD COLUMN scanners TEXT;
"""

SCHEMA: Final = Schema(
    name="findings.db", application_id=0x4E534644, steps=(_DDL, _COVERAGE, _SCANNERS)
)


def prepare(connection: sqlite3.Connection) -> None:
    """Sets up a connection; temporary data goes to disk, because imports may be large."""
    register(connection)
    connection.execute("PRAGMA temp_store = FILE")


def stand_in_for_new_fields(connection: sqlite3.Connection) -> None:
    """Like `add_new_fields`, for a read-only file: the new fields are absent."""
    connection.execute("PRAGMA query_only = OFF")
    for table in (Table.PLUGINS, *SCAN_PARTS):
        known = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        new = [name for name in columns_of(table) if name not in known]
        if known and new:
            absent = ", ".join(f'NULL AS "{name}"' for name in new)
            connection.execute(f"CREATE TEMP VIEW {table} AS SELECT *, {absent} FROM main.{table}")
    connection.execute("PRAGMA query_only = ON")


def add_new_fields(connection: sqlite3.Connection) -> None:
    """Adds columns for fields that are newer than the file; existing findings do not have
    them."""
    for table in (Table.PLUGINS, *SCAN_PARTS):
        known = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        for name, definition in columns_of(table).items():
            if name not in known:
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {definition}")
