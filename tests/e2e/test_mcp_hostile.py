"""Clients that mean harm, or are broken, at the socket of a real daemon: all is answered or
refused, and others are served meanwhile."""

from __future__ import annotations

import json
import random
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.api.tools import TOOLS
from nessus_sched.sim.options import SimOptions
from support.mcp_wire import LineBuffer, call, notification, opened, request
from support.standing import Standing, standing

pytestmark = pytest.mark.slow

CALLS = 10_000
HUGE = 2**20


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    limits = {"calls_per_second": 10_000, "message_size": HUGE, "connections": 60}
    directory = tmp_path_factory.mktemp("hostile")
    with standing(directory, {"a": SimOptions(scans_take=600.0)}, limits=limits) as stand:
        yield stand


@asynccontextmanager
async def connection(stand: Standing) -> AsyncIterator[tuple[trio.SocketStream, LineBuffer]]:
    stream = await trio.open_unix_socket(str(stand.place.socket))
    async with stream:
        yield stream, await opened(stream)


async def well(stand: Standing, within: float = 10.0) -> None:
    """A new client is served."""
    with trio.fail_after(within):
        async with connection(stand) as (stream, lines):
            await stream.send_all(call("w", "list_credentials"))
            answer = await lines.next()
            assert answer["id"] == "w"
            assert not answer["result"].get("isError")


async def welcome(stand: Standing) -> bool:
    """Whether a new connection is neither refused nor closed at once."""
    async with await trio.open_unix_socket(str(stand.place.socket)) as stream:
        with trio.move_on_after(0.3) as listening, suppress(trio.BrokenResourceError):
            await stream.receive_some()
    return listening.cancelled_caught


def memory(stand: Standing) -> int:
    """MiB that the daemon has."""
    status = Path(f"/proc/{stand.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) // 1024


async def test_ten_thousand_calls_at_once_are_answered_while_others_are_served(
    stand: Standing,
) -> None:
    before = memory(stand)
    async with connection(stand) as (stream, lines), trio.open_nursery() as nursery:
        flood = b"".join(call(number, "list_credentials") for number in range(CALLS))
        nursery.start_soon(stream.send_all, flood)
        seen = {(await lines.next())["id"] for _ in range(CALLS // 10)}
        await well(stand)
        while len(seen) < CALLS:
            seen.add((await lines.next())["id"])
    assert seen == set(range(CALLS))
    assert memory(stand) - before < 60


async def test_a_client_that_never_reads_costs_little(stand: Standing) -> None:
    before = memory(stand)
    async with connection(stand) as (stream, _lines):
        with trio.move_on_after(1.0):
            await stream.send_all(b"".join(call(n, "list_scanners") for n in range(CALLS)))
        await well(stand)
        assert memory(stand) - before < 30


@pytest.mark.parametrize(
    "line",
    [
        b"\x00\xff\xfe{]",
        b"[" * 100_000,
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":' + b'{"a":' * 50_000,
        b"x" * (HUGE + 1),
        b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"ping"}',
        b'{"jsonrpc":"2.0","id":{},"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":"x"}',
        b'{"jsonrpc":"2.0","id":1,"result":{}}{"jsonrpc"',
        json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "ping"}] * 1000).encode(),
    ],
    ids=range(9),
)
async def test_broken_and_huge_lines_are_refused_and_the_next_is_served(
    stand: Standing, line: bytes
) -> None:
    async with connection(stand) as (stream, lines):
        await stream.send_all(line + b"\n" + call("after", "list_credentials"))
        with trio.fail_after(10):
            answers = [await lines.next()]
            while answers[-1].get("id") != "after":
                answers.append(await lines.next())
        assert "result" in answers[-1]
        assert len(answers) == 2
        assert "error" in answers[0]


ODD: tuple[Any, ...] = (
    None, True, -1, 2**70, 1.5, "", "x" * 100_000, "\u0000\u202e", [], [[]] * 50, {"a": {"b": []}},
    "'; DROP TABLE task; --", "../../etc/passwd", "${HOME}", "\ud800",
)  # fmt: skip


@pytest.mark.parametrize("tool", [tool.name for tool in TOOLS])
async def test_wrong_types_for_every_argument_are_refused_in_words(
    stand: Standing, tool: str
) -> None:
    found = TOOLS.get(tool)
    assert found is not None
    chosen = random.Random(tool)
    names = [*found.input_schema["properties"], "no_such_argument"]
    calls = [{name: odd} for name in names for odd in ODD]
    calls += [{name: chosen.choice(ODD) for name in names} for _ in range(20)]
    async with connection(stand) as (stream, lines), trio.open_nursery() as nursery:

        async def send() -> None:
            for number, arguments in enumerate(calls):
                await stream.send_all(call(number, tool, **arguments))

        nursery.start_soon(send)
        with trio.fail_after(30):
            for _ in calls:
                answer = await lines.next()
                text = json.dumps(answer)
                assert "nternal error" not in text, text[:300]
                assert len(text) < 60_000
                if answer.get("result", {}).get("isError"):
                    assert re.search(r"\[[a-z_]+\]$", answer["result"]["content"][0]["text"])


async def test_clients_that_die_in_the_middle_leave_nothing_behind(stand: Standing) -> None:
    async def dies(number: int) -> None:
        stream = await trio.open_unix_socket(str(stand.place.socket))
        await stream.send_all(request(0, "initialize"))
        if number % 3 == 0:
            await opened(stream)
            await stream.send_all(call(1, "wait_for_scan", task_id="t-x", timeout_seconds=25))
            await stream.send_all(notification("notifications/cancelled", requestId=1))
        elif number % 3 == 1:
            await stream.send_all(call(1, "submit_scan", targets=["192.0.2.1"])[:-20])
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(dies, number)
    await well(stand)
    async with connection(stand) as (stream, lines):
        await stream.send_all(call(1, "list_tasks"))
        answer = await lines.next()
        assert answer["result"]["structuredContent"]["tasks"] == []


async def test_too_many_connections_are_turned_away_and_room_comes_back(stand: Standing) -> None:
    streams = [await trio.open_unix_socket(str(stand.place.socket)) for _ in range(80)]
    with trio.fail_after(10):
        said = [b"".join([part async for part in stream]) for stream in streams[60:]]
    assert all(b"limits.connections: the limit is reached (60)" in text for text in said)
    for stream in streams:
        await stream.aclose()
    with trio.fail_after(10):
        while not await welcome(stand):  # noqa: ASYNC110 - it happens in another process
            await trio.sleep(0.05)
    await well(stand)
    assert "Traceback" not in stand.log
