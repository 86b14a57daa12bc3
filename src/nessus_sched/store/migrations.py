"""Numbered forward migrations of an SQLite file, and refusal of foreign files."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import attrs

from nessus_sched.core.store_errors import WrongSchema


@attrs.frozen(kw_only=True)
class Schema:
    """The history of one database file.

    `steps[n]` is the SQL from version n to n + 1; never edit released steps.
    `application_id` marks the file as ours (`PRAGMA application_id`).
    """

    name: str
    application_id: int
    steps: Sequence[str]

    @property
    def version(self) -> int:
        return len(self.steps)


def migrate(connection: sqlite3.Connection, schema: Schema) -> int:
    """Brings the file to `schema.version` in one transaction; returns the version found.

    Raises `WrongSchema` for a file from another program or from a newer version; such a file
    is not changed.
    """
    found = check(connection, schema)
    if found == schema.version:
        return found
    script = "\n".join(schema.steps[found:])
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script}\n"
            f"PRAGMA application_id = {schema.application_id};\n"
            f"PRAGMA user_version = {schema.version};\nCOMMIT;"
        )
    finally:
        if connection.in_transaction:
            connection.rollback()
    return found


def check(connection: sqlite3.Connection, schema: Schema) -> int:
    """The version of an open file, 0 if empty; raises `WrongSchema` like `migrate`."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and application_id != schema.application_id:
        raise WrongSchema(f"{schema.name}: this file belongs to another program")
    if version > schema.version:
        raise WrongSchema(
            f"{schema.name}: written by a newer nessus-sched (schema {version}, this program "
            f"knows {schema.version}); upgrade the program or restore an older backup"
        )
    assert isinstance(version, int)
    return version
