"""How quickly /health and /metrics answer while the daemon is busy.

One daemon, one simulated scanner, this program: three processes. Each page is asked for
some thirty times a second while nothing happens, while a large report is fetched and imported,
and while the scanner answers no request at all. The scanner is also listed as twenty more
that hang, so that many requests hang at once.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import trio

from nessus_sched.mcp.client import Tools
from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.serve import RunningSim, serve_sim
from support.crowd import resident
from support.pages import Pages
from support.processes import Site, client, daemon, settled, site
from tests.bench.figures import Figure, latency
from tests.bench.submissions import OURS

REPORT = 1000
"""MiB."""
OUTPUT = 2000
OVERHEAD = 750
"""Bytes of one finding's XML besides its output, about."""
EVERY = 0.03
QUIET, HUNG = 5.0, 10.0
"""Seconds."""
HANGING = 20


async def _measure(mebibytes: int) -> list[Figure]:
    pages, found = Pages(), []
    with tempfile.TemporaryDirectory() as name:
        async with trio.open_nursery() as nursery:
            sim = await _simulator(nursery, mebibytes)
            place = _place(Path(name), pages, sim)
            async with daemon(place) as process, client(place) as tools:
                await pages.until(lambda now: now["status"] == "ok", within=120)
                found += await _during("nothing happens", pages, partial(trio.sleep, QUIET))
                importing = f"a report of {mebibytes} MiB is fetched and imported"
                found += await _during(importing, pages, partial(_scan, tools))
                peak = resident(process.pid, "VmHWM")
                found.append(
                    Figure(what=f"most memory, {importing}", who=OURS, unit="MiB", value=peak)
                )
                await _hang(sim)
                await trio.sleep(1)
                found += await _during("every scanner hangs", pages, partial(trio.sleep, HUNG))
            nursery.cancel_scope.cancel()
    return found


async def _during(when: str, pages: Pages, work: Callable[[], Awaitable[object]]) -> list[Figure]:
    times: dict[str, list[float]] = {"/health": [], "/metrics": []}
    begun = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for path in times:
            nursery.start_soon(_ask, pages, path, times[path])
        await work()
        nursery.cancel_scope.cancel()
    seconds = time.perf_counter() - begun
    place = partial(Figure, what=when)
    return [
        *(latency(when, path, taken) for path, taken in times.items()),
        *(
            place(who=f"{path}, slowest", unit="ms", value=1000 * max(t))
            for path, t in times.items()
        ),
        place(who="this took", unit="s", value=seconds),
    ]


async def _ask(pages: Pages, path: str, times: list[float]) -> None:
    while True:
        started = time.perf_counter()
        await pages.get(path)
        times.append(time.perf_counter() - started)
        await trio.sleep(EVERY)


async def _scan(tools: Tools) -> None:
    task = await tools.call("submit_scan", targets=["192.0.2.1"], scanner_instance="s0")
    done = await settled(tools, task["task_id"], within=1800)
    assert done["status"] == "completed", done


def _place(directory: Path, pages: Pages, sim: dict[str, Any]) -> Site:
    scanners = [
        {
            "id": f"s{number}",
            "url": sim["url"],
            "auth": {"api_keys": {"access_key": sim["access"], "secret_key": sim["secret"]}},
            "tls": {"fingerprint": sim["fingerprint"]},
        }
        for number in range(HANGING + 1)
    ]
    return site(
        directory, scanners, http=pages.settings, polling={"fastest": "0.5s", "slowest": "2s"}
    )


async def _simulator(nursery: trio.Nursery, mebibytes: int) -> dict[str, Any]:
    """In a process of its own; returns how to reach it."""
    command = [sys.executable, "-m", "tests.bench.health", str(mebibytes)]
    process = await nursery.start(
        partial(trio.run_process, command, stdout=subprocess.PIPE, check=False)
    )
    line = b""
    while not line.endswith(b"\n"):
        chunk = await process.stdout.receive_some()
        assert chunk, "the simulator did not start"
        line += chunk
    found: dict[str, Any] = json.loads(line)
    return found


async def _serve(mebibytes: int) -> None:
    options = SimOptions(
        scans_take=2.0,
        control=True,
        filler_findings=mebibytes * 2**20 // (OUTPUT + OVERHEAD),
        filler_bytes=OUTPUT,
    )
    async with trio.open_nursery() as nursery:
        sim: RunningSim = await nursery.start(serve_sim, options)
        told = {
            "url": sim.url,
            "fingerprint": sim.fingerprint,
            "access": sim.access_key,
            "secret": sim.secret_key,
        }
        print(json.dumps(told), flush=True)


async def _hang(sim: dict[str, Any]) -> None:
    def inject() -> None:
        context = ssl._create_unverified_context()  # noqa: S323 - our own simulator
        body = json.dumps({"kind": "hang", "times": None}).encode()
        request = urllib.request.Request(  # noqa: S310 - https
            f"{sim['url']}/_sim/faults",
            data=body,
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        urllib.request.urlopen(request, context=context, timeout=10).close()  # noqa: S310 - https

    await trio.to_thread.run_sync(inject)


def measure() -> list[Figure]:
    return trio.run(_measure, REPORT)


if __name__ == "__main__":
    trio.run(_serve, int(sys.argv[1]))
