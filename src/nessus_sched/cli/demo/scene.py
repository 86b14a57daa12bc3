"""The demo's stage: simulated scanners in this process, a daemon in its own."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import click
import trio

from nessus_sched.cli.demo.config import DemoScanner, config_text
from nessus_sched.cli.demo.ports import free_ports
from nessus_sched.ipc import discovery
from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.serve import RunningSim, serve_sim

SCANS_TAKE = 3.0
SLOTS = 2
START_PATIENCE = 20.0
STOP_PATIENCE = 10.0


@attrs.define(kw_only=True)
class Scene:
    """What is running: simulated scanners by id, the daemon's configuration and directory."""

    sims: dict[str, RunningSim]
    directory: Path
    http: str

    @property
    def config_file(self) -> Path:
        return self.directory / "nessus-sched.yaml"


@asynccontextmanager
async def demo_scene(files: Sequence[Path]) -> AsyncIterator[Scene]:
    """Starts everything in a temporary directory; `files` are distributed over the scanners, which
    replay them. Raises `click.ClickException`."""
    with tempfile.TemporaryDirectory(prefix="nessus-sched-demo-") as name:
        async with trio.open_nursery() as nursery:
            await nursery.start(end_on_signal)
            sims = {
                scanner_id: await nursery.start(
                    serve_sim,
                    SimOptions(
                        seed=seed,
                        scans_take=SCANS_TAKE,
                        replay_files=tuple(files[seed - 1 :: 2]),
                    ),
                )
                for seed, scanner_id in enumerate(("east", "west"), 1)
            }
            scene = Scene(sims=sims, directory=Path(name), http=f"127.0.0.1:{free_ports(1)[0]}")
            scene.config_file.write_text(_config(scene))
            async with _daemon(nursery, scene):
                yield scene
            nursery.cancel_scope.cancel(reason="the demo is over")


async def end_on_signal(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Stops everything at the next checkpoint after a signal, so that nothing is left behind.

    Ctrl-C by itself would raise in whatever code is running, and a library that handles one of
    the simulators' requests could log it and continue. Raises `KeyboardInterrupt` or
    `SystemExit`.
    """
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as received:
        task_status.started()
        async for number in received:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(128 + number)


def _config(scene: Scene) -> str:
    scanners = [
        DemoScanner(
            id=scanner_id,
            url=sim.url,
            fingerprint=sim.fingerprint,
            access_key=sim.access_key,
            secret_key=sim.secret_key,
            max_concurrent_scans=SLOTS,
        )
        for scanner_id, sim in scene.sims.items()
    ]
    return config_text(scene.directory / "state", scanners, http=scene.http)


@asynccontextmanager
async def _daemon(nursery: trio.Nursery, scene: Scene) -> AsyncIterator[None]:
    """A daemon in a process of its own, as in production; stopped with SIGTERM."""
    argv = [sys.executable, "-m", "nessus_sched", "serve", "--config", str(scene.config_file)]
    log = scene.directory / "daemon.log"
    with log.open("w") as output:
        run = partial(trio.run_process, argv, stdout=output, stderr=output, check=False)
        process: trio.Process = await nursery.start(run)
        try:
            await _answering(process, scene, log)
            yield
        finally:
            process.terminate()
            with trio.CancelScope(shield=True), trio.move_on_after(STOP_PATIENCE):
                await process.wait()


async def _answering(process: trio.Process, scene: Scene, log: Path) -> None:
    """Returns once the daemon listens. Raises `click.ClickException` if it does not."""
    with trio.move_on_after(START_PATIENCE):
        while process.poll() is None:
            paths = discovery.candidate_sockets(str(scene.config_file), os.environ)
            if any(map(os.path.exists, paths)):
                return
            await trio.sleep(0.05)
    raise click.ClickException(f"the daemon did not start: {await trio.Path(log).read_text()}")
