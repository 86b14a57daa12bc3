"""Simulated Nessus instances for tests: driven directly, through httpx, or served."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import trio

from nessus_sched.sim import RunningSim, SimOptions, SimulatedNessus, respond, serve_sim
from nessus_sched.sim.messages import Answer, Hang, Request, Response

USUAL = {
    "ping_the_remote_host": "yes",
    "syn_scanner": "yes",
    "snmp_scanner": "yes",
    "ssh_netstat_scanner": "yes",
    "wmi_netstat_scanner": "yes",
    "only_portscan_if_enum_failed": "yes",
}
"""Settings without which a scan pings nobody and scans no ports."""
EPOCH = 1_760_000_000.0
BASIC = "731a8e52-3ea6-a291-ec0a-d2ff0619c19d7bd788d6be818b65"
DISCOVERY = "bbd4f805-3966-d464-b2d1-0079eb89d69708c3a05ec2812bcf"
COMPLIANCE = "40345bfc-48be-37bc-9bce-526bdce37582e8fee83bcefdc746"


@attrs.define
class HandClock:
    """A clock that the test moves."""

    now: float = EPOCH

    def __call__(self) -> float:
        return self.now

    def pass_time(self, seconds: float) -> None:
        self.now += seconds


def trio_time() -> float:
    """Epoch seconds that follow Trio's clock, and so virtual time."""
    return EPOCH + trio.current_time()


@attrs.frozen
class Reply:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@attrs.define
class Caller:
    """Calls a simulator without any transport; by default with its API keys."""

    nessus: SimulatedNessus
    headers: dict[str, str] = attrs.field(factory=dict)

    @classmethod
    def with_keys(cls, nessus: SimulatedNessus) -> Caller:
        accounts = nessus.accounts
        keys = f"accessKey={accounts.access_key}; secretKey={accounts.secret_key}"
        return cls(nessus, {"X-ApiKeys": keys})

    def answer(self, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        content = body if isinstance(body, bytes) else b""
        if body is not None and not isinstance(body, bytes):
            content = json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request.build(
            method, target, headers=[*self.headers.items(), *named.items()], body=content
        )
        return respond(self.nessus, request)

    def __call__(self, method: str, target: str, body: Any = None, **headers: str) -> Reply:
        answer = self.answer(method, target, body, **headers)
        assert isinstance(answer, Response), answer
        return Reply(answer.status, dict(answer.all_headers()), b"".join(answer.chunks()))

    def get(self, target: str) -> Any:
        """The JSON of a GET that must succeed."""
        reply = self("GET", target)
        assert reply.status == 200, reply
        return reply.json

    def create(self, name: str = "scan", targets: str = "192.0.2.1", **more: Any) -> int:
        """The id of a new scan; `more` are settings, `body` further parts of the body."""
        body = {"uuid": more.pop("uuid", BASIC), **more.pop("body", {})}
        settings = {"name": name, "enabled": False, "text_targets": targets, **more}
        reply = self("POST", "/scans", {**body, "settings": settings})
        assert reply.status == 200, reply
        return int(reply.json["scan"]["id"])

    def launch(self, scan_id: int) -> str:
        reply = self("POST", f"/scans/{scan_id}/launch", {})
        assert reply.status == 200, reply
        return str(reply.json["scan_uuid"])

    def status(self, scan_id: int) -> str:
        return str(self.get(f"/scans/{scan_id}")["info"]["status"])


def hand_driven(**options: Any) -> tuple[Caller, HandClock]:
    """A simulator whose time the test moves, and a caller with its keys."""
    clock = HandClock()
    return Caller.with_keys(SimulatedNessus(SimOptions(**options), now=clock)), clock


class SimTransport(httpx.AsyncBaseTransport):
    """Lets an httpx client talk to a simulator in the process, in virtual time if the test
    runs in it; faults appear as the errors that httpx raises for the real thing."""

    def __init__(self, nessus: SimulatedNessus) -> None:
        self.nessus = nessus

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.nessus.now() < self.nessus.refusing_until:
            raise httpx.ConnectError("connection refused", request=request)
        answer = respond(self.nessus, await _as_sim_request(request))
        if isinstance(answer, Response):
            await trio.sleep(answer.delay)
            headers = [
                (name, value) for name, value in answer.all_headers() if name != "content-length"
            ]
            return httpx.Response(answer.status, headers=headers, content=_body(answer))
        if isinstance(answer, Hang):
            await self._hang(answer, request)
        raise httpx.ReadError("connection reset", request=request)

    async def _hang(self, answer: Hang, request: httpx.Request) -> None:
        patience = request.extensions.get("timeout", {}).get("read")
        longest = float("inf") if patience is None else float(patience)
        hang = float("inf") if answer.seconds is None else answer.seconds
        await trio.sleep(min(longest, hang))
        if longest <= hang:
            raise httpx.ReadTimeout("", request=request)


async def _as_sim_request(request: httpx.Request) -> Request:
    return Request.build(
        request.method,
        request.url.raw_path.decode("ascii"),
        headers=request.headers.items(),
        body=await request.aread(),
    )


async def _body(answer: Response) -> AsyncIterator[bytes]:
    left = answer.cut_after
    for chunk in answer.chunks():
        await trio.sleep(answer.pace)
        yield chunk if left is None else chunk[:left]
        left = None if left is None else left - len(chunk)
        if left is not None and left <= 0:
            break
    if answer.cut_after is not None:
        raise httpx.RemoteProtocolError("peer closed connection without sending complete body")


@asynccontextmanager
async def serving(options: SimOptions | None = None) -> AsyncIterator[RunningSim]:
    """A simulator behind HTTPS for the length of the block."""
    async with trio.open_nursery() as nursery:
        sim: RunningSim = await nursery.start(serve_sim, options or SimOptions())
        yield sim
        nursery.cancel_scope.cancel()


async def in_thread(sim: RunningSim, work: Callable[[RunningSim], Any]) -> Any:
    """Run a client that blocks, such as pyTenable, against the simulator."""
    return await trio.to_thread.run_sync(work, sim, abandon_on_cancel=True)


async def eventually(check: Callable[[], Awaitable[bool]], *, within: float = 5.0) -> None:
    """Wait until something in another task or process has come true."""
    with trio.fail_after(within):
        while True:
            if await check():
                return
            await trio.sleep(0.02)
