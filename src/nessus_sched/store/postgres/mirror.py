"""An SQLite file that is in PostgreSQL as well, in blocks, for another machine to go on with.

The file is what is read and written; a push stores what changed since the last one. What was not
pushed before a machine was lost has to follow from elsewhere: the ledger applies the scans that it
does not have.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from nessus_sched.core.store_errors import StoreTakenOver, StoreUnavailable
from nessus_sched.store.backup import copy_store
from nessus_sched.store.connection import FAILURES, Connection
from nessus_sched.store.migrations import Schema
from nessus_sched.store.postgres.connection import connect
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
    _version: int = attrs.field(init=False, default=-1)
    """Of the database's copy that `_digests` is about."""

    def push(self) -> int:
        """Stores what has changed, in one transaction; returns the number of blocks. Raises
        `StoreTakenOver` if this process does not write the store any more."""
        copy = self._path.with_name(f".{self._path.name}.mirrored")
        try:
            with closing(open_reader(self._path, self._schema)) as file:
                snapshot(file, lambda each: copy_store(each, copy))
            with self._connection() as connection, copy.open("rb") as blocks:
                return self._store(connection, blocks)
        except OSError as error:
            raise StoreUnavailable(f"{copy.name} cannot be read: {error.strerror}") from error
        finally:
            copy.unlink(missing_ok=True)

    def restore(self) -> bool:
        """Replaces the file, which nobody may have open, by the database's copy. Returns False,
        and changes nothing, if there is none."""
        part = self._path.with_name(f".{self._path.name}.restored")
        try:
            with self._connection(reading=True) as connection, part.open("wb") as file:
                if not self._fetch(connection, file):
                    return False
                file.flush()
                os.fsync(file.fileno())
            part.chmod(0o600)
            self._check(part)
            for suffix in ("-wal", "-shm"):  # of the file that is replaced
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            part.replace(self._path)
        except OSError as error:
            reason = f"{self._path.name} cannot be restored: {error.strerror}"
            raise StoreUnavailable(reason) from error
        finally:
            part.unlink(missing_ok=True)
        return True

    def _store(self, connection: Connection, blocks: BinaryIO) -> int:
        connection.execute("BEGIN")
        sql = "SELECT 1 FROM writer WHERE owner = ? FOR KEY SHARE"
        if connection.execute(sql, (self._owner,)).fetchone() is None:
            raise StoreTakenOver("another daemon has taken the store over")
        name = self._path.name
        connection.execute("INSERT INTO mirror VALUES (?, 0) ON CONFLICT DO NOTHING", (name,))
        sql = "SELECT version FROM mirror WHERE name = ? FOR UPDATE"
        (version,) = connection.execute(sql, (name,)).fetchone()
        if version != self._version:  # not what this process left there
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
        sql = "UPDATE mirror SET version = ? WHERE name = ?"
        connection.execute(sql, (version + 1, name))
        self._version = -1  # until it is known that this was stored
        connection.execute("COMMIT")
        self._digests, self._version = found, version + 1
        return changed

    def _fetch(self, connection: Connection, file: BinaryIO) -> bool:
        connection.execute("BEGIN")  # one state of the file, whoever pushes
        number = 0
        sql = "SELECT content FROM mirror_block WHERE name = ? AND number = ?"
        while row := connection.execute(sql, (self._path.name, number)).fetchone():
            file.write(row[0])
            number += 1
        return number > 0

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
