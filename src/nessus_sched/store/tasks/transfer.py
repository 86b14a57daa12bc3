"""Copies a task store from one database to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from nessus_sched.core.store_errors import CopyFailed, OutcomeUnknown, StoreError
from nessus_sched.store.connection import FAILURES, CommitInDoubt, Connection, dialect_of
from nessus_sched.store.reader import snapshot
from nessus_sched.store.tasks.committer import read_head
from nessus_sched.store.tasks.engine import Engine
from nessus_sched.store.tasks.verify import Verification, VerifyReport

PAGE: Final = 500


@attrs.frozen
class _Table:
    """`key` orders the rows; it is unique."""

    name: str
    key: str
    columns: Sequence[str]


def _table(name: str, *columns: str) -> _Table:
    return _Table(name, columns[0], columns)


_TABLES: Final = (
    _table(
        *("task", "ord", "task_id", "state", "scanner", "kind", "pool", "priority", "actor"),
        *("created_at", "updated_at", "journal_seq", "words", "document", "owed", "part_of"),
    ),
    _table("journal", "seq", "task_ord", "purged_id", "task_digest", "content", "hash"),
    _table("chain", "id", "base_seq", "base_hash", "head_seq", "head_hash"),
    _table("idempotency", "key", "task_id", "request_digest", "expires_at"),
    _table("switch", "name", "value"),
    _table("seal", "id", "key", "plain_until"),
    _table("schedule", "schedule_id", "document"),
    _table("exception", "exception_id", "document"),
    _table("route", "name", "seq", "digest_at"),
    _table(
        *("outbox", "number", "message_id", "route", "state", "document", "stored_at"),
        *("tries", "error"),
    ),
)


def check_empty(destination: Engine) -> None:
    """Creates the store if necessary. Raises `CopyFailed` if it has tasks, and what opening
    raises."""
    writing = destination.open_writer()
    try:
        snapshot(writing, lambda each: _check_empty(each, destination))
    finally:
        writing.close()


def _check_empty(target: Connection, destination: Engine) -> None:
    if target.execute("SELECT 1 FROM journal UNION ALL SELECT 1 FROM task LIMIT 1").fetchone():
        raise CopyFailed(f"{destination.place} is not empty; nothing was copied")


def copy_tasks(source: Engine, destination: Engine) -> VerifyReport:
    """Copies everything to an empty store, and returns what verifying the copy found: nothing.

    Both stores are opened for writing, so that neither is in use. The copy is verified before it
    is committed, in one transaction: whatever interrupts it, the destination stays empty. Raises
    `CopyFailed`, also if the source does not verify or the destination is not empty,
    `OutcomeUnknown` if the connection is lost at the very end and does not come back, and what
    opening raises.
    """
    reading = source.open_writer()
    try:
        writing = destination.open_writer()
        try:
            return snapshot(reading, lambda each: _copy(each, writing, destination))
        finally:
            writing.close()
    finally:
        reading.close()


def _copy(source: Connection, target: Connection, destination: Engine) -> VerifyReport:
    _check_empty(target, destination)
    head = read_head(source)
    original = _verified(source)
    try:
        destination.begin(target, together=False)
        for table in _TABLES:
            _copy_table(source, target, table)
        dialect = dialect_of(target)
        (number,) = source.execute(dialect_of(source).last_number).fetchone() or (None,)
        if number:
            target.execute(dialect.set_last_number, (number,))
        report = _verified(target)
        if (report.head, report.tasks, report.rows) != (head, original.tasks, original.rows):
            raise CopyFailed("the copy has another journal than the original; nothing was copied")
        _commit(target, destination)
    except FAILURES as error:
        raise CopyFailed(f"nothing was copied: {error}") from error
    return report


def _commit(target: Connection, destination: Engine) -> None:
    try:
        destination.commit(target)
    except CommitInDoubt as doubt:
        try:
            destination.open_writer().close()
        except StoreError as error:
            message = f"the connection was lost at the end; see if the copy is there ({error})"
            raise OutcomeUnknown(message) from doubt
        if not destination.was_stored():
            raise


def _verified(connection: Connection) -> VerifyReport:
    verification = Verification()
    while verification.step(connection):
        pass
    report = verification.report()
    if not report.ok:
        raise CopyFailed(f"the journal does not verify, nothing was copied: {report.problems[0]}")
    return report


def _copy_table(source: Connection, target: Connection, table: _Table) -> None:
    name, columns = table.name, ", ".join(table.columns)
    target.execute(f"DELETE FROM {name}")  # noqa: S608 - our own names
    row = f"({', '.join('?' * len(table.columns))})"
    read = f"SELECT {columns} FROM {name} {{}} ORDER BY {table.key} LIMIT ?"  # noqa: S608
    rows = source.execute(read.format(""), (PAGE,)).fetchall()
    while rows:
        values = [_portable(value) for each in rows for value in each]
        into = f"INSERT INTO {name} ({columns}) VALUES {', '.join([row] * len(rows))}"  # noqa: S608
        target.execute(into, values)
        after = (rows[-1][0], PAGE)
        rows = source.execute(read.format(f"WHERE {table.key} > ?"), after).fetchall()


def _portable(value: object) -> object:
    """Older versions stored zeros in `words` alone, where they mean nothing."""
    return value.replace("\0", "?") if isinstance(value, str) else value
