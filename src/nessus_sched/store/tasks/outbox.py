"""The outbox: messages that wait for delivery, in the file of tasks and journal.

So a route's position in the journal and the messages that follow from what it has read are
stored in one transaction, and a backup has both.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import attrs

from nessus_sched.core.delivery.message import Message, MessageKind
from nessus_sched.core.delivery.outbox import Backlog, MessageState, OutboxItem, RoutePosition
from nessus_sched.core.journal import JournalEntry, JournalRecord
from nessus_sched.store.connection import Connection, dialect_of
from nessus_sched.store.reader import Readers
from nessus_sched.store.tasks import queries
from nessus_sched.store.tasks.codec import EncodedEntry, encode_entry
from nessus_sched.store.tasks.group_commit import GroupCommit
from nessus_sched.store.tasks.transaction import Transaction

_ITEM: Final = "SELECT number, {}, state, stored_at, tries, error FROM outbox"


@attrs.frozen
class StoredOutbox:
    """Implements the port `core.delivery.outbox.Outbox`."""

    _writer: GroupCommit
    _readers: Readers[Connection]

    async def journal(self, *, after: int, limit: int) -> Sequence[JournalRecord]:
        return await self._readers.read(lambda c: queries.journal_after(c, after, limit))

    async def positions(self) -> dict[str, RoutePosition]:
        return await self._readers.read(_positions)

    async def put(
        self, position: RoutePosition, messages: Sequence[Message] = (), *, at: float
    ) -> None:
        rows = [
            (each.message_id, each.route, MessageState.WAITING.value, _encode(each), at)
            for each in messages
        ]

        def apply(transaction: Transaction) -> None:
            transaction.touched += 1
            transaction.connection.executemany(
                "INSERT INTO outbox (message_id, route, state, document, stored_at)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                rows,
            )
            transaction.connection.execute(
                "INSERT INTO route VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
                " seq = excluded.seq, digest_at = excluded.digest_at",
                (position.route, position.seq, position.digest_at),
            )

        await self._writer.write(apply)

    async def forget(self, route: str) -> None:
        await self._change("DELETE FROM route WHERE name = ?", (route,))

    async def first(self, route: str) -> OutboxItem | None:
        wanted = {"route = ?": route, "state = ?": MessageState.WAITING.value}
        found = await self._items(wanted, 0, 1, whole=True)
        return found[0] if found else None

    async def failed(self, number: int, error: str, *, entry: JournalEntry | None = None) -> None:
        state = MessageState.WAITING if entry is None else MessageState.DEAD
        await self._change(
            "UPDATE outbox SET tries = tries + 1, error = ?, state = ? WHERE number = ?",
            (error, state.value, number),
            entry,
        )

    async def delivered(self, number: int) -> None:
        await self._change("DELETE FROM outbox WHERE number = ?", (number,))

    async def items(
        self,
        *,
        route: str | None = None,
        state: MessageState | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> list[OutboxItem]:
        wanted = {"route = ?": route, "state = ?": None if state is None else state.value}
        return await self._items(wanted, after, limit, whole=False)

    async def _items(
        self, wanted: Mapping[str, str | None], after: int, limit: int, *, whole: bool
    ) -> list[OutboxItem]:
        given = {sql: value for sql, value in wanted.items() if value is not None}
        where = " AND ".join(["number > ?", *given])
        values = (after, *given.values(), limit)

        def read(connection: Connection) -> list[OutboxItem]:
            column = "document" if whole else dialect_of(connection).without_document
            sql = f"{_ITEM.format(column)} WHERE {where} ORDER BY number LIMIT ?"
            return [_item(row, whole=whole) for row in connection.execute(sql, values)]

        return await self._readers.read(read)

    async def backlogs(self) -> dict[str, Backlog]:
        return await self._readers.read(read_backlogs)

    async def retry(self, numbers: Collection[int], entry: JournalEntry) -> int:
        return await self._change_some(
            "UPDATE outbox SET state = 'waiting', tries = 0", numbers, entry
        )

    async def drop(self, numbers: Collection[int], entry: JournalEntry) -> int:
        return await self._change_some("DELETE FROM outbox", numbers, entry)

    async def drop_dead(self, before: float, entry: JournalEntry) -> int:
        sql = "DELETE FROM outbox WHERE state = ? AND stored_at < ?"
        return await self._change(sql, (MessageState.DEAD.value, before), entry)

    async def _change_some(self, sql: str, numbers: Collection[int], entry: JournalEntry) -> int:
        encoded = encode_entry(entry)

        def apply(transaction: Transaction) -> int:
            dialect = dialect_of(transaction.connection)
            these = f"{sql} WHERE {dialect.among.format('number')}"
            return _change(transaction, these, (dialect.listed(sorted(numbers)),), encoded)

        return await self._writer.write(apply)

    async def _change(
        self, sql: str, values: tuple[object, ...], entry: JournalEntry | None = None
    ) -> int:
        """Returns how many rows were changed."""
        encoded = None if entry is None else encode_entry(entry)
        return await self._writer.write(lambda t: _change(t, sql, values, encoded))


def _change(
    transaction: Transaction, sql: str, values: tuple[object, ...], entry: EncodedEntry | None
) -> int:
    transaction.touched += 1
    changed = transaction.connection.execute(sql, values).rowcount
    if entry is not None and changed:
        transaction.append(entry)
    return changed


def _positions(connection: Connection) -> dict[str, RoutePosition]:
    return {
        name: RoutePosition(route=name, seq=seq, digest_at=digest_at)
        for name, seq, digest_at in connection.execute("SELECT name, seq, digest_at FROM route")
    }


def read_backlogs(connection: Connection) -> dict[str, Backlog]:
    """What routes have to deliver, by their names."""
    found = connection.execute(
        "SELECT route, count(*) FILTER (WHERE state = 'waiting'),"
        " count(*) FILTER (WHERE state = 'dead'),"
        " min(stored_at) FILTER (WHERE state = 'waiting') FROM outbox GROUP BY route"
    )
    return {
        route: Backlog(waiting=waiting, dead=dead, oldest=oldest)
        for route, waiting, dead, oldest in found
    }


def _encode(message: Message) -> str:
    return json.dumps(attrs.asdict(message, recurse=False), ensure_ascii=False)


def _item(row: tuple[int, str, str, float, int, str | None], *, whole: bool) -> OutboxItem:
    number, document, state, stored_at, tries, error = row
    fields = json.loads(document)
    if not whole:
        fields["document"] = {}
    return OutboxItem(
        number=number,
        message=Message(**{**fields, "kind": MessageKind(fields["kind"])}),
        state=MessageState(state),
        stored_at=stored_at,
        tries=tries,
        error=error,
    )
