"""SQLite connections with the settings that durability rests on."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.store.migrations import Schema, check, migrate

BUSY_MS: Final = 5000
AUTOCHECKPOINT_PAGES: Final = 1000
"""4 MB: larger values make the commits rarer that pay for a checkpoint, and them slower."""
WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024
"""A log that a long reader has let grow is cut back to this after the next checkpoint."""

Connect = Callable[[Path], sqlite3.Connection]
"""Opens a file for writing; tests put a connection with faults in its place."""


def connect(path: Path) -> sqlite3.Connection:
    """A bare connection in autocommit mode that may be handed from thread to thread."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def open_writer(path: Path, schema: Schema, connect: Connect = connect) -> sqlite3.Connection:
    """Opens the file for writing, creating it (mode 0600) or migrating it as needed.

    Raises `StoreUnavailable` when the disk says no, `WrongSchema` as `migrate`.
    """
    try:
        # Created by us so that nobody else can read it, whatever the umask; SQLite gives
        # the same mode to the files beside it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = connect(path)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(f"cannot open {path}: {error}") from error
    try:
        check(connection, schema)
        _configure(connection)
        migrate(connection, schema)
    except sqlite3.Error as error:
        connection.close()
        raise StoreUnavailable(f"cannot open {path}: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _configure(connection: sqlite3.Connection) -> None:
    # auto_vacuum counts only before the first table is made, and only before WAL.
    for pragma in (
        f"busy_timeout = {BUSY_MS}",
        "auto_vacuum = INCREMENTAL",
        "journal_mode = WAL",
        "synchronous = FULL",
        f"wal_autocheckpoint = {AUTOCHECKPOINT_PAGES}",
        f"journal_size_limit = {WAL_LIMIT_BYTES}",
        "foreign_keys = ON",
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "temp_store = MEMORY",
        "cache_size = -16000",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def open_offline(path: Path, schema: Schema) -> sqlite3.Connection:
    """Opens a file for reading whether or not a daemon runs; changes nothing on disk.

    A log beside the file means that a daemon runs, or died: SQLite then reads both.
    Without one the file is whole and nobody writes it, and it is opened as immutable,
    so that no log files of another owner are left behind. Raises as `open_writer`, and
    `StoreUnavailable` where there is no file.
    """
    try:
        os.lstat(path)
    except FileNotFoundError as error:
        message = f"there is no {path}: no daemon has run with this configuration"
        raise StoreUnavailable(message) from error
    except OSError:
        pass  # closed to us, which SQLite will say
    logged = path.with_name(path.name + "-wal").exists()
    return open_reader(path, schema, mode="mode=ro" if logged else "mode=ro&immutable=1")


def open_reader(path: Path, schema: Schema, *, mode: str = "mode=ro") -> sqlite3.Connection:
    """Opens for reading only a file that this process also has open for writing.

    Raises as `open_writer`.
    """
    uri = f"{path.absolute().as_uri()}?{mode}"
    try:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        try:
            for pragma in (f"busy_timeout = {BUSY_MS}", "query_only = ON", "cache_size = -4000"):
                connection.execute(f"PRAGMA {pragma}").fetchall()
            check(connection, schema)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise StoreUnavailable(f"cannot read {path}: {error}") from error
    return connection
