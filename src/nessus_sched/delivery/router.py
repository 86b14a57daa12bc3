"""Reads the journal for each route, and puts what there is to report in the outbox.

A route's position in the journal is stored together with the messages that follow from what it
has read, so each is stored once, however the daemon is killed. Message ids follow from route and
journal row. A route whose sink takes nothing stops reading when enough of its messages wait: the
journal keeps the rest.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import attrs
import structlog
import trio

from nessus_sched.config.schema import Config
from nessus_sched.core.clock import Now
from nessus_sched.core.delivery.happenings import Happening
from nessus_sched.core.delivery.message import Message, MessageKind
from nessus_sched.core.delivery.outbox import Outbox, RoutePosition
from nessus_sched.core.journal import JournalRecord
from nessus_sched.core.masking import Masker
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.task_store import TaskStore
from nessus_sched.delivery.compose import Report, compose
from nessus_sched.delivery.digest import take_digest
from nessus_sched.delivery.happened import Event
from nessus_sched.delivery.reading import Ledger, NotEntered, Reader
from nessus_sched.delivery.routes import Route
from nessus_sched.delivery.task_document import task_document
from nessus_sched.telemetry import events

LOOK_EVERY: Final = 300.0
"""Seconds, because the wall clock may be set."""
SETTLE: Final = 1.0
"""Seconds after a change before rows are read: changes come in crowds."""
BLOCKED: Final = 5.0
"""Seconds between looks while a route waits for the ledger."""
PAGE: Final = 500
"""Journal rows read at once."""
SAVE_EVERY: Final = 2000
"""Journal rows without anything to report after which a route's position is stored."""
MOST_WAITING: Final = 1000
"""Messages of a route that may wait; then it stops reading."""
REPORT_SECONDS: Final = 600.0
STORE_PATIENCE: Final = 5.0
LEDGER_PATIENCE: Final = 900.0
"""Seconds for which a message waits until the ledger has entered a task."""

WriteReport = Callable[[Route, float, float], Awaitable[str]]
"""Writes the report of a route about a time (epoch seconds), and returns its path. Raises
`NotWritten`."""

log = structlog.get_logger("delivery")


class NotWritten(Exception):
    """A report could not be written; the text says why."""


