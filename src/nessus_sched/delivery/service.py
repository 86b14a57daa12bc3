"""The outbox and its routes, for those who look after them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import attrs
import trio

from nessus_sched.core.clock import Now
from nessus_sched.core.delivery.message import Message, MessageKind
from nessus_sched.core.delivery.outbox import Backlog, MessageState, Outbox, OutboxItem
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.text import did_you_mean, lasting, pluralize
from nessus_sched.delivery.compose import compose
from nessus_sched.delivery.digest import take_digest
from nessus_sched.delivery.lanes import Lanes
from nessus_sched.delivery.router import Router
from nessus_sched.delivery.routes import Route
from nessus_sched.delivery.sinks.port import SinkFailed

COUNT_EVERY: Final = 2.0
COUNT_AT_LEAST: Final = 30.0
TIDY_EVERY: Final = 3600.0
PATIENCE: Final = 300.0
"""Seconds for which a sink may fail before that counts as trouble."""
SAMPLE_TITLE: Final = "This is a test of route {name}: nothing has happened"


class UnknownRoute(Exception):
    """There is no route of that name; the text says which there are."""


@attrs.frozen(kw_only=True)
class RouteStatus:
    """`error` is why its deliveries fail since `since`, and `next_try` when the next attempt is
    made; `next_digest` is when that is due (all epoch seconds). `unread` is the number of journal
    rows that it has not read."""

    route: Route
    backlog: Backlog
    error: str | None
    since: float | None
    next_try: float | None
    next_digest: float | None
    unread: int


@attrs.define(kw_only=True, eq=False)
class Delivery:
    """`shown` turns moments of the steady clock into epoch seconds; `expired` gives the time before
    which records may go that are kept for some seconds."""

    outbox: Outbox
    router: Router
    lanes: Lanes
    wall: Now
    shown: Callable[[float], float]
    expired: Callable[[float], float]
    backlogs: Mapping[str, Backlog] = attrs.field(factory=dict, init=False)
    """What routes have to deliver, a few seconds ago."""

    async def run(self) -> None:
        """Until canceled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.router.run)
            nursery.start_soon(self.lanes.run)
            nursery.start_soon(self._count)
            nursery.start_soon(self._tidy)

    async def _count(self) -> None:
        while True:
            with suppress(StoreUnavailable):  # its health says so
                self.backlogs = await self.outbox.backlogs()
            with trio.move_on_after(COUNT_AT_LEAST):  # a commit may come while they are counted
                await self.router.next_commit()
            await trio.sleep(COUNT_EVERY)

    async def _tidy(self) -> None:
        """Deletes dead letters that nobody has looked after."""
        while True:
            before = self.expired(self.router.config().retention.dead)
            entry = JournalEntry(at=self.wall(), event="messages_expired")
            with suppress(StoreUnavailable):
                await self.outbox.drop_dead(before, entry)
            await trio.sleep(TIDY_EVERY)

    def troubles(self) -> list[str]:
        """What somebody should look at, in words."""
        names = {route.name for route in self.lanes.routes()}
        return [
            *(
                f"route {name} has failed for {lasting(self.lanes.now() - state.since)}: "
                f"{state.error}"
                for name, state in self.lanes.states.items()
                if state.since is not None and self.lanes.now() - state.since >= PATIENCE
            ),
            *(
                f"route {name} has {pluralize(each.dead, 'dead letter')}"
                for name, each in self.backlogs.items()
                if each.dead
            ),
            *(
                f"{pluralize(each.waiting, 'message')} of route {name}, which is no longer "
                "configured"
                for name, each in self.backlogs.items()
                if each.waiting and name not in names
            ),
        ]

    def configured(self) -> None:
        """The configuration has changed."""
        self.router.configured()
        self.lanes.wake()

    async def statuses(self) -> list[RouteStatus]:
        """How each route does. Raises `StoreUnavailable`."""
        backlogs = await self.outbox.backlogs()
        return [self._status(route, backlogs) for route in self.lanes.routes()]

    async def orphans(self) -> Mapping[str, Backlog]:
        """Routes that have messages and are no longer configured."""
        names = {route.name for route in self.lanes.routes()}
        backlogs = await self.outbox.backlogs()
        return {name: each for name, each in backlogs.items() if name not in names}

    async def messages(
        self, *, route: str | None, state: MessageState | None, after: int, limit: int
    ) -> Sequence[OutboxItem]:
        """Raises `UnknownRoute`."""
        await self._check_known(route)
        return await self.outbox.items(route=route, state=state, after=after, limit=limit)

    async def retry(
        self, message_ids: Collection[str], route: str | None, *, actor: str
    ) -> Sequence[str]:
        """Tries messages again now: those with these ids and, if given, all of a route. Returns
        their ids. Raises `UnknownRoute`."""
        await self._check_known(route)
        found = await self._find(message_ids, route)
        if found:
            await self.outbox.retry(found.values(), self._entry("messages_retried", actor, found))
            self.lanes.wake()
        return list(found)

    async def drop(
        self, message_ids: Collection[str], route: str | None, *, actor: str
    ) -> Sequence[str]:
        """Deletes messages: those with these ids and, if given, all dead ones of a route. Returns
        their ids. Raises `UnknownRoute`."""
        await self._check_known(route)
        found = await self._find(message_ids, route, MessageState.DEAD)
        if found:
            await self.outbox.drop(found.values(), self._entry("messages_dropped", actor, found))
        return list(found)

    async def test(self, name: str, *, actor: str) -> str | None:
        """Sends a marked sample past the outbox; returns why that failed, or None. Raises
        `UnknownRoute`."""
        route, now = self.route(name), self.wall()
        title = SAMPLE_TITLE.format(name=name)
        message = Message(
            message_id=f"{name}.test.{now:.0f}",
            route=name,
            kind=MessageKind.SAMPLE,
            at=now,
            title=title,
            document={"sent_by": actor},
        )
        try:
            await self.lanes.sink_for(route).deliver(message)
        except SinkFailed as failed:
            return self.lanes.mask(str(failed))
        return None

    async def preview(self, name: str, since: float) -> Message:
        """What a digest of the time since then (epoch seconds) would say now. Raises
        `UnknownRoute`."""
        route, now = self.route(name), self.wall()
        report, _ = await take_digest(
            self.router.reader(route),
            self.outbox,
            after=await self._row_before(since),
            until=self.router.head(),
            period=(since, now),
        )
        return compose(
            report, message_id=f"{name}.preview", route=name, at=now, mask=self.router.mask
        )

    def route(self, name: str) -> Route:
        routes = {route.name: route for route in self.lanes.routes()}
        if name not in routes:
            raise UnknownRoute(f"there is no route {name!r}{did_you_mean(name, routes)}")
        return routes[name]

    async def _check_known(self, name: str | None) -> None:
        """Raises `UnknownRoute` for a route that is not configured and has no messages either."""
        if name is not None and name not in await self.orphans():
            self.route(name)

    async def _row_before(self, moment: float) -> int:
        """The number of the last journal row before a moment; rows are in order of time."""
        low, high = 0, self.router.head()
        while low < high:
            middle = (low + high) // 2
            rows = await self.outbox.journal(after=middle, limit=1)
            if rows and rows[0].entry.at < moment:
                low = rows[0].seq
            else:
                high = middle
        return low

    def _status(self, route: Route, backlogs: Mapping[str, Backlog]) -> RouteStatus:
        state = self.lanes.states.get(route.name)
        position = self.router.positions.get(route.name)
        zone = self.router.config().calendar.time_zone
        return RouteStatus(
            route=route,
            backlog=backlogs.get(route.name, Backlog()),
            error=None if state is None else state.error,
            since=_shown(self.shown, None if state is None else state.since),
            next_try=_shown(self.shown, None if state is None else state.next_try),
            next_digest=None if position is None else route.next_digest(position.digest_at, zone),
            unread=0 if position is None else max(0, self.router.head() - position.seq),
        )

    async def _find(
        self, message_ids: Collection[str], route: str | None, state: MessageState | None = None
    ) -> dict[str, int]:
        """Numbers by id: of these ids in any state, and of a route's messages in `state`."""
        found: dict[str, int] = {}
        after = 0
        while page := await self.outbox.items(after=after, limit=500):
            for item in page:
                message = item.message
                of_route = message.route == route and state in (None, item.state)
                if of_route or message.message_id in message_ids:
                    found[message.message_id] = item.number
            after = page[-1].number
        return found

    def _entry(self, event: str, actor: str, found: Mapping[str, int]) -> JournalEntry:
        detail: dict[str, Any] = {"count": len(found), "message_ids": list(found)[:100]}
        return JournalEntry(at=self.wall(), event=event, actor=actor, detail=detail)


def _shown(shown: Callable[[float], float], moment: float | None) -> float | None:
    return None if moment is None else shown(moment)
