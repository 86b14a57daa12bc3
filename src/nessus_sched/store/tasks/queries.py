"""Queries of the task store: plain functions on a connection, for daemon and CLI."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from nessus_sched.core.calendar.schedule import Schedule
from nessus_sched.core.exceptions.exception import FindingException
from nessus_sched.core.journal import JournalRecord
from nessus_sched.core.seal import Seal
from nessus_sched.core.states import LIVE
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.task import Task
from nessus_sched.store.connection import Connection
from nessus_sched.store.tasks.codec import (
    DocumentTable,
    decode_document,
    decode_entry,
    decode_task,
)
from nessus_sched.store.tasks.listing import merged_states

T = TypeVar("T")

_RECORD: Final = "SELECT seq, hash, content FROM journal"

_ORDER_OF: Final = """
SELECT ord FROM task WHERE task_id = ?
UNION ALL SELECT task_ord FROM journal WHERE purged_id = ? LIMIT 1"""

_BY_ID_PART: Final = """
SELECT document FROM task WHERE task_id IN (
    SELECT task_id FROM task WHERE task_id BETWEEN ? AND ?
    UNION SELECT task_id FROM task WHERE task_id BETWEEN ? AND ?
    UNION SELECT task_id FROM task WHERE substr(task_id, length(task_id) + 1 - ?) = ?)
AND part_of IS NULL ORDER BY task_id DESC LIMIT ?"""
_LAST: Final = "\U0010ffff"
"""Sorts after every character of an id."""
_PAGE_CHARACTERS: Final = 2_000_000
"""Of documents in one page of tasks; decoded, they take several times as much memory."""


def get(connection: Connection, task_id: str) -> Task | None:
    return _one(connection, "SELECT document FROM task WHERE task_id = ?", task_id)


def by_id_part(connection: Connection, part: str, limit: int) -> list[Task]:
    """The tasks whose id begins with `part`, with or without the common `t-`, or ends with it
    (ids of one day begin alike), newest first. Uses the index of ids; comparing the ends of a
    million ids takes 0.1 s."""
    beyond = part + _LAST
    values = (part, beyond, f"t-{part}", f"t-{beyond}", len(part), part, limit)
    return [decode_task(document) for (document,) in connection.execute(_BY_ID_PART, values)]


def last_order(connection: Connection) -> int:
    """The highest order number of any task, 0 if there is none.

    Includes the journal, so that it never has two tasks with the same number.
    """
    (order,) = connection.execute(
        "SELECT coalesce(max(latest), 0) FROM (SELECT max(ord) AS latest FROM task"
        " UNION ALL SELECT max(task_ord) FROM journal WHERE task_ord IS NOT NULL) AS each"
    ).fetchone()
    assert isinstance(order, int)
    return order


def parts_of(connection: Connection, task_id: str) -> list[Task]:
    """The parts of a split task, in the order in which they were cut."""
    found = connection.execute(
        "SELECT document FROM task WHERE part_of = ? ORDER BY ord", (task_id,)
    )
    return [decode_task(document) for (document,) in found]


def owing(connection: Connection) -> list[Task]:
    """The tasks with scans to be cleaned up, in the order of submission."""
    found = connection.execute("SELECT document FROM task WHERE owed > 0 ORDER BY ord")
    return [decode_task(document) for (document,) in found]


def unfinished(
    connection: Connection, after: int, limit: int, view: Callable[[Task], T]
) -> list[tuple[int, T]]:
    """A view of each unfinished task after order number `after`, with its order number, in the
    order of submission: at most `limit`, fewer if they are large, but at least one if any."""
    branch = "SELECT ord, document FROM task WHERE state = ? AND ord > ?"
    sql, states = merged_states(branch, LIVE, descending=False)
    parameters: list[object] = []
    for state in states:
        parameters += [state, after, limit]
    found, characters = [], 0
    for order, document in connection.execute(sql, [*parameters, limit]):
        found.append((order, view(decode_task(document))))
        characters += len(document)
        if characters >= _PAGE_CHARACTERS:
            break
    return found


def journal_of(connection: Connection, task_id: str) -> list[JournalRecord]:
    """A task's journal, oldest first; also of a purged task until its rows are pruned."""
    row = connection.execute(_ORDER_OF, (task_id, task_id)).fetchone()
    return _records(
        connection.execute(f"{_RECORD} WHERE task_ord = ? ORDER BY seq", row or (None,))
    )


def journal_of_parts(connection: Connection, task_id: str) -> list[JournalRecord]:
    """The journal of all parts of a split task, oldest first."""
    parts = "SELECT ord FROM task WHERE part_of = ?"
    return _records(
        connection.execute(f"{_RECORD} WHERE task_ord IN ({parts}) ORDER BY seq", (task_id,))
    )


def journal_after(connection: Connection, seq: int, limit: int) -> list[JournalRecord]:
    rows = connection.execute(f"{_RECORD} WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))
    return _records(rows)


def chain_after(
    connection: Connection, seq: int, limit: int
) -> list[tuple[int, bytes | None, str, bytes]]:
    """The rows of the journal as stored, after row `seq`: number, digest, content and hash."""
    sql = "SELECT seq, task_digest, content, hash FROM journal WHERE seq > ? ORDER BY seq LIMIT ?"
    return connection.execute(sql, (seq, limit)).fetchall()


def chain_base(connection: Connection) -> tuple[int, bytes]:
    """Number and hash of the row before the journal's first."""
    base: tuple[int, bytes] = connection.execute("SELECT base_seq, base_hash FROM chain").fetchone()
    return base


def schedules(connection: Connection) -> tuple[Schedule, ...]:
    """All schedules, by the time of their creation."""
    found = _documents(connection, DocumentTable.SCHEDULE, Schedule)
    return tuple(sorted(found, key=lambda each: (each.created_at, each.schedule_id)))


def exceptions(connection: Connection) -> tuple[FindingException, ...]:
    """All exceptions, by the time of their proposal."""
    found = _documents(connection, DocumentTable.EXCEPTION, FindingException)
    return tuple(sorted(found, key=lambda each: (each.proposed_at, each.exception_id)))


def switches(connection: Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT name, value FROM switch"))


def seal(connection: Connection) -> Seal:
    """Raises `StoreUnavailable` if the key was deleted from the file."""
    row = connection.execute("SELECT key, plain_until FROM seal").fetchone()
    if row is None:
        raise StoreUnavailable("the key of the scans' markers is missing; restore a backup")
    return Seal(*row)


def _one(connection: Connection, sql: str, *parameters: object) -> Task | None:
    row = connection.execute(sql, parameters).fetchone()
    return decode_task(row[0]) if row else None


def _documents(connection: Connection, table: DocumentTable, kind: type[T]) -> list[T]:
    rows = connection.execute(f"SELECT document FROM {table}")  # noqa: S608 - our own names
    return [decode_document(document, kind) for (document,) in rows]


def _records(rows: Iterable[tuple[int, bytes, str]]) -> list[JournalRecord]:
    return [
        JournalRecord(seq=seq, hash=digest, entry=decode_entry(content))
        for seq, digest, content in rows
    ]
