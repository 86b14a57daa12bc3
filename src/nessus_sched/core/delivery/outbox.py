"""The port to the outbox: messages that wait for delivery, and how far each route has read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import attrs

from nessus_sched.core.delivery.message import Message
from nessus_sched.core.journal import JournalEntry, JournalRecord


@attrs.frozen(kw_only=True)
class RoutePosition:
    """How far a route has read: `seq` is the last journal row whose messages are in the outbox,
    and `digest_at` when its last digest was due, or when the route began (epoch seconds)."""

    route: str
    seq: int
    digest_at: float


class MessageState(StrEnum):
    WAITING = "waiting"
    DEAD = "dead"
    """Its sink refused it, or did not take it for a week. An operator can retry or drop it."""


@attrs.frozen(kw_only=True)
class OutboxItem:
    """A message that is not delivered. `number` gives the order, also of different routes;
    `tries` counts the attempts that failed, and `error` is what the last one ended with."""

    number: int
    message: Message
    state: MessageState = MessageState.WAITING
    stored_at: float
    tries: int = 0
    error: str | None = None


@attrs.frozen(kw_only=True)
class Backlog:
    """What a route has to deliver; `oldest` is when the first of its waiting messages was stored
    (epoch seconds)."""

    waiting: int = 0
    dead: int = 0
    oldest: float | None = None


class Outbox(Protocol):
    """What was awaited is durable; like the task store, it raises `StoreUnavailable`."""

    async def journal(self, *, after: int, limit: int) -> Sequence[JournalRecord]:
        """The journal after row `after`, oldest first."""

    async def positions(self) -> Mapping[str, RoutePosition]:
        """How far each route has read, by its name."""

    async def put(
        self, position: RoutePosition, messages: Sequence[Message] = (), *, at: float
    ) -> None:
        """Stores messages of a route and how far it has read, in one step. A message whose id is
        in the outbox is not stored again."""

    async def forget(self, route: str) -> None:
        """Forgets how far a route has read; its messages stay."""

    async def first(self, route: str) -> OutboxItem | None:
        """The message of a route that is delivered next."""

    async def failed(self, number: int, error: str, *, entry: JournalEntry | None = None) -> None:
        """Counts a failed attempt; with an entry, which is journaled, the message is dead."""

    async def delivered(self, number: int) -> None:
        """Deletes a message that was delivered."""

    async def items(
        self,
        *,
        route: str | None = None,
        state: MessageState | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> Sequence[OutboxItem]:
        """The messages after number `after`, in order, without their documents."""

    async def backlogs(self) -> Mapping[str, Backlog]:
        """What routes have to deliver, by their names; those that have nothing are left out."""

    async def retry(self, numbers: Collection[int], entry: JournalEntry) -> int:
        """Lets these messages wait with their tries at zero, and journals it. Returns how many
        there were."""

    async def drop(self, numbers: Collection[int], entry: JournalEntry) -> int:
        """Deletes these messages and journals it. Returns how many there were."""

    async def drop_dead(self, before: float, entry: JournalEntry) -> int:
        """Deletes dead letters stored before a time (epoch seconds), and journals it if there were
        any. Returns how many."""
