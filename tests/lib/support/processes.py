"""The daemon as a real process, against simulated scanners in the test's own loop."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio

from nessus_sched.ipc import discovery
from nessus_sched.mcp.client import Tools, connected
from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.serve import RunningSim, serve_sim

PROGRAM = (sys.executable, "-m", "nessus_sched")
START = 30.0
"""Seconds for a daemon to come up on a busy machine."""


def environment(directory: Path, **changes: str) -> dict[str, str]:
    """Ours, with a runtime directory of the test's own."""
    runtime = directory / "run"
    runtime.mkdir(mode=0o700, exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NESSUS_")}
    return {**kept, "XDG_RUNTIME_DIR": str(runtime), "NO_COLOR": "1", **changes}


def scanner_yaml(name: str, sim: RunningSim, limit: int = 2, **changes: Any) -> dict[str, Any]:
    return {
        "id": name,
        "url": sim.url,
        "auth": {"api_keys": {"access_key": sim.access_key, "secret_key": sim.secret_key}},
        "tls": {"fingerprint": sim.fingerprint},
        "max_concurrent_scans": limit,
        **changes,
    }


@attrs.define(kw_only=True)
class Site:
    """A directory with a configuration; JSON is YAML, so the file is written as JSON."""

    directory: Path
    config: dict[str, Any]
    program: Sequence[str] = PROGRAM
    more: Mapping[str, str] = attrs.field(factory=dict)
    """More variables of the environment."""

    @property
    def file(self) -> Path:
        return self.directory / "config.yaml"

    @property
    def environ(self) -> dict[str, str]:
        return environment(self.directory, **self.more)

    def write(self) -> None:
        self.file.write_text(json.dumps(self.config))

    def argv(self, *words: str) -> list[str]:
        return [*self.program, *words, "--config", str(self.file)]

    @property
    def socket(self) -> Path:
        return Path(discovery.default_socket(str(self.file), self.environ))


def site(
    directory: Path,
    scanners: Sequence[Mapping[str, Any]],
    *,
    program: Sequence[str] = PROGRAM,
    **changes: Any,
) -> Site:
    """A configuration that polls fast, written to a file."""
    config = {
        "state_directory": str(directory / "state"),
        "http": {"bind": None},
        "targets": {"allow": ["192.0.2.0/24", "198.51.100.0/24"]},
        "polling": {"fastest": "0.2s", "slowest": "1s", "probe": "1s"},
        "scanners": list(scanners),
        **changes,
    }
    made = Site(directory=directory, config=config, program=program)
    made.write()
    return made


@asynccontextmanager
async def simulators(*options: SimOptions) -> AsyncIterator[list[RunningSim]]:
    async with trio.open_nursery() as nursery:
        yield [await nursery.start(serve_sim, each) for each in options]
        nursery.cancel_scope.cancel(reason="the test is over")


@asynccontextmanager
async def daemon(
    place: Site, *words: str, within: float = START, waits: bool = False
) -> AsyncIterator[trio.Process]:
    """`serve` as a process, listening `within` seconds; stopped with SIGTERM at the end if it
    still runs. `waits`: another one leads."""
    log = place.directory / "daemon.log"
    with log.open("ab") as output:
        async with trio.open_nursery() as nursery:
            run = partial(
                trio.run_process,
                place.argv("serve", *words),
                stdout=output,
                stderr=output,
                env=place.environ,
                check=False,
            )
            process: trio.Process = await nursery.start(run)
            try:
                await listening(place, process, within, waits=waits)
                yield process
            finally:
                if process.returncode is None:
                    process.send_signal(signal.SIGTERM)
                with trio.move_on_after(15) as patience, trio.CancelScope(shield=True):
                    await process.wait()
                if patience.cancelled_caught:
                    process.kill()


async def listening(
    place: Site, process: trio.Process, within: float = START, *, waits: bool = False
) -> None:
    """Returns when the daemon accepts connections."""
    path = discovery.standby_of(str(place.socket)) if waits else str(place.socket)
    with trio.fail_after(within):
        while True:
            assert process.poll() is None, (place.directory / "daemon.log").read_text()
            try:
                stream = await trio.open_unix_socket(path)
            except OSError:
                await trio.sleep(0.02)
            else:
                await stream.aclose()
                return


@asynccontextmanager
async def client(place: Site, *words: str) -> AsyncIterator[Tools]:
    """The official SDK's client over `nessus-sched mcp`, as a host starts it."""
    with (place.directory / "client.log").open("a") as errors:
        async with connected(place.argv("mcp", *words), place.environ, errors) as tools:
            yield tools


async def settled(tools: Tools, task_id: str, within: float = 60.0) -> dict[str, Any]:
    """The task's status once nothing more happens to it."""
    with trio.fail_after(within):
        while True:
            answer = await tools.call("wait_for_scan", task_id=task_id)
            if not answer["timed_out"]:
                task: dict[str, Any] = answer["task"]
                return task
