"""Clients that mean ill, or are broken, over a real port; time is virtual."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

import pytest
import trio
from prometheus_client import CollectorRegistry
from trio.testing import MockClock

from nessus_sched.http.app import App, PageSources
from nessus_sched.http.server import PageConnections, listen, serve
from nessus_sched.telemetry.health import Health
from support.world import seen

HEAD = b"GET /live HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def quiet_clock() -> MockClock:
    """Jumps only when the sockets, which know nothing of it, have been quiet for a while."""
    return MockClock(autojump_threshold=0.1)


async def nothing() -> None:
    pass


@asynccontextmanager
async def served(
    connections: PageConnections | None = None, page: bytes = b""
) -> AsyncIterator[int]:
    """The port of our pages."""

    async def status_page() -> str:
        return page.decode()

    sources = PageSources(
        health=lambda: Health(components={}),
        ready=lambda: True,
        registry=CollectorRegistry(),
        refresh=nothing,
        status_page=status_page,
    )
    pages = partial(serve, App(sources), listen("127.0.0.1:0"), connections=connections)
    async with trio.open_nursery() as nursery:
        url = await nursery.start(pages)
        yield int(url.rpartition(":")[2])
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def connected() -> AsyncIterator[trio.SocketStream]:
    """A connection to our pages."""
    async with served() as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        yield stream


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


@pytest.mark.slow
async def test_a_request_that_drips_in_is_not_waited_for(quiet_clock: MockClock) -> None:
    async with connected() as stream:
        assert await dripped(stream, [HEAD, *[b"X-Slow: 1\r\n"] * 60], pause=2) <= 18


async def test_clients_that_hold_connections_open_keep_nobody_out(quiet_clock: MockClock) -> None:
    places = PageConnections(limit=5)
    async with AsyncExitStack() as open_ones:
        port = await open_ones.enter_async_context(served(places))
        held = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(5)]
        for stream in held:
            open_ones.push_async_callback(stream.aclose)
            await stream.send_all(HEAD)
        await seen(lambda: places.used == 5)
        for _ in range(2):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(HEAD + b"Connection: close\r\n\r\n")
                assert (await answer(stream)).startswith(b"HTTP/1.1 200")
            assert await answer(held[0]) == b""
            assert places.displaced == 1
            await seen(lambda: places.used == 4)
        await held[1].send_all(b"\r\n")
        assert (await held[1].receive_some()).startswith(b"HTTP/1.1 200")


async def test_a_client_that_does_not_read_makes_room(quiet_clock: MockClock) -> None:
    places = PageConnections(limit=1)
    async with (
        served(places, page=b"x" * 50_000_000) as port,
        await trio.open_tcp_stream("127.0.0.1", port) as deaf,
    ):
        await deaf.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await seen(lambda: places.used == 1)
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(HEAD + b"Connection: close\r\n\r\n")
            assert (await answer(stream)).startswith(b"HTTP/1.1 200")
        await seen(lambda: places.used == 0)
    assert places.displaced == 1


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
