"""Copies a store while it is in use: one consistent snapshot, written atomically."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from nessus_sched.core.store_errors import BackupFailed
from nessus_sched.store.sqlite import connect

STEP_PAGES: Final = 1000


def copy_store(source: sqlite3.Connection, destination: Path) -> int:
    """Writes the snapshot seen by `source` (in a read transaction) to a new file.

    The file gets its final name once it is complete and synced, replaces an older one, and
    is self-contained. Returns the size in bytes; raises `BackupFailed`.
    """
    partial = destination.with_name(f".{destination.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            _copy(source, partial)
            size = _sync(partial)
            partial.replace(destination)
        finally:
            partial.unlink(missing_ok=True)
        _sync(destination.parent)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BackupFailed(f"cannot back up to {destination}: {reason}") from error
    return size


def _copy(source: sqlite3.Connection, path: Path) -> None:
    target = connect(path)
    try:
        # The source's transaction keeps the copy from restarting at every write. Copying in
        # steps lets Python handle Ctrl-C in between.
        source.backup(target, pages=STEP_PAGES, progress=lambda *_: None)
        target.execute("PRAGMA journal_mode = DELETE").fetchall()
    finally:
        target.close()


def _sync(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
