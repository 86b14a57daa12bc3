"""An SQLite file that is in PostgreSQL as well, in blocks, with which another machine begins.

The file is what is read and written; a push stores what changed since the last one. What was not
pushed before a machine was lost has to follow from elsewhere: the ledger applies the scans that it
does not have.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final

import attrs

from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.store.backup import copy_store
from nessus_sched.store.connection import FAILURES, Connection
from nessus_sched.store.migrations import Schema
from nessus_sched.store.postgres.connection import connect
from nessus_sched.store.postgres.schema import check_owner
from nessus_sched.store.reader import snapshot
from nessus_sched.store.sqlite import open_reader

BLOCK: Final = 16384
_UPSERT: Final = """
INSERT INTO mirror_block VALUES (?, ?, ?, ?) ON CONFLICT (name, number) DO UPDATE SET
digest = excluded.digest, content = excluded.content"""


@attrs.define
class Mirror:
    """One file. All methods block; they raise `StoreUnavailable`.

    `owner` is who may push: the process that writes the store (`PostgresEngine.owner`).
    """

    _conninfo: str
    _path: Path
    _schema: Schema
    _owner: str
    _digests: dict[int, bytes] = attrs.field(init=False, factory=dict)
    """Of the blocks in the database."""
    _version: str = attrs.field(init=False, default="")
    """Of the database's copy that `_digests` is about."""
    _pushed: tuple[int, ...] | None = attrs.field(init=False, default=None)
    """What the file looked like when it was pushed."""
    guard: Lock = attrs.field(init=False, factory=Lock)
    """Held while the file is replaced, and by who has it open in the meantime."""

    def push(self) -> int:
        """Stores what has changed, in one transaction; returns the number of blocks. Raises
        `StoreTakenOver` if this process does not write the store any more."""
        looks = self._looks()
        if looks == self._pushed:
            return 0
        copy = self._path.with_name(f".{self._path.name}.mirrored")
        try:
            with closing(open_reader(self._path, self._schema)) as file:
                snapshot(file, lambda each: copy_store(each, copy))
            with self._connection() as connection, copy.open("rb") as blocks:
                changed = self._store(connection, blocks)
        except OSError as error:
            raise StoreUnavailable(f"{copy.name} cannot be read: {error.strerror}") from error
        finally:
            copy.unlink(missing_ok=True)
        self._pushed = looks
        return changed

    @property
    def mirrored(self) -> bool:
        """Whether the file is, or began with, a copy in a database."""
        return bool(self._noted())

    def catch_up(self) -> bool:
        """Replaces the file, which nobody may have open without `guard`, by the database's copy,
        unless that is what the file began with: then it has the same, and perhaps more. Returns
        whether it was replaced."""
        with self._connection(reading=True) as connection:
            sql = "SELECT version FROM mirror WHERE name = ?"
            row = connection.execute(sql, (self._path.name,)).fetchone()
        if row is None or (self._path.exists() and row[0] == self._noted()):
            return False
        self._restore()
        return True

    def _restore(self) -> None:
        part = self._path.with_name(f".{self._path.name}.restored")
        try:
            with self._connection(reading=True) as connection, part.open("wb") as file:
                version = self._fetch(connection, file)
                file.flush()
                os.fsync(file.fileno())
            part.chmod(0o600)
            self._check(part)
            with self.guard:
                for suffix in ("-wal", "-shm"):  # of the file that is replaced
                    self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
                part.replace(self._path)
                self._note(version)
        except OSError as error:
            reason = f"{self._path.name} cannot be restored: {error.strerror}"
            raise StoreUnavailable(reason) from error
        finally:
            part.unlink(missing_ok=True)

    @property
    def _note_file(self) -> Path:
        return self._path.with_name(f".{self._path.name}.version")

    def _note(self, version: str) -> None:
        """Remembers what the file begins with. If this is lost, the next start fetches it."""
        self._note_file.write_text(version, encoding="ascii")

    def _noted(self) -> str:
        try:
            return self._note_file.read_text(encoding="ascii", errors="replace")
        except OSError:
            return ""

    def _looks(self) -> tuple[int, ...]:
        """Something that differs after every commit."""
        looks = []
        for name in (self._path.name, f"{self._path.name}-wal"):
            try:
                status = self._path.with_name(name).stat()
                looks += [status.st_mtime_ns, status.st_size]
            except FileNotFoundError:
                looks.append(0)
        return tuple(looks)

    def _store(self, connection: Connection, blocks: BinaryIO) -> int:
        connection.execute("BEGIN")
        check_owner(connection, self._owner)
        name = self._path.name
        connection.execute("INSERT INTO mirror VALUES (?, '') ON CONFLICT DO NOTHING", (name,))
        sql = "SELECT version FROM mirror WHERE name = ? FOR UPDATE"
        (version,) = connection.execute(sql, (name,)).fetchone()
        if version != self._version or not version:  # not what this process left there
            sql = "SELECT number, digest FROM mirror_block WHERE name = ?"
            self._digests = dict(connection.execute(sql, (name,)).fetchall())
        found: dict[int, bytes] = {}
        changed = 0
        for number, block in enumerate(iter(lambda: blocks.read(BLOCK), b"")):
            found[number] = blake2b(block, digest_size=16).digest()
            if self._digests.get(number) != found[number]:
                connection.execute(_UPSERT, (name, number, found[number], block))
                changed += 1
        shorter = "DELETE FROM mirror_block WHERE name = ? AND number >= ?"
        connection.execute(shorter, (name, len(found)))
        version = secrets.token_hex(16)
        connection.execute("UPDATE mirror SET version = ? WHERE name = ?", (version, name))
        self._version = ""  # until it is known that this was stored
        connection.execute("COMMIT")
        self._digests, self._version = found, version
        self._note(version)
        return changed

    def _fetch(self, connection: Connection, file: BinaryIO) -> str:
        """The version that was written to `file`."""
        connection.execute("BEGIN")  # one state of the file, whoever pushes
        number = 0
        sql = "SELECT version FROM mirror WHERE name = ?"
        version: str = connection.execute(sql, (self._path.name,)).fetchone()[0]
        sql = "SELECT content FROM mirror_block WHERE name = ? AND number = ?"
        while row := connection.execute(sql, (self._path.name, number)).fetchone():
            file.write(row[0])
            number += 1
        return version

    def _check(self, part: Path) -> None:
        try:
            with closing(open_reader(part, self._schema, mode="mode=ro&immutable=1")) as restored:
                (found,) = restored.execute("PRAGMA quick_check(1)").fetchone()
        except (StoreUnavailable, sqlite3.Error) as error:
            found = str(error)
        if found != "ok":
            raise StoreUnavailable(f"{self._path.name} in the database is damaged: {found}")

    @contextmanager
    def _connection(self, *, reading: bool = False) -> Iterator[Connection]:
        connection = connect(self._conninfo, reading=reading)
        try:
            yield connection
        except FAILURES as error:
            raise StoreUnavailable(f"{self._path.name} cannot be mirrored: {error}") from error
        finally:
            connection.close()
