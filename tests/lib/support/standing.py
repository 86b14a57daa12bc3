"""Simulators and a daemon that stand for a whole module of tests.

They live in a loop of their own, in a thread, because a fixture of pytest-trio lasts for
one test only, and a daemon takes a second to start.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import trio

from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.serve import RunningSim
from support.processes import Site, daemon, scanner_yaml, simulators, site

START = 60.0


@attrs.frozen(kw_only=True)
class Standing:
    """`log` is what the daemon has said so far; `sims` by the id of their scanner."""

    place: Site
    sims: Mapping[str, RunningSim]
    pid: int

    @property
    def log(self) -> str:
        return (self.place.directory / "daemon.log").read_text()


@contextmanager
def standing(
    directory: Path, scanners: Mapping[str, SimOptions], limit: int = 10, **changes: Any
) -> Iterator[Standing]:
    """Runs a simulator for each of `scanners`, and the daemon as a process of its own."""
    told: queue.Queue[Standing | BaseException] = queue.Queue()
    stop: list[tuple[trio.lowlevel.TrioToken, trio.Event]] = []

    async def run() -> None:
        over = trio.Event()
        stop.append((trio.lowlevel.current_trio_token(), over))
        async with simulators(*scanners.values()) as sims:
            named = dict(zip(scanners, sims, strict=True))
            listed = [scanner_yaml(name, sim, limit) for name, sim in named.items()]
            place = site(directory, listed, **changes)
            async with daemon(place) as process:
                told.put(Standing(place=place, sims=named, pid=process.pid))
                await over.wait()

    def thread() -> None:
        try:
            trio.run(run)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            told.put(error)

    runner = threading.Thread(target=thread)
    runner.start()
    found = told.get(timeout=START)
    try:
        if isinstance(found, BaseException):
            raise found
        yield found
    finally:
        token, over = stop[0]
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(over.set)
        runner.join()
