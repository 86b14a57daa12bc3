"""Exports in PostgreSQL, so that another machine has them, with a directory as their cache."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import attrs

from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.store.connection import FAILURES, Connection
from nessus_sched.store.exports import BadExportFile, ExportStore, private_file
from nessus_sched.store.postgres.connection import connect
from nessus_sched.store.postgres.schema import check_owner

CHUNK: Final = 2**20
_COLUMNS: Final = "SELECT name, size, digest, stored_at FROM export"


class _Stored(NamedTuple):
    """An export in the database: compressed size in bytes, SHA-256, and epoch seconds."""

    name: str
    size: int
    digest: bytes
    stored_at: float


@attrs.frozen
class PostgresExports(ExportStore):
    """The database has the exports; the directory has those that were written or read here.

    An export is in the database before it is in the directory, so a file here that the database
    does not have was deleted by another machine. `owner` is the process that may write
    (`PostgresEngine.owner`); `StoreTakenOver` is raised if it no longer is.
    """

    conninfo: str = attrs.field(repr=False)
    owner: str | None = None

    def prepare(self) -> None:
        """Also removes from the directory what other machines have deleted."""
        super().prepare()
        # Before the database is read: what is written now is there.
        here = {path.name for path in self.paths()}
        with self._connection(reading=True) as connection:
            stored = {name for (name,) in connection.execute("SELECT name FROM export").fetchall()}
        for name in here - stored:
            (self.directory / name).unlink(missing_ok=True)

    def upload(self, path: Path) -> None:
        """Stores a file of another directory in the database."""
        with self._connection() as connection:
            self._store(connection, path, path.name)

    def fetch(self, paths: Collection[Path]) -> None:
        missing = [path.name for path in paths if not path.exists()]
        for each in self._query(f"{_COLUMNS} WHERE name = ANY(?)", (missing,)) if missing else ():
            with suppress(BadExportFile):  # a scan's other reports count without it
                self._fetch_all([each])

    def files(self, task_id: str) -> list[Path]:
        # Ids have no character that means something in a pattern but "_", which is escaped.
        parts = task_id.replace("_", r"\_") + "-%"
        sql = f"{_COLUMNS} WHERE task_id = ? OR task_id LIKE ?"
        stored = self._query(sql, (task_id, parts))
        self._fetch_all(stored)
        return self._sorted(task_id, {each.name for each in stored})

    def latest(self) -> Mapping[str, float]:
        sql = "SELECT task_id, max(stored_at) FROM export GROUP BY task_id"
        with self._connection(reading=True) as connection:
            return dict(connection.execute(sql).fetchall())

    def delete(self, task_ids: Collection[str]) -> int:
        with self._connection() as connection:
            connection.execute("BEGIN")
            check_owner(connection, self.owner)
            sql = "DELETE FROM export WHERE task_id = ANY(?)"
            deleted = connection.execute(sql, (list(task_ids),)).rowcount
            connection.execute("COMMIT")
        super().delete(task_ids)
        return deleted

    def _keep(self, part: Path, name: str) -> None:
        # Whole seconds survive every file system and the number's way through the database.
        stored_at = float(int(part.stat().st_mtime))
        os.utime(part, (stored_at, stored_at))
        with self._connection() as connection:
            self._store(connection, part, name)

    def _store(self, connection: Connection, path: Path, name: str) -> None:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            digest = hashlib.file_digest(file, "sha256").digest()
            file.seek(0)
            connection.execute("BEGIN")
            check_owner(connection, self.owner)
            connection.execute("DELETE FROM export WHERE name = ?", (name,))
            connection.execute(
                "INSERT INTO export VALUES (?, ?, ?, ?, ?)",
                (name, self.task_of(name), status.st_size, digest, float(int(status.st_mtime))),
            )
            for number, chunk in enumerate(iter(lambda: file.read(CHUNK), b"")):
                row = (name, number, chunk)
                connection.execute("INSERT INTO export_chunk VALUES (?, ?, ?)", row)
            connection.execute("COMMIT")

    def _fetch_all(self, stored: Collection[_Stored]) -> None:
        """Raises `BadExportFile` for one that is not what was stored."""
        wanted = [each for each in stored if not self._is_here(each)]
        if wanted:
            with self._connection(reading=True) as connection:
                for each in wanted:
                    self._fetch(connection, each)

    def _is_here(self, stored: _Stored) -> bool:
        try:
            status = self.path(stored.name).stat()
        except FileNotFoundError:
            return False
        return (status.st_size, status.st_mtime) == (stored.size, stored.stored_at)

    def _fetch(self, connection: Connection, stored: _Stored) -> None:
        path = self.path(stored.name)
        part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
        found = hashlib.sha256()
        number = 0
        try:
            with open(part, "wb", opener=private_file) as file:
                read = "SELECT content FROM export_chunk WHERE name = ? AND number = ?"
                connection.execute("BEGIN")
                while row := connection.execute(read, (stored.name, number)).fetchone():
                    found.update(row[0])
                    file.write(row[0])
                    number += 1
                connection.execute("ROLLBACK")
                file.flush()
                os.fsync(file.fileno())
            if not number and stored.size:
                return  # deleted since it was listed
            if found.digest() != stored.digest:
                raise BadExportFile(f"the export {stored.name} in the database is damaged")
            os.utime(part, (stored.stored_at, stored.stored_at))
            part.replace(path)
        except OSError as error:
            raise StoreUnavailable(f"exports cannot be written: {error}") from error
        finally:
            part.unlink(missing_ok=True)

    def _query(self, sql: str, parameters: tuple[Any, ...]) -> list[_Stored]:
        with self._connection(reading=True) as connection:
            return [_Stored(*row) for row in connection.execute(sql, parameters).fetchall()]

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
