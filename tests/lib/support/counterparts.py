"""Small HTTP servers on the loopback that stand for the other side of a sink, and messages."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import trio

from nessus_sched.core.delivery.message import Message, MessageKind
from nessus_sched.delivery.kept_scans import KeptScan


@attrs.frozen(kw_only=True)
class Request:
    """Header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}


@attrs.frozen
class Answer:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = attrs.field(factory=dict)


Handle = Callable[[Request], Awaitable[Answer] | Answer]


@asynccontextmanager
async def web_server(handle: Handle, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Yields the port. Closes each connection after an answer."""

    async def connection(plain: trio.SocketStream) -> None:
        stream: trio.abc.Stream = plain
        if context is not None:
            stream = trio.SSLStream(plain, context, server_side=True, https_compatible=True)
        try:
            request = await read_request(stream)
            answer = handle(request)
            if not isinstance(answer, Answer):
                answer = await answer
            head = f"HTTP/1.1 {answer.status} X\r\nContent-Length: {len(answer.body)}\r\n"
            head += "Connection: close\r\n"
            head += "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
            await stream.send_all(head.encode() + b"\r\n" + answer.body)
        except (trio.BrokenResourceError, trio.ClosedResourceError, EOFError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async with raw_server(connection) as port:
        yield port


@asynccontextmanager
async def raw_server(
    connection: Callable[[trio.SocketStream], Awaitable[None]],
) -> AsyncIterator[int]:
    """Yields the port of a server on the loopback."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, connection, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def read_request(stream: trio.abc.Stream) -> Request:
    """Raises EOFError at the end of the connection."""
    reader = _Reader(stream)
    first, *lines = (await reader.until(b"\r\n\r\n")).decode().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.until(b"\r\n"), 16):
            body += await reader.exactly(size)
            await reader.exactly(2)
        await reader.exactly(2)
    else:
        body = await reader.exactly(int(headers.get("content-length", "0")))
    return Request(method=method, target=target, headers=headers, body=body)


@attrs.define
class _Reader:
    stream: trio.abc.Stream
    held: bytearray = attrs.field(factory=bytearray)

    async def until(self, mark: bytes) -> bytes:
        while mark not in self.held:
            await self._more()
        end = self.held.index(mark)
        found = bytes(self.held[:end])
        del self.held[: end + len(mark)]
        return found

    async def exactly(self, count: int) -> bytes:
        while len(self.held) < count:
            await self._more()
        found = bytes(self.held[:count])
        del self.held[:count]
        return found

    async def _more(self) -> None:
        piece = await self.stream.receive_some()
        if not piece:
            raise EOFError
        self.held += piece


class NoScans:
    """No task has results."""

    async def scan(self, task_id: str) -> KeptScan | None:
        return None


def message(
    document: Mapping[str, Any] | None = None,
    *,
    title: str = "2 new findings",
    kind: MessageKind = MessageKind.EVENT,
    task_id: str | None = None,
) -> Message:
    return Message(
        message_id="soc.41",
        route="soc",
        kind=kind,
        at=1_790_000_000.0,
        title=title,
        document={} if document is None else document,
        task_id=task_id,
    )


def full_document(hosts: Sequence[str] = ("192.0.2.7", "web.example.com")) -> dict[str, Any]:
    """One of everything that a message may contain."""
    task = {
        "task_id": "t-1",
        "trace_id": "a" * 32,
        "outcome": "failed",
        "ended": "2026-09-21T13:33:20+00:00",
        "kind": "basic",
        "name": "weekly DMZ",
        "schedule": "weekly",
        "targets": ["192.0.2.0/24"],
        "target_count": 256,
        "scanner_instance": "east",
        "submitted_by": "ops",
        "severity_counts": {"critical": 1, "high": 1},
        "credentialed": "partial",
        "failed_logins": 2,
        "coverage": "250 covered, 6 not reached",
        "not_reached": 6,
        "partial": "the window closed",
        "error": {"code": "window_closed", "message": "the window closed"},
    }
    event = {
        "event": "scanner_down",
        "at": "2026-09-21T13:00:00+00:00",
        "text": "scanner east cannot be used: no answer",
        "scanner_instance": "east",
    }
    group = {
        "change": "new",
        "severity": "critical",
        "plugin_id": 12345,
        "plugin_name": "Example Server < 2.4.1 Remote Code Execution",
        "solution": "Upgrade to 2.4.1.",
        "cisa_kev": True,
        "hosts": len(hosts) + 3,
        "where": list(hosts),
        "first_seen": "2026-09-01T04:00:00+00:00",
    }
    fixed = {**group, "change": "fixed", "severity": "medium", "plugin_id": 7, "cisa_kev": False}
    return {
        "period": {"from": "2026-09-20T05:00:00+00:00", "to": "2026-09-21T05:00:00+00:00"},
        "tasks": [task],
        "tasks_left_out": 4,
        "events": [event],
        "events_left_out": 2,
        "changes": {"new": {"critical": 5}, "fixed": {"medium": 5}},
        "groups": [group, fixed],
        "groups_left_out": 3,
        "baseline": {"hosts": 12, "severity_counts": {"high": 3}},
    }
