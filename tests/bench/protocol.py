"""What a model's client sees: submissions and reads through MCP, and the protocol's own price.

The client here is cheaper than any real one: it sends lines made by hand, keeps as many
calls on the way as there are callers, and reads no more of an answer than its number. `ping`
asks for nothing, so what it takes is the protocol's.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count, islice
from pathlib import Path
from time import perf_counter

import trio

from nessus_sched.sim.options import SimOptions
from support.mcp_wire import call, opened, request
from support.processes import Site, daemon, scanner_yaml, simulators, site
from tests.bench.figures import Figure, Rate, medians, rate
from tests.bench.submissions import CALLERS, OURS

Ask = Callable[[int], bytes]
"""The line of the request with that number."""

_ID = re.compile(rb'"id": ?(\d+)')


def ping(number: int) -> bytes:
    return request(number, "ping")


def submit_scan(number: int) -> bytes:
    target = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return call(number, "submit_scan", targets=[target], name="weekly")


@asynccontextmanager
async def busy_site(directory: Path) -> AsyncIterator[Site]:
    """A daemon whose only scanner is full for ever, so that what is submitted waits; with
    the bounds of one connection raised, which are there to slow down just this."""
    async with simulators(SimOptions(scans_take=30 * 86400.0)) as (sim,):
        place = site(
            directory, [scanner_yaml("a", sim, 1)],
            targets={"allow": ["10.0.0.0/8"]}, log={"level": "warning"},
            limits={"calls_at_once": 4096, "calls_per_second": 10_000},
        )  # fmt: skip
        async with daemon(place):
            yield place


@asynccontextmanager
async def over_socket(place: Site) -> AsyncIterator[trio.abc.Stream]:
    stream = await trio.open_unix_socket(str(place.socket))
    async with stream:
        yield stream


@asynccontextmanager
async def over_stdio(place: Site) -> AsyncIterator[trio.abc.Stream]:
    """Through the relay that Claude Desktop starts."""
    async with trio.open_nursery() as nursery:
        run = partial(
            trio.run_process, place.argv("mcp"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=place.environ, check=False,
        )  # fmt: skip
        relay: trio.Process = await nursery.start(run)
        assert relay.stdio is not None
        async with relay.stdio:
            yield relay.stdio


async def call_rate(
    stream: trio.abc.Stream, ask: Ask, numbers: count[int], callers: int, seconds: float
) -> Rate:
    """As many calls on the way as there are callers, until the time is over."""
    sent: dict[int, float] = {}
    latencies: list[float] = []
    rest, sending = b"", trio.Lock()
    begun = perf_counter()

    async def send(calls: int) -> None:
        async with sending:
            lines = {number: ask(number) for number in islice(numbers, calls)}
            sent.update(dict.fromkeys(lines, perf_counter()))
            await stream.send_all(b"".join(lines.values()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send, callers)  # a pipe that is full both ways would stand still
        awaited = callers
        while awaited:
            *lines, rest = (rest + await stream.receive_some()).split(b"\n")
            now = perf_counter()
            for line in lines:
                found = _ID.search(line)
                assert found, line
                assert b'"isError":true' not in line, line
                latencies.append(now - sent.pop(int(found[1])))
            if now - begun >= seconds:
                awaited -= len(lines)
            elif lines:
                nursery.start_soon(send, len(lines))
    return rate(latencies, perf_counter() - begun)


async def one_round(seconds: float) -> list[Figure]:
    found = []
    with tempfile.TemporaryDirectory() as name:
        async with busy_site(Path(name)) as place:
            numbers = count(1)
            for way, connect in (("Unix socket", over_socket), ("stdio", over_stdio)):
                for what, ask in (("submit_scan", submit_scan), ("ping", ping)):
                    for callers in CALLERS:
                        async with connect(place) as stream:
                            await opened(stream)
                            got = await call_rate(stream, ask, numbers, callers, seconds)
                        found.append(got.figure(f"{what} over {way}", OURS, callers))
    return found


def measure(rounds: int = 2, seconds: float = 1.5) -> list[Figure]:
    return medians([trio.run(one_round, seconds) for _ in range(rounds)])
