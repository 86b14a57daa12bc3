"""Clients that send a daemon what no client should, as often as it comes up again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from random import Random

import trio

from support.mcp_wire import call, opened, request

MIB = 2**20
HELD = 3.0
"""Seconds for which connections are held that do nothing good."""


async def attack(path: Path, random: Random, counts: Counter[str]) -> None:
    """For ever. `path` is the socket; whatever the daemon does about it is fine, as long as
    it keeps its promises to others."""
    while True:
        await trio.sleep(random.expovariate(0.5))
        strike = random.choice(ATTACKS)
        # It may be dead, be killed meanwhile, or turn us away.
        with suppress(OSError, trio.BrokenResourceError, AssertionError):
            with trio.move_on_after(4 * HELD):
                await strike(path, random)
            counts[f"attack {strike.__name__}"] += 1


async def large_message(path: Path, random: Random) -> None:
    message = random.choice(
        [
            call(1, "search_findings", filters=[{"field": "x"}] * 200_000),
            call(2, "search_findings", fields="[" + "1," * (2 * MIB - 200) + "1]"),
            call(3, "submit_custom_scan", settings={f"n{n}": "1" for n in range(200_000)}),
            call(4, "submit_scan", targets=["192.0.2.1"] * 9_999, description="://" * MIB),
        ]
    )
    async with await trio.open_unix_socket(path) as stream:
        lines = await opened(stream)
        await stream.send_all(message)
        await lines.next()


async def unfinished_lines(path: Path, random: Random) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(random.randint(1, 10)):
            stream = await stack.enter_async_context(await trio.open_unix_socket(path))
            await stream.send_all(b"x" * MIB)
        await trio.sleep(HELD)


async def unread_answers(path: Path, random: Random) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(random.randint(1, 10)):
            stream = await stack.enter_async_context(await trio.open_unix_socket(path))
            await opened(stream)
            with trio.move_on_after(0.5):
                await stream.send_all(b"".join(request(n, "tools/list") for n in range(1, 33)))
        await trio.sleep(HELD)


async def idle_connections(path: Path, random: Random) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(random.randint(10, 60)):
            await stack.enter_async_context(await trio.open_unix_socket(path))
        await trio.sleep(HELD)


async def garbage(path: Path, random: Random) -> None:
    async with await trio.open_unix_socket(path) as stream:
        for _ in range(random.randint(1, 50)):
            await stream.send_all(random.randbytes(random.randrange(1, 2000)) + b"\n")


ATTACKS: Sequence[Callable[[Path, Random], Awaitable[None]]] = (
    large_message,
    unfinished_lines,
    unread_answers,
    idle_connections,
    garbage,
)
