"""Delivers what is in the outbox: one lane per route, in order.

A sink that does not answer holds up its own route only. Failed attempts are repeated for about a
week; what a sink refuses for good steps aside as a dead letter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Final

import attrs
import structlog
import trio

from nessus_sched.config.delivery import SinkSettings
from nessus_sched.core.clock import Now
from nessus_sched.core.delivery.outbox import Outbox, OutboxItem
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.masking import Masker
from nessus_sched.core.retry import backoff
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.delivery.routes import Route
from nessus_sched.delivery.sinks.port import Failure, Sink, SinkFailed
from nessus_sched.telemetry import events
from nessus_sched.telemetry.metrics import Delivery

FIRST_WAIT: Final = 2.0
LONGEST_WAIT: Final = 3600.0
HOLD_WAIT: Final = 900.0
"""Seconds between attempts while an operator has to do something."""
GIVE_UP: Final = 180
"""Attempts: with waits of up to an hour they take about a week."""
STORE_PATIENCE: Final = 5.0

log = structlog.get_logger("delivery")


@attrs.define(kw_only=True)
class LaneState:
    """How a route's deliveries go. `since` (steady clock) is when they began to fail, `error`
    why; `next_try` (steady clock) is when the next attempt is made."""

    error: str | None = None
    since: float | None = None
    next_try: float | None = None
    delivered: int | None = None
    """The message that the sink has taken last. It is not sent again while the store cannot record
    that, which may last."""


@attrs.define(kw_only=True, eq=False)
class Lanes:
    """`routes` gives those in effect, `sink_for` makes a sink; `writable` is whether the store
    takes changes; `count` counts attempts by outcome."""

    outbox: Outbox
    routes: Callable[[], tuple[Route, ...]]
    sink_for: Callable[[Route], Sink]
    writable: Callable[[], bool]
    now: Now
    wall: Now
    random: Random
    mask: Masker
    count: Callable[[Delivery], None] = lambda _outcome: None
    states: dict[str, LaneState] = attrs.field(factory=dict, init=False)
    _wakes: dict[str, trio.Event] = attrs.field(factory=dict, init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def wake(self, route: str | None = None) -> None:
        """There may be something to deliver on a route, or on all, or a reason to try again."""
        for name, wake in self._wakes.items():
            if route in (None, name):
                wake.set()
        self._changed.set()

    async def run(self) -> None:
        """Until canceled."""
        async with trio.open_nursery() as nursery:
            while True:
                self._changed = trio.Event()
                for route in self.routes():
                    if route.name not in self.states:
                        self.states[route.name] = LaneState()
                        self._wakes[route.name] = trio.Event()
                        nursery.start_soon(self._lane, route.name)
                await self._changed.wait()

    async def _lane(self, name: str) -> None:
        """Delivers one route's messages until it leaves the configuration."""
        state = self.states[name]
        sink: Sink | None = None
        made_of: SinkSettings | None = None
        while (route := self._route(name)) is not None:
            if sink is None or made_of != route.sink:
                sink, made_of = self.sink_for(route), route.sink
            self._wakes[name] = trio.Event()
            try:
                item = await self.outbox.first(name)
                wait = math.inf if item is None else await self._try(sink, item, state)
            except StoreUnavailable as error:
                log.warning(events.STORE_UNAVAILABLE, reason=str(error))
                wait = STORE_PATIENCE
            state.next_try = None if state.error is None else self.now() + wait
            with trio.move_on_after(wait):
                await self._wakes[name].wait()
        del self.states[name], self._wakes[name]

    def _route(self, name: str) -> Route | None:
        return next((each for each in self.routes() if each.name == name), None)

    async def _try(self, sink: Sink, item: OutboxItem, state: LaneState) -> float:
        """Makes an attempt; returns the seconds to wait before the next one."""
        message = item.message
        told = {"route": message.route, "message": message.message_id, "tries": item.tries + 1}
        if state.delivered != item.number:
            if not self.writable():  # what comes of it could not be recorded
                return STORE_PATIENCE
            try:
                await sink.deliver(message)
            except SinkFailed as failed:
                return await self._failed(item, failed, state, told)
            state.delivered = item.number
        await self.outbox.delivered(item.number)
        state.error = state.since = None
        self.count(Delivery.TAKEN)
        log.info(events.NOTIFIED, **told, task_id=message.task_id)
        return 0.0

    async def _failed(
        self, item: OutboxItem, failed: SinkFailed, state: LaneState, told: dict[str, object]
    ) -> float:
        error, message = self.mask(str(failed)), item.message
        if failed.kind is Failure.REFUSED or item.tries + 1 >= GIVE_UP:
            entry = JournalEntry(
                at=self.wall(),
                event="message_dead",
                cause=error,
                detail={"route": message.route, "message_id": message.message_id},
            )
            await self.outbox.failed(item.number, error, entry=entry)
            state.error = state.since = None
            self.count(Delivery.LOST)
            log.error(events.NOTIFICATION_LOST, **told, error=error)
            return 0.0
        await self.outbox.failed(item.number, error)
        self.count(Delivery.FAILED)
        log.warning(events.NOTIFICATION_FAILED, **told, error=error)
        if state.since is None:
            state.since = self.now()
        state.error = error
        if failed.kind is Failure.HOLD:
            return HOLD_WAIT
        return backoff(
            item.tries + 1,
            base=FIRST_WAIT,
            maximum=LONGEST_WAIT,
            random=self.random,
            retry_after=min(failed.retry_after or 0.0, LONGEST_WAIT),
        )
