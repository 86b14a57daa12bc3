"""Deletes expired data in small batches that do not delay other writes.

A purged task leaves a `purged` row in the journal, so that `verify` can distinguish it from a
tampered one. The journal is pruned only from its beginning, up to the first row of a stored
task, and a `journal_pruned` row records the number and hash, so that the rest can still be
verified up to the head.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.store.connection import Connection, dialect_of
from nessus_sched.store.tasks.codec import decode_entry, encode_entry
from nessus_sched.store.tasks.journal import PRUNED, PURGED, JournalHead
from nessus_sched.store.tasks.transaction import Transaction

BATCH: Final = 1000
"""Rows per batch: it takes 14 ms of the writer's time; 10,000 rows take 0.1 s."""
VACUUM_PAGES: Final = 500

# The first condition repeats that of the index verbatim, so that SQLite uses it.
_AGED: Final = """
FROM task WHERE state IN ('completed', 'partial', 'canceled', 'timed_out', 'dead')
AND state = ? AND updated_at < ? AND part_of IS NULL"""
_PRUNABLE: Final = """
SELECT j.seq, j.hash, t.ord IS NULL, j.content
FROM journal j LEFT JOIN task t ON t.ord = j.task_ord
WHERE j.seq <= coalesce((SELECT min(seq) FROM route), j.seq) ORDER BY j.seq LIMIT ?"""


def older_than(
    connection: Connection, states: Iterable[TaskState], before: float, limit: int
) -> list[str]:
    """Ids of settled tasks that have been in one of `states` since before `before`."""
    found: list[str] = []
    for state in sorted(SETTLED.intersection(states)):
        rows = connection.execute(
            f"SELECT task_id {_AGED} LIMIT ?",
            (state, before, limit - len(found)),
        )
        found += [task_id for (task_id,) in rows]
    return found


def count_older_than(
    connection: Connection, states: Iterable[TaskState], before: float
) -> dict[TaskState, int]:
    """How many tasks `older_than` would find in each of the settled `states`."""
    sql = f"SELECT count(*) {_AGED}"
    return {
        state: connection.execute(sql, (state, before)).fetchone()[0]
        for state in sorted(SETTLED.intersection(states))
    }


def purge(
    transaction: Transaction, task_ids: Iterable[str], at: float, actor: str
) -> tuple[str, ...]:
    """Deletes the tasks that are settled, and the parts of split ones; returns their ids. A part
    is not deleted alone."""
    transaction.flush()
    connection = transaction.connection
    dialect = dialect_of(connection)
    ours = "SELECT ord, task_id, state, part_of FROM task WHERE {} ORDER BY ord".format
    rows = connection.execute(
        ours(dialect.among.format("task_id")), (dialect.listed(list(task_ids)),)
    )
    doomed = [row for row in rows if row[2] in SETTLED and row[3] is None]
    parts = connection.execute(
        ours(dialect.among.format("part_of")), (dialect.listed([row[1] for row in doomed]),)
    )
    doomed += parts
    for order, task_id, state, part_of in doomed:
        before = TaskState(state)
        entry = JournalEntry(at=at, event=PURGED, actor=actor, task_id=task_id, before=before)
        transaction.append(encode_entry(entry, purged_order=order))
        if part_of is None:
            transaction.state_deltas[before] -= 1
    orders = dialect.listed([row[0] for row in doomed])
    connection.execute(f"DELETE FROM task WHERE {dialect.among.format('ord')}", (orders,))  # noqa: S608
    return tuple(row[1] for row in doomed)


def purge_keys(transaction: Transaction, now: float) -> int:
    """Deletes at most one batch of expired idempotency keys; returns the number."""
    transaction.touched += 1
    expired = "SELECT key FROM idempotency WHERE expires_at <= ? LIMIT ?"
    sql = f"DELETE FROM idempotency WHERE key IN ({expired})"  # noqa: S608 - our own
    return transaction.connection.execute(sql, (now, BATCH)).rowcount


def prune_journal(transaction: Transaction, before: float, at: float) -> int:
    """Deletes at most one batch of rows from the beginning; returns the number.

    Stops at the first row that is not older than `before`, whose task is still stored, or that a
    route has not read.
    """
    transaction.flush()
    through, rows = None, 0
    for seq, digest, gone, content in transaction.connection.execute(_PRUNABLE, (BATCH,)):
        if not gone or decode_entry(content).at >= before:
            break
        through, rows = JournalHead(seq, digest), rows + 1
    if through is None:
        return 0
    entry = JournalEntry(at=at, event=PRUNED, detail={"through": through.text})
    transaction.append(encode_entry(entry))
    transaction.connection.execute("DELETE FROM journal WHERE seq <= ?", (through.seq,))
    transaction.connection.execute("UPDATE chain SET base_seq = ?, base_hash = ?", through)
    return rows


def incremental_vacuum(transaction: Transaction) -> int:
    """Releases some free pages to the file system; returns the number left."""
    transaction.touched += 1
    if not dialect_of(transaction.connection).vacuums:
        return 0
    for _ in range(VACUUM_PAGES):
        # Python steps this statement once, which frees only one page, whatever number is given.
        transaction.connection.execute("PRAGMA incremental_vacuum(1)")
    (left,) = transaction.connection.execute("PRAGMA freelist_count").fetchone()
    assert isinstance(left, int)
    return left
