"""Accepts a task, at most once per idempotency key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.store_errors import IdempotencyConflict
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import StoredSubmission
from nessus_sched.store.connection import Connection
from nessus_sched.store.tasks.codec import (
    EncodedEntry,
    EncodedTask,
    encode_entry,
    encode_task,
    request_digest,
)
from nessus_sched.store.tasks.transaction import Transaction

_KEY: Final = """
INSERT INTO idempotency VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
task_id = excluded.task_id, request_digest = excluded.request_digest,
expires_at = excluded.expires_at"""


@attrs.frozen(kw_only=True)
class Key:
    """An idempotency key. It belongs to the submitter (`actor`) who chose it."""

    text: str
    actor: str
    digest: bytes
    now: float
    expires_at: float

    @classmethod
    def of(cls, task: Task, now: float, ttl: float) -> Key | None:
        if task.idempotency_key is None:
            return None
        return cls(
            text=task.idempotency_key,
            actor=task.actor,
            digest=request_digest(task.request),
            now=now,
            expires_at=now + ttl,
        )

    @property
    def stored(self) -> str:
        return f"{self.actor}\x1f{self.text}"


@attrs.frozen
class Submit:
    """A submission, encoded before it is queued for the writer."""

    task: Task
    row: EncodedTask
    entry: EncodedEntry
    key: Key | None

    @classmethod
    def encode(cls, task: Task, entry: JournalEntry, key_ttl: float) -> Submit:
        """Raises TypeError or ValueError for non-JSON data or an entry of another task."""
        if entry.task_id != task.task_id or entry.before is not None:
            raise ValueError("the entry is not the first one of this task")
        row = encode_task(task, updated_at=entry.at)
        return cls(task, row, encode_entry(entry, row), Key.of(task, entry.at, key_ttl))

    def __call__(self, transaction: Transaction) -> StoredSubmission:
        if self.key is not None:
            earlier = find_earlier(transaction.connection, self.key, transaction.find)
            if earlier is not None:
                return StoredSubmission(task=earlier, created=False)
            self._take(self.key, transaction)
        transaction.insert(self.row, self.entry)
        return StoredSubmission(task=self.task, created=True)

    def _take(self, key: Key, transaction: Transaction) -> None:
        transaction.touched += 1
        transaction.connection.execute(
            _KEY,
            (key.stored, self.task.task_id, key.digest, key.expires_at),
        )


def find_earlier(
    connection: Connection, key: Key, find: Callable[[str], Task | None]
) -> Task | None:
    """The task that has the key; `find` reads a task by id. Raises `IdempotencyConflict` if its
    request is different.

    Older versions stored keys without their submitter.
    """
    for stored in (key.stored, key.text):
        row = connection.execute(
            "SELECT task_id, request_digest FROM idempotency WHERE key = ? AND expires_at > ?",
            (stored, key.now),
        ).fetchone()
        earlier = find(row[0]) if row is not None else None
        if earlier is None or earlier.actor != key.actor:
            continue
        if row[1] != key.digest:
            raise IdempotencyConflict(key.text, earlier.task_id)
        return earlier
    return None
