"""The stage of the story: a daemon and its scanners in this process, on the same clock."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import httpx
import trio

from nessus_sched import __version__
from nessus_sched.cli.demo.story.clock import StoryClock
from nessus_sched.cli.demo.story.config import story_config
from nessus_sched.cli.demo.story.desk import Desk, desk_at
from nessus_sched.config.delivery import SinkSettings
from nessus_sched.config.loading import load
from nessus_sched.config.scanners import ScannerSettings
from nessus_sched.core.delivery.message import Message
from nessus_sched.daemon.compose import Surroundings, compose
from nessus_sched.daemon.digest_reports import write_report
from nessus_sched.daemon.reload import Reloader
from nessus_sched.daemon.sd_notify import Notifier
from nessus_sched.daemon.servers import app_of, mcp_server
from nessus_sched.daemon.system import System
from nessus_sched.delivery.sinks.port import Sink
from nessus_sched.sim.app import asgi_app
from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.state import SimulatedNessus
from nessus_sched.telemetry.logging import configure
from nessus_sched.telemetry.metrics import Metrics

SEED: Final = 11
DRIFT: Final = 0.2
"""Share of findings that changes in a week."""
SCANS_TAKE: Final = 40 * 60.0
PAUSING_TAKES: Final = 120.0
SCANNERS: Final = ("north", "south", "west")
RARER: Final = 60.0
"""Most of the story's time nothing happens."""


@attrs.define
class Mailbox:
    """Takes the messages that the daemon sends."""

    messages: list[Message] = attrs.field(factory=list)
    arrived: trio.Event = attrs.field(factory=trio.Event)

    async def deliver(self, message: Message) -> None:
        await trio.lowlevel.checkpoint()
        self.messages.append(message)
        self.arrived.set()
        self.arrived = trio.Event()


@attrs.frozen(kw_only=True)
class Stage:
    """What is running; `scanners` by id."""

    system: System
    desk: Desk
    scanners: Mapping[str, SimulatedNessus]
    mailbox: Mailbox


class CutOff(httpx.AsyncBaseTransport):
    """The way to a simulated scanner, which refuses connections while it is down."""

    def __init__(self, nessus: SimulatedNessus) -> None:
        self._nessus = nessus
        self._inner = httpx.ASGITransport(app=asgi_app(nessus))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._nessus.now() < self._nessus.refusing_until:
            await trio.lowlevel.checkpoint()
            raise httpx.ConnectError("connection refused", request=request)
        return await self._inner.handle_async_request(request)


@asynccontextmanager
async def story_stage(directory: Path, clock: StoryClock) -> AsyncIterator[Stage]:
    """A daemon with all that scans, keeps and reports, but without sockets and pages."""
    scanners = {
        name: SimulatedNessus(
            SimOptions(
                seed=SEED, drift=DRIFT, scans_take=SCANS_TAKE, pause_takes=PAUSING_TAKES,
                alive_share=0.12,
            ),
            now=clock.now,
        )
        for name in SCANNERS
    }  # fmt: skip
    file = directory / "nessus-sched.yaml"
    file.write_text(story_config(directory / "state", scanners))
    config = load(file, environ={})
    mailbox = Mailbox()
    around = Surroundings(
        wall=clock.now,
        steady=lambda: clock.now,
        transport=partial(_way_to, scanners),
        rarer=RARER,
        sink=partial(_mailbox, mailbox),
    )
    metrics = Metrics(__version__)
    with (directory / "daemon.log").open("w", buffering=1) as log:
        logs = configure(config.log, stream=log, now=clock.now)
        config.state_directory.mkdir(mode=0o700, parents=True)
        async with (
            compose(config, metrics, logs.masker, around) as system,
            trio.open_nursery() as nursery,
        ):
            await system.operator.restore()
            await nursery.start(system.fleet.run)
            await system.schedules.restore()
            await system.exceptions.restore()
            app = app_of(system, Reloader(file, os.environ, system, Notifier({}), logs))
            system.delivery.router.write_report = partial(write_report, app)
            for part in (
                system.service.repeat_commands,
                system.service.deadlines.run,
                system.schedules.run,
                system.exceptions.run,
                system.ledger.run,
                system.delivery.router.run,
                system.delivery.lanes.run,
                system.scanner_watch.run,
            ):
                nursery.start_soon(part)
            async with desk_at(mcp_server(app, system, metrics)) as desk:
                yield Stage(system=system, desk=desk, scanners=scanners, mailbox=mailbox)
            nursery.cancel_scope.cancel(reason="the story is over")


def _way_to(
    scanners: Mapping[str, SimulatedNessus], settings: ScannerSettings
) -> httpx.AsyncBaseTransport:
    return CutOff(scanners[settings.id])


def _mailbox(mailbox: Mailbox, _settings: SinkSettings, **_rest: Any) -> Sink:
    return mailbox
