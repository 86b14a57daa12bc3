"""Accepting a task: stored once, and at most once per idempotency key."""

from __future__ import annotations

import attrs

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.store_errors import IdempotencyConflict
from nessus_sched.core.task import Task
from nessus_sched.store.tasks.codec import (
    EncodedEntry,
    EncodedTask,
    encode_entry,
    encode_task,
    request_digest,
)
from nessus_sched.store.tasks.transaction import Transaction


@attrs.frozen(kw_only=True)
class Submission:
    """`task` as stored; `created` is False when an earlier one with the same key is it."""

    task: Task
    created: bool


@attrs.frozen(kw_only=True)
class Key:
    text: str
    digest: bytes
    now: float
    expires_at: float


@attrs.frozen
class Submit:
    """One submission, encoded before it is queued for the writer."""

    task: Task
    row: EncodedTask
    entry: EncodedEntry
    key: Key | None

    @classmethod
    def of(cls, task: Task, entry: JournalEntry, key_ttl: float) -> Submit:
        """Raises TypeError or ValueError for what is not JSON, or a foreign entry."""
        if entry.task_id != task.task_id or entry.before is not None:
            raise ValueError("the entry is not the first one of this task")
        row = encode_task(task, updated_at=entry.at)
        key = None
        if task.idempotency_key is not None:
            key = Key(
                text=task.idempotency_key,
                digest=request_digest(task.request),
                now=entry.at,
                expires_at=entry.at + key_ttl,
            )
        return cls(task, row, encode_entry(entry, row), key)

    def __call__(self, transaction: Transaction) -> Submission:
        if self.key is not None:
            earlier = self._earlier(self.key, transaction)
            if earlier is not None:
                return Submission(task=earlier, created=False)
            self._take(self.key, transaction)
        transaction.insert(self.row, self.entry)
        return Submission(task=self.task, created=True)

    def _earlier(self, key: Key, transaction: Transaction) -> Task | None:
        row = transaction.connection.execute(
            "SELECT task_id, request_digest FROM idempotency WHERE key = ? AND expires_at > ?",
            (key.text, key.now),
        ).fetchone()
        if row is None:
            return None
        task_id, digest = row
        earlier = transaction.find(task_id)
        if earlier is not None and digest != key.digest:
            raise IdempotencyConflict(key.text, task_id)
        return earlier

    def _take(self, key: Key, transaction: Transaction) -> None:
        transaction.touched += 1
        transaction.connection.execute(
            "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?)",
            (key.text, self.task.task_id, key.digest, key.expires_at),
        )
