"""Opens SQLite connections with the settings that durability depends on."""

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
"""4 MB: with larger values, fewer commits pay for a checkpoint, but those take longer."""
WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024
"""A log that grew during a long read is truncated to this after the next checkpoint."""

Connect = Callable[[Path], sqlite3.Connection]
"""Opens a file for writing; tests replace it to inject faults."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode that may be passed between threads."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def open_writer(path: Path, schema: Schema, connect: Connect = connect) -> sqlite3.Connection:
    """Opens the file for writing, creating it (mode 0600) or migrating it as needed.

    Raises `StoreUnavailable` on disk errors, and `WrongSchema` like `migrate`.
    """
    try:
        # Create it here so that only we can read it, whatever the umask; SQLite gives the
        # files next to it the same mode.
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
    # auto_vacuum works only if set before the first table is created and before WAL.
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
    """Opens a file for reading whether or not a daemon is running; changes nothing on disk.

    A log next to the file means that a daemon is running or died; SQLite then reads both.
    Without a log the file is complete and not in use, and it is opened as immutable, so that
    no log files with another owner are left behind. Raises like `open_writer`, and
    `StoreUnavailable` if there is no file.
    """
    try:
        os.lstat(path)
    except FileNotFoundError as error:
        message = f"there is no {path}: no daemon has run with this configuration"
        raise StoreUnavailable(message) from error
    except OSError:
        pass  # not accessible, which SQLite will report
    logged = path.with_name(path.name + "-wal").exists()
    return open_reader(path, schema, mode="mode=ro" if logged else "mode=ro&immutable=1")


def open_reader(path: Path, schema: Schema, *, mode: str = "mode=ro") -> sqlite3.Connection:
    """Opens a file read-only that this process also has open for writing.

    Raises like `open_writer`.
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
