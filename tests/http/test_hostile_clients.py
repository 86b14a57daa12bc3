"""Clients that mean ill, or are broken, over a real port; time is virtual."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from prometheus_client import CollectorRegistry
from trio.testing import MockClock

from nessus_sched.http.app import App, Sources
from nessus_sched.http.server import listen, serve
from nessus_sched.telemetry.health import Health

HEAD = b"GET /live HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def quiet_clock() -> MockClock:
    """Jumps only when the sockets, which know nothing of it, have been quiet for a while."""
    return MockClock(autojump_threshold=0.1)


async def nothing() -> None:
    pass


@asynccontextmanager
async def connected() -> AsyncIterator[trio.SocketStream]:
    """A connection to our pages."""
    sources = Sources(
        health=lambda: Health(components={}),
        ready=lambda: True,
        registry=CollectorRegistry(),
        refresh=nothing,
    )
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve, App(sources), listen("127.0.0.1:0"))
        async with await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2])) as stream:
            yield stream
        nursery.cancel_scope.cancel()


async def dripped(stream: trio.SocketStream, pieces: Iterable[bytes], pause: float) -> int:
    """How many pieces could be sent, with so many seconds between them."""
    count = 0
    with suppress(trio.BrokenResourceError):
        for piece in pieces:
            await stream.send_all(piece)
            count += 1
            await trio.sleep(pause)
    return count


async def answer(stream: trio.SocketStream) -> bytes:
    """All that comes until the other side hangs up."""
    got = b""
    with suppress(trio.BrokenResourceError):
        async for piece in stream:
            got += piece
    return got


@pytest.mark.parametrize("beginning", [b"G", HEAD])
async def test_half_a_request_is_not_waited_for(beginning: bytes, quiet_clock: MockClock) -> None:
    async with connected() as stream:
        asked = trio.current_time()
        await stream.send_all(beginning)
        assert await answer(stream) == b""
        assert trio.current_time() - asked <= 31


async def test_a_request_that_drips_in_is_not_waited_for(quiet_clock: MockClock) -> None:
    async with connected() as stream:
        assert await dripped(stream, [HEAD, *[b"X-Slow: 1\r\n"] * 60], pause=2) <= 18


async def test_endless_headers_are_refused(quiet_clock: MockClock) -> None:
    async with connected() as stream:
        await stream.send_all(HEAD + b"X-Big: " + b"a" * 80_000)
        assert (await answer(stream)).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(("method", "code"), [(b"POST", b"405"), (b"GET", b"200")])
async def test_a_body_is_not_read(method: bytes, code: bytes, quiet_clock: MockClock) -> None:
    head = method + b" /live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"
    async with connected() as stream:
        assert await dripped(stream, [head, *[b"a" * 65536] * 1000], pause=0) < 1000
        assert (await answer(stream)).startswith(b"HTTP/1.1 " + code)


UPGRADE = (
    b"GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
AMBIGUOUS = HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"


@pytest.mark.parametrize(("asked", "code"), [(UPGRADE, b"403"), (AMBIGUOUS, b"400")])
async def test_what_we_do_not_speak_is_refused(
    asked: bytes, code: bytes, quiet_clock: MockClock
) -> None:
    async with connected() as stream:
        await stream.send_all(asked)
        said = await answer(stream)
        assert said.startswith(b"HTTP/1.1 " + code)
        assert said.count(b"HTTP/1.1 ") == 1
