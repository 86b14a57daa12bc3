"""A daemon with simulated scanners for commands that run in this process, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.serve import RunningSim
from support.command import Said, fits, typed
from support.counterparts import Answer, Request, web_server
from support.processes import Site, daemon, scanner_yaml, simulators, site

CANARIES = ("canary-escalation-72615", "canary-password-11843", "canary-secret-55902")


@attrs.frozen(kw_only=True)
class Live:
    """A running daemon; call it with the words of a command."""

    place: Site
    sims: list[RunningSim]
    received: list[bytes]
    """What its webhook got; it refuses what says `refuse me`."""

    def __call__(self, *words: str, stdin: str = "") -> Said:
        environ = self.place.environ
        env = {
            "NESSUS_SCHED_CONFIG": str(self.place.file),
            "NESSUS_SCHED_SOCKET": None,
            "XDG_RUNTIME_DIR": environ["XDG_RUNTIME_DIR"],
        }
        return typed(*words, env=env, stdin=stdin)


def asked(live: Live, shape: str, *words: str, code: int = 0) -> Any:
    """What a command prints with --json, once it has the documented shape."""
    said = live(*words, "--json")
    assert said.code == code, said
    fits(shape, said.json)
    return said.json


def submitted(live: Live, *words: str) -> str:
    answer = asked(live, "submit", "submit", *words)
    return str(answer["task_id"])


@contextmanager
def live_daemon(directory: Path) -> Iterator[Live]:
    """The daemon as a process, its scanners in a thread; both end with the block."""
    started: list[Live] = []
    ready = threading.Event()
    stop: list[Callable[[], None]] = []

    async def main() -> None:
        over = trio.Event()
        token = trio.lowlevel.current_trio_token()
        stop.append(lambda: token.run_sync_soon(over.set))
        options = SimOptions(
            scans_take=0.1,
            export_takes=0.02,
            assume={"certificate_has_names": True},  # the key of the other kind takes a second
        )
        both = [attrs.evolve(options, seed=seed) for seed in (1, 2)]
        received: list[bytes] = []

        def take(request: Request) -> Answer:
            if b"refuse me" in request.body:
                return Answer(400)
            received.append(request.body)
            return Answer()

        async with simulators(*both) as sims, web_server(take) as port:
            place = _site(directory, sims, port)
            async with daemon(place):
                started.append(Live(place=place, sims=sims, received=received))
                ready.set()
                await over.wait()

    def run() -> None:
        try:
            trio.run(main)
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    assert started, "the daemon did not start"
    try:
        yield started[0]
    finally:
        stop[0]()
        thread.join()


def _site(directory: Path, sims: list[RunningSim], port: int) -> Site:
    escalation = {"method": "sudo", "account": "root", "password": CANARIES[0]}
    credential: dict[str, Any] = {
        "name": "linux",
        "kind": "ssh_password",
        "username": "scan",
        "password": CANARIES[1],
        "escalation": escalation,
    }
    windows = {
        "name": "windows",
        "kind": "windows",
        "username": "scanner",
        "password": CANARIES[1],
        "domain": "LAB",
    }
    stale = {"name": "stale", "kind": "ssh_password", "username": "old", "password": "wrong"}
    scanners = [scanner_yaml("east", sims[0], 2), scanner_yaml("west", sims[1], 2)]
    scanners.append(
        {
            "id": "north",
            "url": "https://127.0.0.1:9",
            "enabled": False,
            "auth": {"ui_session": {"username": "scan", "password": CANARIES[2]}},
        }
    )
    audit = directory / "cis.audit"
    audit.write_text('<check_type:"Unix"></check_type>')
    return site(
        directory,
        scanners,
        credentials=[credential, windows, stale],
        audits=[
            {"name": "cis", "file": str(audit)},
            {"name": "nonesuch", "builtin": "no scanner has this.audit"},
        ],
        scheduling={"max_attempts": 1},
        sinks=[
            {"name": "hook", "webhook": {"url": f"http://127.0.0.1:{port}/"}},
            {"name": "nobody", "webhook": {"url": "http://127.0.0.1:9/"}},
        ],
        routes=[
            {"name": "soc", "sink": "hook", "on": ["completed", "failed", "dead"]},
            {"name": "week", "sink": "hook", "when": "weekly"},
            {"name": "nobody", "sink": "nobody", "on": ["scanner_up"]},
        ],
        polling={"fastest": "0.1s", "slowest": "30s", "probe": "1s"},
    )
