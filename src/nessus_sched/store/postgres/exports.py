"""Exports that are in PostgreSQL as well as in a directory, so that another machine has them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import attrs

from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.store.connection import FAILURES, Connection
from nessus_sched.store.exports import BadExportFile, ExportStore
from nessus_sched.store.postgres.connection import connect

T = TypeVar("T")

CHUNK: Final = 2**20


@attrs.frozen
class MirroredExports(ExportStore):
    """The directory is what is read; the database is what lasts.

    An export is in the database before it is in the directory, and one is deleted there first.
    `refresh` fetches what the directory lacks. Files in the directory that the database does not
    have, for example those of a store in SQLite, are left alone.
    """

    conninfo: str = attrs.field(repr=False)

    def prepare(self) -> None:
        super().prepare()
        self.refresh()

    def refresh(self) -> int:
        """Fetches the exports that others have stored; returns how many. Raises
        `StoreUnavailable`, or `BadExportFile` for one that is not what was stored."""
        fetched = 0
        with self._connection(reading=True) as connection:
            connection.execute("BEGIN")  # one state of the database, whatever others store
            stored = connection.execute("SELECT name, size, digest, stored_at FROM export")
            for name, size, digest, stored_at in stored.fetchall():
                path = self.path(name)
                try:
                    status = path.stat()
                    if (status.st_size, status.st_mtime) == (size, stored_at):
                        continue
                except FileNotFoundError:
                    pass
                self._fetch(connection, path, digest, stored_at)
                fetched += 1
        return fetched

    def upload(self, name: str) -> None:
        """Stores a file of the directory in the database."""
        self._keep(self.path(name), name)

    def delete(self, task_ids: Collection[str]) -> int:
        with self._connection() as connection:
            connection.execute("DELETE FROM export WHERE task_id = ANY(?)", (list(task_ids),))
        return super().delete(task_ids)

    def _keep(self, part: Path, name: str) -> None:
        # Whole seconds survive every file system and the number's way through the database.
        stored_at = float(int(part.stat().st_mtime))
        os.utime(part, (stored_at, stored_at))
        with self._connection() as connection, part.open("rb") as file:
            connection.execute("BEGIN")
            connection.execute("DELETE FROM export WHERE name = ?", (name,))
            connection.execute(
                "INSERT INTO export VALUES (?, ?, ?, ?, ?)",
                (
                    name,
                    self.task_of(name),
                    part.stat().st_size,
                    hashlib.file_digest(file, "sha256").digest(),
                    stored_at,
                ),
            )
            file.seek(0)
            for number, chunk in enumerate(iter(lambda: file.read(CHUNK), b"")):
                row = (name, number, chunk)
                connection.execute("INSERT INTO export_chunk VALUES (?, ?, ?)", row)
            connection.execute("COMMIT")

    def _fetch(self, connection: Connection, path: Path, digest: bytes, stored_at: float) -> None:
        part = self.part_of(path)
        found = hashlib.sha256()
        number = 0
        try:
            with open(part, "wb", opener=_private) as file:
                read = "SELECT content FROM export_chunk WHERE name = ? AND number = ?"
                while row := connection.execute(read, (path.name, number)).fetchone():
                    found.update(row[0])
                    file.write(row[0])
                    number += 1
                file.flush()
                os.fsync(file.fileno())
            if found.digest() != digest:
                raise BadExportFile(f"the export {path.name} in the database is damaged")
            os.utime(part, (stored_at, stored_at))
            part.replace(path)
        except OSError as error:
            raise StoreUnavailable(f"exports cannot be written: {error}") from error
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def _connection(self, *, reading: bool = False) -> Iterator[Connection]:
        connection = connect(self.conninfo, reading=reading)
        try:
            yield connection
        except FAILURES as error:
            message = f"exports cannot be {'read' if reading else 'stored'}: {error}"
            raise StoreUnavailable(message) from error
        finally:
            connection.close()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
