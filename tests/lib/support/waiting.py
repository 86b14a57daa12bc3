"""A daemon that waits, in the test's own process. The store is an SQLite file."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from nessus_sched.config.loading import load
from nessus_sched.core.leading.leader import Daemon, Leader
from nessus_sched.daemon.sd_notify import Notifier
from nessus_sched.daemon.standby.standing_by import Standby
from nessus_sched.ipc import discovery
from nessus_sched.store.tasks.engine import SqliteEngine
from nessus_sched.store.tasks.store import TaskStore
from nessus_sched.telemetry.logging import configure
from nessus_sched.telemetry.metrics import Metrics
from support.mcp_wire import LineBuffer, call, opened, until
from support.stored import START, a_request, a_task, submitted

WEST = Leader(daemon=Daemon(host="west"), since=START, released=False)


@attrs.define
class Wishes:
    """A candidate that leads, or fails, when the test says so."""

    daemon: Daemon = attrs.field(factory=lambda: Daemon(host="east"))
    leader: Leader | None = WEST
    differs: tuple[str, ...] = ()
    leads: bool = False
    fails: Exception | None = None
    blocks: threading.Event | None = None
    looks: int = 0
    closed: bool = False

    def look(self) -> bool:
        self.looks += 1
        if self.blocks is not None:
            self.blocks.wait(30)
        if self.fails is not None:
            raise self.fails
        return self.leads

    def close(self) -> None:
        self.closed = True


def written(directory: Path, **changes: Any) -> Path:
    file = directory / "config.yaml"
    config = {
        "state_directory": str(directory / "state"),
        "http": {"bind": "127.0.0.1:0"},
        "socket": {"path": str(directory / "s.sock")},
        "targets": {"allow": ["192.0.2.0/24"]},
        **changes,
    }
    file.write_text(json.dumps(config))
    return file


@attrs.define
class Waiting:
    standby: Standby
    wishes: Wishes
    ended: list[bool]

    async def connect(self) -> tuple[trio.SocketStream, LineBuffer]:
        path = discovery.standby_of(str(self.standby.config.socket.path))
        stream = await trio.open_unix_socket(path)
        return stream, await opened(stream)

    async def ask(self, tool: str, **arguments: Any) -> Any:
        stream, lines = await self.connect()
        async with stream:
            await stream.send_all(call(1, tool, **arguments))
            return (await lines.next())["result"]


async def made(tmp_path: Path, **changes: Any) -> Waiting:
    file, directory = written(tmp_path, **changes), tmp_path / "state"
    directory.mkdir()
    async with TaskStore.open(directory, now=lambda: START) as store:
        for number in (1, 2):
            task = a_task(number, request=a_request(name=f"scan {number}"))
            await store.submit(task, submitted(task))
    config, wishes = load(file, environ={}), Wishes()
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    standby = Standby(
        config=config,
        file=file,
        environ=environ,
        engine=SqliteEngine(directory / "tasks.db"),
        candidate=wishes,
        metrics=Metrics("0"),
        notifier=Notifier({}),
        logs=configure(config.log),
    )
    return Waiting(standby, wishes, [])


@asynccontextmanager
async def waiting(
    tmp_path: Path, found: Waiting | None = None, **changes: Any
) -> AsyncIterator[Waiting]:
    found = found or await made(tmp_path, **changes)
    path = Path(discovery.standby_of(str(found.standby.config.socket.path)))

    async def run() -> None:
        found.ended.append(await found.standby.run())

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await until(path.exists)
            yield found
            nursery.cancel_scope.cancel()
    assert not path.exists()
