"""A daemon that may have been replaced changes nothing on a scanner."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from nessus_sched.config.scanners import TlsSettings
from nessus_sched.core.leading.lease import SECONDS, Lease
from nessus_sched.nessus import NessusScanner
from nessus_sched.nessus.http import NessusHttp
from nessus_sched.nessus.requests import Call
from support.scripted_nessus import MARKER, NOW, UUID, ScriptedNessus, inline, order, row, settings

MARKS = (MARKER,)


def changes(client: NessusScanner) -> dict[str, Callable[[], Awaitable[object]]]:
    return {
        "POST /scans": lambda: client.create_scan(order()),
        "POST /scans/9/launch": lambda: client.launch(9, MARKS),
        "POST /scans/9/pause": lambda: client.pause(9, MARKS),
        "POST /scans/9/resume": lambda: client.resume(9, MARKS),
        "POST /scans/9/stop": lambda: client.stop(9, MARKS),
        "DELETE /scans/9": lambda: client.delete(9, MARKS),
    }


@pytest.mark.parametrize("request_", list(changes(None)))  # type: ignore[arg-type]
async def test_what_changes_a_scan_waits_for_the_lease(
    request_: str, autojump_clock: MockClock
) -> None:
    nessus, lease = ScriptedNessus(), Lease(trio.current_time, SECONDS)
    nessus.scans(row(9, status="running"))
    for each in (request_, "PUT /scans/9"):
        nessus.on(each, {"scan": {"id": 9}, "scan_uuid": UUID})
    client = NessusScanner(
        settings(), now=lambda: NOW, transport=nessus, run_sync=inline, lease=lease
    )

    def sent() -> int:
        return len(nessus.asked(request_))

    await client.list_scans()  # reading is always allowed
    async with trio.open_nursery() as nursery:
        nursery.start_soon(changes(client)[request_])
        await trio.sleep(1000)
        assert sent() == 0
        lease.confirm(trio.current_time())
    assert sent() == 1
    await changes(client)[request_]()
    assert sent() == 2
    with trio.move_on_after(1000):
        await trio.sleep(SECONDS)
        await changes(client)[request_]()
    assert sent() == 2


@attrs.define
class SlowToConnect(httpx.AsyncBaseTransport):
    """Time passes before the request is on its way."""

    bare: httpx.AsyncBaseTransport
    passes: Callable[[], None]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.passes()
        return await self.bare.handle_async_request(request)

    async def aclose(self) -> None:
        await self.bare.aclose()


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_lease_that_ends_while_the_client_connects_counts(
    method: str, nursery: trio.Nursery
) -> None:
    clock, got = [0.0], bytearray()
    lease = Lease(lambda: clock[0], SECONDS)
    lease.confirm(0.0)
    connected = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        connected.set()
        async for data in stream:
            got.extend(data)
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    listeners = await nursery.start(trio.serve_tcp, serve, 0)
    port = listeners[0].socket.getsockname()[1]
    http = NessusHttp(
        f"http://127.0.0.1:{port}",
        TlsSettings(),
        timeout=30.0,
        now=lambda: NOW,
        wrap=lambda bare: SlowToConnect(bare, lambda: clock.__setitem__(0, SECONDS)),
        lease=lease,
    )
    call = Call(method=method, route="/scans", changes=method == "POST")
    async with trio.open_nursery() as asking:
        asking.start_soon(http.exchange, call, {})
        await connected.wait()
        if call.changes:
            await wait_all_tasks_blocked(0.05)
            assert not got
            lease.confirm(clock[0])
    assert got.startswith(method.encode())
    await http.close()
    nursery.cancel_scope.cancel()
