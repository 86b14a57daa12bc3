"""Routes and their outbox over a real store, with sinks that tests control."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import attrs
import trio

from nessus_sched.config.delivery import RouteSettings, SinkSettings
from nessus_sched.config.schema import Config
from nessus_sched.core.delivery.message import Message
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.masking import Masker
from nessus_sched.core.secret import Secret
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task
from nessus_sched.delivery.lanes import Lanes
from nessus_sched.delivery.router import Router
from nessus_sched.delivery.routes import Route, Routes
from nessus_sched.delivery.service import Delivery
from nessus_sched.delivery.sinks.port import Failure, SinkFailed
from nessus_sched.results.ledger.news import News, NewsQuery
from nessus_sched.store.executor import Inline
from nessus_sched.store.sqlite import connect as usual_connect
from nessus_sched.store.tasks.store import TaskStore
from support.stored import START, a_task, submitted

Step = Callable[[str, str], None]


def route(name: str = "soc", sink: str = "", **settings: Any) -> RouteSettings:
    return RouteSettings(name=name, sink=sink or name, **settings)


def config(directory: Path, *routes: RouteSettings, **more: Any) -> Config:
    names = dict.fromkeys(each.sink for each in routes)
    sinks = tuple(SinkSettings(name=name, apprise=Secret(f"json://{name}")) for name in names)
    return Config(state_directory=directory, sinks=sinks, routes=routes, **more)


@attrs.define
class TestSink:
    """Takes what it gets unless `fails` says otherwise; remembers everything that it took."""

    __test__ = False

    name: str = ""
    fails: Callable[[Message], SinkFailed | None] = lambda _message: None
    seconds: float = 0.0
    tries: list[float] = attrs.field(factory=list)
    taken: list[Message] = attrs.field(factory=list)
    step: Step = lambda _what, _when: None

    async def deliver(self, message: Message) -> None:
        self.tries.append(trio.current_time())
        self.step("sink", "before")
        await trio.sleep(self.seconds)
        if (failed := self.fails(message)) is not None:
            raise failed
        self.taken.append(message)
        self.step("sink", "after")

    @property
    def titles(self) -> list[str]:
        return [message.title for message in self.taken]


def down(_message: Message) -> SinkFailed:
    return SinkFailed("nobody answers", Failure.TRY_AGAIN)


@attrs.define
class FakeNews:
    """A ledger that has `entered` tasks, and news by task."""

    entered: set[str] | None = None
    """None: all."""
    by_task: dict[str, News] = attrs.field(factory=dict)
    asked: list[NewsQuery] = attrs.field(factory=list)

    async def has(self, task_id: str) -> bool:
        await trio.lowlevel.checkpoint()
        return self.entered is None or task_id in self.entered

    async def news(self, query: NewsQuery) -> News:
        await trio.lowlevel.checkpoint()
        self.asked.append(query)
        found = [self.by_task[each] for each in query.task_ids if each in self.by_task]
        return found[0] if found else News()


@attrs.define
class PostOffice:
    store: TaskStore
    config: Config
    sinks: dict[str, TestSink]
    ledger: FakeNews
    delivery: Delivery = attrs.field(init=False)
    offset: float = 0.0
    """How far the wall clock was set."""
    orders: int = 0

    def wall(self) -> float:
        return START + trio.current_time() + self.offset

    def configure(self, config: Config) -> None:
        self.config = config
        self.delivery.configured()

    @property
    def sink(self) -> TestSink:
        (only,) = self.sinks.values()
        return only

    async def end(
        self, state: TaskState = TaskState.COMPLETED, *, order: int | None = None, **changes: Any
    ) -> Task:
        """A task that is submitted and ends at once."""
        self.orders = self.orders + 1 if order is None else order
        task = a_task(self.orders, **{"state": TaskState.EXPORTING, **changes})
        await self.store.submit(task, submitted(task))
        ended = attrs.evolve(task, state=state, entered={state: self.wall()})
        entry = JournalEntry(
            at=self.wall(),
            event=state.value,
            task_id=task.task_id,
            before=TaskState.EXPORTING,
            after=state,
        )
        await self.store.record(ended, entry)
        return ended

    async def note(self, event: str, cause: str = "", **detail: Any) -> None:
        entry = JournalEntry(at=self.wall(), event=event, cause=cause, detail=detail)
        await self.store.note(entry)


@asynccontextmanager
async def post_office(
    config: Config,
    *,
    sinks: dict[str, TestSink] | None = None,
    ledger: FakeNews | None = None,
    connect: Callable[[Path], sqlite3.Connection] = usual_connect,
    running: bool = True,
) -> AsyncIterator[PostOffice]:
    made = {each.name: TestSink(each.name) for each in config.sinks} if sinks is None else sinks
    async with (
        TaskStore.open(
            config.state_directory, now=lambda: START, executor=Inline(), connect=connect
        ) as store,
        trio.open_nursery() as nursery,
    ):
        office = PostOffice(store, config, made, ledger or FakeNews())
        office.delivery = _delivery(office)
        if running:
            nursery.start_soon(office.delivery.run)
        yield office
        nursery.cancel_scope.cancel()


def _delivery(office: PostOffice) -> Delivery:
    mask = Masker([Secret("a secret of the sink")])

    def sink_for(found: Route) -> TestSink:
        return office.sinks[found.sink.name]

    routes = Routes(lambda: office.config)
    router = Router(
        outbox=office.store.outbox,
        tasks=office.store,
        ledger=office.ledger,
        config=lambda: office.config,
        routes=routes,
        head=lambda: office.store.journal_head,
        next_commit=office.store.next_commit,
        wall=office.wall,
        mask=mask,
    )
    lanes = Lanes(
        outbox=office.store.outbox,
        routes=routes,
        sink_for=sink_for,
        writable=lambda: office.store.health.ok,
        now=trio.current_time,
        wall=office.wall,
        random=Random(1),
        mask=mask,
    )
    router.on_message = lanes.wake
    return Delivery(
        outbox=office.store.outbox,
        router=router,
        lanes=lanes,
        wall=office.wall,
        shown=lambda moment: START + moment,
        expired=lambda kept: office.wall() - kept,
    )


def a_summary(**more: Any) -> dict[str, Any]:
    return {"severity_counts": {}, "verdict": {"counts": {}}, **more}


def titles(messages: Sequence[Message]) -> list[str]:
    return [message.title for message in messages]