@attrs.define(kw_only=True, eq=False)
class Router:
    """`config` gives the configuration in effect, `head` the number of the journal's last row, and
    `next_commit` waits for a change of the store; `on_message` is called with the route that has
    something to deliver."""

    outbox: Outbox
    tasks: TaskStore
    ledger: Ledger
    config: Callable[[], Config]
    routes: Callable[[], tuple[Route, ...]]
    head: Callable[[], int]
    next_commit: Callable[[], Awaitable[None]]
    wall: Now
    mask: Masker
    on_message: Callable[[str], None] = lambda _route: None
    write_report: WriteReport | None = None
    positions: dict[str, RoutePosition] = attrs.field(factory=dict, init=False)
    _saved: dict[str, int] = attrs.field(factory=dict, init=False)
    """The position of each route that is stored."""
    _configured: dict[bool, trio.Event] = attrs.field(factory=dict, init=False)
    """Is set when the configuration has changed; for digests and for other routes."""
    _blocked: dict[str, float] = attrs.field(factory=dict, init=False)
    """Since when routes wait for the ledger, by the steady clock."""

    async def run(self) -> None:
        """Until canceled."""
        await self._load()
        async with trio.open_nursery() as nursery:
            # Apart, so that a digest with a long report holds up nothing urgent.
            nursery.start_soon(self._follow, False)
            nursery.start_soon(self._follow, True)

    def configured(self) -> None:
        """The configuration has changed."""
        for event in self._configured.values():
            event.set()

    async def look(self, digests: bool) -> None:
        """Reads on for every route of this kind. Raises `StoreUnavailable`."""
        routes = self.routes()
        wanted = [route for route in routes if route.is_digest is digests]
        await self._follow_configuration({route.name for route in routes}, wanted)
        for route in wanted:
            if digests:
                await self._look_at_digest(route)
            else:
                while await self._read_page(route):
                    await trio.lowlevel.checkpoint()

    async def _load(self) -> None:
        while True:
            try:
                self.positions = dict(await self.outbox.positions())
            except StoreUnavailable as error:
                log.warning(events.STORE_UNAVAILABLE, reason=str(error))
                await trio.sleep(STORE_PATIENCE)
            else:
                self._saved = {name: each.seq for name, each in self.positions.items()}
                return

    async def _follow(self, digests: bool) -> None:
        while True:
            head, failed = self.head(), False
            self._configured[digests] = trio.Event()
            try:
                await self.look(digests)
            except StoreUnavailable as error:
                log.warning(events.STORE_UNAVAILABLE, reason=str(error))
                failed = True
            if failed:
                await trio.sleep(STORE_PATIENCE)
            elif head == self.head():
                await self._sleep(digests)
            await trio.sleep(SETTLE)

    async def _sleep(self, digests: bool) -> None:
        """Until there may be something to do."""
        wait = self._until_digest() if digests else math.inf
        wake = [self._configured[digests].wait, *([] if digests else [self.next_commit])]
        with trio.move_on_after(BLOCKED if self._blocked else wait):
            async with trio.open_nursery() as nursery:
                for event in wake:
                    nursery.start_soon(_then_cancel, event, nursery.cancel_scope)

    def _until_digest(self) -> float:
        """Seconds until the next digest is due, but not many: the wall clock may be set."""
        now, zone = self.wall(), self.config().calendar.time_zone
        due = [
            at - now
            for route in self.routes()
            if (position := self.positions.get(route.name)) is not None
            and (at := route.next_digest(position.digest_at, zone)) is not None
        ]
        return max(0.0, min([LOOK_EVERY, *due])) if due else math.inf

    def reader(self, route: Route) -> Reader:
        config = self.config()
        return Reader(
            route=route,
            tasks=self.tasks,
            ledger=self.ledger,
            networks={each.id: each.networks for each in config.scanners},
            now=self.wall(),
        )

    async def _follow_configuration(self, names: set[str], wanted: Sequence[Route]) -> None:
        """New routes begin now, and are forgotten when they leave the configuration."""
        for route in wanted:
            if route.name not in self.positions:
                now = self.wall()
                await self._move(RoutePosition(route=route.name, seq=self.head(), digest_at=now))
        for name in self.positions.keys() - names:
            self.positions.pop(name, None)
            self._blocked.pop(name, None)
            await self.outbox.forget(name)

    async def _read_page(self, route: Route) -> bool:
        """Reads a page for a route that reports at once; whether there may be more."""
        position = self.positions.get(route.name)
        if position is None or position.seq >= self.head() or await self._is_full(route):
            return False
        rows = await self.outbox.journal(after=position.seq, limit=PAGE)
        reader, messages, seq = self.reader(route), list[Message](), position.seq
        for row in rows:
            try:
                message = await self._message(reader, row)
            except NotEntered:
                break
            self._blocked.pop(route.name, None)
            seq = row.seq
            if message is not None:
                messages.append(message)
        # Should it become a digest, that has what comes from here on.
        await self._move(attrs.evolve(position, seq=seq, digest_at=self.wall()), messages)
        return len(rows) == PAGE and seq == rows[-1].seq

    async def _message(self, reader: Reader, row: JournalRecord) -> Message | None:
        route = reader.route
        if route.task_document:
            return await self._task_message(reader, row)
        report = await reader.report(row, patient=self._is_patient(route.name))
        if report is None:
            return None
        return compose(
            report,
            message_id=_message_id(route, row),
            route=route.name,
            at=row.entry.at,
            mask=self.mask,
        )

    async def _task_message(self, reader: Reader, row: JournalRecord) -> Message | None:
        ended = await reader.ended(row)
        if ended is None or not reader.route.wants(ended.outcome):
            return None
        document = self.mask.masked(task_document(ended.task, row.entry, ended.outcome))
        return Message(
            message_id=document["id"] + f"@{reader.route.name}",
            route=reader.route.name,
            kind=MessageKind.EVENT,
            at=row.entry.at,
            title=f"Task {ended.outcome}",
            document=document,
            task_id=ended.task.task_id,
        )

    def _is_patient(self, name: str) -> bool:
        """Whether a route still waits for the ledger; counts from the first question."""
        now = trio.current_time()
        return now - self._blocked.setdefault(name, now) < LEDGER_PATIENCE

    async def _look_at_digest(self, route: Route) -> None:
        now, zone = self.wall(), self.config().calendar.time_zone
        position = self.positions.get(route.name)
        if position is None:  # it has just left the configuration
            return
        if position.digest_at > now:  # the clock was set back
            position = attrs.evolve(position, digest_at=now)
            await self._move(position)
        due, latest = route.next_digest(position.digest_at, zone), None
        while due is not None and due <= now:
            latest, due = due, route.next_digest(due, zone)
        if latest is None or not self.tasks.health.ok or await self._is_full(route):
            return  # its report would be written again and again while it cannot be stored
        head = self.head()
        try:
            report, last = await take_digest(
                self.reader(route),
                self.outbox,
                after=position.seq,
                until=head,
                period=(position.digest_at, latest),
                patient=self._is_patient(route.name),
            )
        except NotEntered:
            return
        report, attachment = await self._with_report(report, route)
        messages = []
        if route.settings.unchanged or attachment or not report.is_empty:
            message_id = f"{route.name}.{latest:.0f}.{last.hex()[:8]}"
            message = compose(
                report, message_id=message_id, route=route.name, at=latest, mask=self.mask
            )
            messages = [attrs.evolve(message, attachment=attachment)]
        self._blocked.pop(route.name, None)
        moved = RoutePosition(route=route.name, seq=head, digest_at=latest)
        await self._move(moved, messages, save=True)

    async def _with_report(self, found: Report, route: Route) -> tuple[Report, str | None]:
        """The path of the report that a digest brings, or the digest with the reason why not."""
        if route.settings.report is None or self.write_report is None or found.period is None:
            return found, None
        try:
            with trio.fail_after(REPORT_SECONDS):
                return found, await self.write_report(route, *found.period)
        except (NotWritten, trio.TooSlowError) as failed:
            error = (
                f"it took longer than {REPORT_SECONDS:g} s"
                if isinstance(failed, trio.TooSlowError)
                else str(failed)
            )
            log.error(events.REPORT_NOT_WRITTEN, route=route.name, error=self.mask(error))
            event = Event(
                happening=Happening.REPORT_FAILED,
                at=self.wall(),
                text=f"the {route.settings.report} report could not be written: {error}",
            )
            return attrs.evolve(found, events=[*found.events, event]), None

    async def _is_full(self, route: Route) -> bool:
        backlog = (await self.outbox.backlogs()).get(route.name)
        return backlog is not None and backlog.waiting >= MOST_WAITING

    async def _move(
        self, position: RoutePosition, messages: Sequence[Message] = (), *, save: bool = False
    ) -> None:
        name = position.route
        far = position.seq - self._saved.get(name, -SAVE_EVERY) >= SAVE_EVERY
        if messages or save or far:
            await self.outbox.put(position, messages, at=self.wall())
            self._saved[name] = position.seq
        self.positions[name] = position
        if messages:
            self.on_message(name)


async def _then_cancel(wait: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()


def _message_id(route: Route, row: JournalRecord) -> str:
    """Unique to the store: its journal's hashes are."""
    return f"{route.name}.{row.seq}.{row.hash.hex()[:8]}"
