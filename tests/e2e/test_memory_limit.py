"""A daemon with the unit's memory, and users who try to exhaust it: others are served."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import pytest
import trio

from support.control_group import ControlGroup, control_group
from support.crowd import LONG, processor_time
from support.mcp_wire import call, opened, request, until
from support.other_users import connected_as
from support.processes import Site, daemon, environment
from support.web import free_port

UNIT = Path(__file__).parents[2] / "systemd/nessus-sched.service"
ALICE, BOB, CAROL, DAVE, ERIN = range(70_001, 70_006)
MESSAGE = 4 * 2**20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.getuid() != 0, reason="needs root, for other users and a control group"),
]


PROBER = """
import http.client, os, sys, time
os.setpriority(os.PRIO_PROCESS, 0, -10)  # its own wait for a processor is not the daemon's
with open(sys.argv[2], "w", buffering=1) as answers:
    while True:
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
        try:
            connection.request("GET", "/health")
            answer = connection.getresponse()
            answer.read()
            assert answer.status in (200, 503)  # it has no scanner
            took = time.monotonic() - began
        except ConnectionError:
            took = float("inf")
        connection.close()
        print(took, file=answers)
        time.sleep(0.02)
"""
"""Asks for the health all the time, in a process of its own: the test is busy attacking."""


@attrs.define(kw_only=True)
class ConfinedSite(Site):
    group: ControlGroup

    def argv(self, *words: str) -> list[str]:
        return self.group.inside(Site.argv(self, *words))


@attrs.define
class Place:
    """A running daemon. `latencies` are those of /health, the first `early` of them from before
    the daemon accepted clients."""

    site: ConfinedSite
    port: int
    socket: Path
    early: int = 0
    worked: float = 0.0
    """Seconds of processor time that the start took."""

    @property
    def latencies(self) -> list[float]:
        """In seconds."""
        return [took for took in self._asked() if took < math.inf]

    @property
    def refused(self) -> int:
        """How often a connection was refused."""
        return self._asked().count(math.inf)

    def _asked(self) -> list[float]:
        return [float(line) for line in self.answers.read_text().split("\n")[:-1]]

    @property
    def answers(self) -> Path:
        return self.site.directory / "answers.txt"


def memory_max() -> int:
    found = re.search(r"^MemoryMax=(\d+)M$", UNIT.read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 2**20


def connection(place: Place, uid: int) -> trio.SocketStream:
    return connected_as(place.socket, uid)


@asynccontextmanager
async def confined(group: ControlGroup, directory: Path, **changes: Any) -> AsyncIterator[Place]:
    """The daemon in the group, and someone who asks for its health all the time."""
    port, path = free_port(), directory / "mcp.sock"
    config = {
        "state_directory": str(directory / "state"),
        "http": {"bind": f"127.0.0.1:{port}"},
        "socket": {"path": str(path), "mode": "0666"},
        "targets": {"allow": ["192.0.2.0/24"]},
        "scanners": [],
        "roles": [
            {"name": "readers", "users": [str(BOB), str(CAROL), str(DAVE)], "read_only": True},
            {"name": "submitters", "users": [str(ALICE), str(ERIN)]},
        ],
        **changes,
    }
    directory.chmod(0o755)
    site = ConfinedSite(directory=directory, config=config, group=group)
    site.write()
    environment(directory)
    place = Place(site, port, path)
    async with trio.open_nursery() as nursery:
        place.answers.unlink(missing_ok=True)
        prober = [sys.executable, "-c", PROBER, str(port), str(place.answers)]
        await nursery.start(partial(trio.run_process, prober))
        await until(place.answers.exists)
        async with daemon(site, within=LONG) as process:
            place.early, refused = len(place.latencies), place.refused
            place.worked = processor_time(process.pid)
            yield place
            assert place.refused == refused
            nursery.cancel_scope.cancel()


async def served(place: Place, uid: int, within: float = 60.0) -> None:
    """A new client of that user gets an answer."""
    with trio.fail_after(within):
        async with connection(place, uid) as stream:
            lines = await opened(stream)
            await stream.send_all(call("w", "list_credentials"))
            assert "result" in await lines.next()


async def said(stream: trio.SocketStream, within: float = 60.0) -> Any:
    """The first answer on a connection."""
    got = b""
    with trio.fail_after(within), suppress(trio.BrokenResourceError):
        while b"\n" not in got and (chunk := await stream.receive_some()):
            got += chunk
    return json.loads(got.split(b"\n")[0])


def huge_messages() -> Iterator[bytes]:
    wrong = ",".join(["[]"] * (MESSAGE // 3 - 200))
    yield f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"search_findings",\
"arguments":{{"fields":[{wrong}]}}}}}}\n'.encode()
    yield call(2, "search_findings", fields="[" + "1," * (MESSAGE // 2 - 200) + "1]")
    yield call(3, "submit_custom_scan", settings={f"n{n}": "1" for n in range(250_000)})
    yield call(4, "search_findings", filters=[{"field": "x"}] * 240_000)
    yield call(5, "search_findings", fields=["x" * 100_000] * 40)
    yield call(6, "submit_scan", targets=["a://b" * 25_000] * 32)
    yield call(7, "submit_scan", targets=["192.0.2.1"] * 9_999, description="://" * 1_000_000)


async def messages(place: Place) -> None:
    for message in huge_messages():
        assert len(message) <= MESSAGE
        async with connection(place, ALICE) as stream:
            lines = await opened(stream)
            await stream.send_all(message)
            with trio.fail_after(60):
                answer = await lines.next()
            assert "error" in answer or answer["result"]["isError"]
            assert answer["id"] in range(1, 8)
            assert len(json.dumps(answer)) < 20_000


async def unfinished_lines(place: Place) -> None:
    refused: list[str] = []

    async def one() -> None:
        async with connection(place, ALICE) as stream:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(b"x" * (MESSAGE - 1))
                await stream.send_all(b"\n")
            refused.append((await said(stream))["error"]["message"])

    async with trio.open_nursery() as nursery:
        for _ in range(108):
            nursery.start_soon(one)
    assert len(refused) == 108
    assert any(text.startswith("limits.connection_memory: your user's") for text in refused)


async def unread_answers(place: Place) -> None:
    with ExitStack() as left:

        async def one() -> None:
            stream = connection(place, BOB)
            left.callback(stream.socket.close)
            lines = await opened(stream)
            with trio.move_on_after(5), suppress(trio.BrokenResourceError):
                await stream.send_all(b"".join(request(n, "tools/list") for n in range(1, 33)))
            del lines

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(one)
        await served(place, CAROL)
        await served(place, 0)


async def idle_connections(place: Place) -> None:
    streams = [connection(place, CAROL) for _ in range(256)]
    turned_away = await said(streams[-1])
    assert turned_away["error"]["message"].startswith("limits.connections: your user's share")
    await served(place, DAVE)
    await served(place, 0)
    for stream in streams:
        await stream.aclose()


async def strangers(place: Place) -> None:
    for _ in range(300):
        async with connection(place, 70_999) as stream:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(b"x" * 1000)
    async with connection(place, 70_999) as stream:
        assert "no role names your user" in (await said(stream))["error"]["message"]


@pytest.mark.parametrize(
    "attack", [messages, unfinished_lines, unread_answers, idle_connections, strangers]
)
async def test_within_the_memory_of_the_unit(
    attack: Callable[[Place], Awaitable[None]], record_property: Callable[[str, object], None]
) -> None:
    with TemporaryDirectory() as directory, control_group(memory_max()) as group:
        async with confined(group, Path(directory)) as place:
            await served(place, DAVE)
            await attack(place)
            await served(place, DAVE)
            await served(place, 0)
            assert group.killed() == 0
            taken = sorted(place.latencies[place.early :])
        peak = group.peak()
    record_property("slowest", round(taken[-1], 3))
    record_property("peak", peak)
    print(
        f"{len(taken)} answers, median {1000 * median(taken):.0f} ms, of 100 the slowest "
        f"{1000 * taken[len(taken) * 99 // 100]:.0f} ms, slowest {1000 * taken[-1]:.0f} ms, "
        f"peak {peak} MiB"
    )


def scattered(number: int, *, ipv6: bool) -> list[str]:
    """4,096 addresses of which no two are neighbors."""
    first = number % 16 * 8192
    if ipv6:
        return [f"2001:db8::{number:x}:{2 * each:x}" for each in range(4096)]
    base = int(IPv4Address("198.18.0.0")) + first
    return [str(IPv4Address(base + 2 * each)) for each in range(4096)]


async def fill(place: Place, uid: int, took: list[float], *, ipv6: bool) -> str:
    """Submits until it is refused, and returns the refusal."""
    async with connection(place, uid) as stream:
        lines = await opened(stream)
        while True:
            began = time.monotonic()
            targets = scattered(len(took), ipv6=ipv6)
            await stream.send_all(call(len(took), "submit_scan", targets=targets))
            with trio.fail_after(60):
                result = (await lines.next())["result"]
            if result.get("isError"):
                return str(result["content"][0]["text"])
            took.append(time.monotonic() - began)


@pytest.mark.timeout(600)
@pytest.mark.skipif("NESSUS_SCHED_LONG" not in os.environ, reason="a minute each")
@pytest.mark.parametrize("ipv6", [False, True])
async def test_a_queue_filled_with_scattered_addresses(
    ipv6: bool, record_property: Callable[[str, object], None]
) -> None:
    """Three users submit until the queue is full: the daemon survives, and starts again."""
    keys = {"api_keys": {"access_key": "0" * 64, "secret_key": "0" * 64}}
    changes: dict[str, Any] = {
        "targets": {"allow": ["198.18.0.0/15", "2001:db8::/32"]},
        "scanners": [{"id": "away", "url": "https://127.0.0.1:9", "auth": keys}],
    }
    took: list[float] = []
    counts = []
    with TemporaryDirectory() as directory, control_group(memory_max()) as group:
        async with confined(group, Path(directory), **changes) as place:
            for uid in (ALICE, ERIN, 0):
                refusal = await fill(place, uid, took, ipv6=ipv6)
                assert refusal.endswith("[queue_full]"), refusal
                assert "limits.queued_targets" in refusal
                counts.append(len(took))
                await served(place, DAVE)
        slowest = max(place.latencies)
        assert 100 < counts[0] < counts[1] < counts[2]
        began = time.monotonic()
        async with confined(group, Path(directory), **changes) as place:
            restart = time.monotonic() - began
            await served(place, DAVE)
            assert place.early > 0
            # On a quiet machine that is how long it takes, with another second of waiting.
            assert place.worked < 10
            assert (await fill(place, 0, took, ipv6=ipv6)).endswith("[queue_full]")
        assert len(took) == counts[2]
        assert group.killed() == 0
        again, peak = max(place.latencies), group.peak()
    record_property("peak", peak)
    print(
        f"{counts} submissions of 4,096 addresses, median {1000 * median(took):.0f} ms, slowest "
        f"{1000 * max(took):.0f} ms; restart {restart:.1f} s, {place.worked:.1f} s of them work; "
        f"/health during the start {place.early} times; slowest /health "
        f"{1000 * slowest:.0f} ms and {1000 * again:.0f} ms; peak {peak} MiB"
    )
