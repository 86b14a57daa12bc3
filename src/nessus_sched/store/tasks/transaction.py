"""One write transaction of the task store, with chained journal rows."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Final

from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import DuplicateTask, StaleTransition, UnknownTask
from nessus_sched.core.task import Task
from nessus_sched.store.connection import Connection, Cursor, dialect_of
from nessus_sched.store.tasks.codec import DocumentTable, EncodedEntry, EncodedTask, decode_task
from nessus_sched.store.tasks.journal import JournalHead, chain_hash

_TASK: Final = (
    "INSERT INTO task (ord, task_id, state, scanner, kind, pool, priority, actor, created_at,"
    " updated_at, words, owed, part_of, document, journal_seq) VALUES "
)
_JOURNAL: Final = (
    "INSERT INTO journal (seq, hash, task_ord, purged_id, task_digest, content) VALUES "
)
_UPDATE_TASK: Final = """
UPDATE task SET state = ?, scanner = ?, updated_at = ?, owed = ?, document = ?, journal_seq = ?
WHERE task_id = ? AND ord = ? AND state = ?"""
_AT_ONCE: Final = 64
"""Rows per statement. SQLite releases the GIL for each statement, and with a busy event loop it
takes a while to get it back."""


class Replay(Exception):
    """A request failed halfway: repeat the batch with a savepoint for each request."""


class Transaction:
    """The operations of a request while the writer's transaction is open.

    New rows are collected and written together, which makes batches cheap; every statement that
    could see them calls `flush` first. `touched` counts the changes, to show that a failed
    request changed nothing. With `together`, for several requests at once, results of changes may
    be looked at only by `flush`, which then raises `Replay`.
    """

    def __init__(
        self, connection: Connection, head: JournalHead, *, together: bool = False
    ) -> None:
        self.connection = connection
        self.head = head
        self.touched = 0
        self.state_deltas: Counter[TaskState] = Counter()
        """The change in the number of tasks by state when this commits, without parts."""
        self._tasks: list[tuple[object, ...]] = []
        self._entries: list[tuple[object, ...]] = []
        self._deferred = together and dialect_of(connection).deferred
        self._updates: list[Cursor] = []

    def flush(self) -> None:
        """Writes the collected rows. Raises one of `REFUSALS` for a taken id."""
        self._write()
        if any(update.rowcount != 1 for update in self._updates):
            raise Replay
        self._updates.clear()

    def _write(self) -> None:
        if self._tasks:
            self._insert(_TASK, self._tasks)
        if self._entries:
            self._insert(_JOURNAL, self._entries)

    def _insert(self, into: str, rows: list[tuple[object, ...]]) -> None:
        row = "(" + ", ".join("?" * len(rows[0])) + ")"
        for start in range(0, len(rows), _AT_ONCE):
            some = rows[start : start + _AT_ONCE]
            values = tuple(chain.from_iterable(some))
            self.connection.execute(into + ", ".join([row] * len(some)), values)
        rows.clear()

    def append(self, entry: EncodedEntry) -> int:
        """Chains a journal entry to the last one; returns its number."""
        seq = self.head.seq + 1
        digest = chain_hash(self.head.hash, seq, entry.digest, entry.content.encode())
        self.head = JournalHead(seq, digest)
        self._entries.append((*self.head, *entry))
        self.touched += 1
        return seq

    def insert(self, task: EncodedTask, entry: EncodedEntry) -> None:
        seq = self.append(entry)
        self._tasks.append((*task[:-1], seq))
        if task.part_of is None:
            self.state_deltas[task.state] += 1

    def update(self, task: EncodedTask, entry: EncodedEntry, before: TaskState) -> None:
        """Raises `StaleTransition` or `UnknownTask` unless the stored task is in `before`."""
        if self._tasks or not self._deferred:  # this may be one of the new tasks
            self._write()
        seq = self.head.seq + 1
        values = (task.state, task.scanner, task.updated_at, task.owed, task.document, seq)
        where = (task.task_id, task.order, before)
        update = self.connection.execute(_UPDATE_TASK, values + where)
        if self._deferred:
            self._updates.append(update)
        elif update.rowcount != 1:
            raise self._why_not(task, before)
        self.append(entry)
        if task.state != before and task.part_of is None:
            self.state_deltas[before] -= 1
            self.state_deltas[task.state] += 1

    def set_switch(self, name: str, value: str) -> None:
        self.connection.execute(
            "INSERT INTO switch VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def set_document(self, table: DocumentTable, name: str, document: str | None) -> None:
        """Stores a schedule or an exception by its id, or with None deletes it."""
        delete = f"DELETE FROM {table} WHERE {table}_id = ?"  # noqa: S608 - our own names
        self.connection.execute(delete, (name,))
        if document is not None:
            insert = f"INSERT INTO {table} VALUES (?, ?)"  # noqa: S608
            self.connection.execute(insert, (name, document))

    def find(self, task_id: str) -> Task | None:
        self.flush()
        row = self.connection.execute(
            "SELECT document FROM task WHERE task_id = ?", (task_id,)
        ).fetchone()
        return decode_task(row[0]) if row else None

    def _why_not(self, task: EncodedTask, before: TaskState) -> Exception:
        row = self.connection.execute(
            "SELECT ord, state FROM task WHERE task_id = ?", (task.task_id,)
        ).fetchone()
        if row is None:
            return UnknownTask(task.task_id)
        order, state = row
        if order != task.order:
            return DuplicateTask(f"task {task.task_id} has order {order}, not {task.order}")
        return StaleTransition(task.task_id, expected=before, stored=TaskState(state))
