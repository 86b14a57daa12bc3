"""JSON-RPC lines over a Trio stream, for the SDK's server: stdio, Unix socket, tests.

Ours because the SDK's `stdio_server` hangs on SIGTERM while stdin is open, drops broken
lines in silence, and lets one client queue any number of calls.
"""

from __future__ import annotations

import json
from typing import Any, Final

import anyio
import attrs
import trio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import types
from mcp.server import Server
from mcp.shared.message import ServerMessageMetadata, SessionMessage

from nessus_sched.mcp.lines import MAX_LINE, Lines
from nessus_sched.mcp.peer import Peer

_CHUNK: Final = 65_536
Inbound = MemoryObjectSendStream[SessionMessage | Exception]
Outbound = MemoryObjectReceiveStream[SessionMessage]


@attrs.frozen(kw_only=True)
class Limits:
    """What one connection may cost. Beyond `in_flight` requests or `rate` lines a second
    (after a burst) we read no further until there is room: nothing is refused or lost."""

    max_line: int = MAX_LINE
    in_flight: int = 32
    rate: float = 500.0
    burst: int = 1000
    linger: float = 0.5
    """Seconds for which outstanding answers are awaited after the end of input."""


async def serve_stream(
    server: Server[Any], stream: trio.abc.Stream, peer: Peer, limits: Limits | None = None
) -> None:
    """Serves one client until its input ends, and closes the stream; the peer of a request
    is `ctx.request`.

    Raises what the stream raises (`trio.BrokenResourceError`, perhaps in a group) when the
    client disappears. Tasks of the server inherit the caller's context variables.
    """
    connection = _Connection(stream, peer, limits or Limits())
    to_server, at_server = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    from_server, at_client = anyio.create_memory_object_stream[SessionMessage](16)
    async with stream, trio.open_nursery() as outer:
        outer.start_soon(connection.write_all, at_client)
        async with trio.open_nursery() as inner:
            inner.start_soon(connection.read_all, to_server)
            await server.run(at_server, from_server, server.create_initialization_options())
            inner.cancel_scope.cancel(reason="the server has ended the connection")


class _Connection:
    def __init__(self, stream: trio.abc.Stream, peer: Peer, limits: Limits) -> None:
        self._stream = stream
        self._peer = peer
        self._limits = limits
        self._writing = trio.Lock()  # Trio's streams refuse concurrent sends
        self._slots = trio.Semaphore(limits.in_flight, max_value=limits.in_flight)

    async def read_all(self, to_server: Inbound) -> None:
        lines, pace = Lines(self._limits.max_line), _Pace(self._limits)
        async with to_server:
            while chunk := await self._stream.receive_some(_CHUNK):
                for line in lines.feed(bytes(chunk)):
                    await pace.wait()
                    await self._take(line, to_server)
            # `printf ... | nessus-sched`: the end of input cancels what is in flight.
            with trio.move_on_after(self._limits.linger):
                for _ in range(self._limits.in_flight):
                    await self._slots.acquire()

    async def _take(self, line: bytes | None, to_server: Inbound) -> None:
        message = _parsed(line)
        if isinstance(message, bytes):
            await self._send(message)
        elif isinstance(message, types.JSONRPCRequest):
            await self._slots.acquire()
            await to_server.send(SessionMessage(message, self._metadata()))
        else:
            await to_server.send(SessionMessage(message))

    async def write_all(self, from_server: Outbound) -> None:
        async with from_server:
            async for item in from_server:
                message = item.message
                text = message.model_dump_json(by_alias=True, exclude_unset=True)
                await self._send(text.encode() + b"\n")
                if isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
                    await self._settled()

    async def _send(self, data: bytes) -> None:
        async with self._writing:
            await self._stream.send_all(data)

    def _metadata(self) -> ServerMessageMetadata:
        # A canceled request gets no answer; the hook tells us that it is over.
        return ServerMessageMetadata(
            request_context=self._peer, on_request_unanswered=self._settled
        )

    async def _settled(self) -> None:
        self._slots.release()


class _Pace:
    """A token bucket that makes the reader wait."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._tokens = float(limits.burst)
        self._at = trio.current_time()

    async def wait(self) -> None:
        now = trio.current_time()
        refilled = self._tokens + (now - self._at) * self._limits.rate
        self._tokens, self._at = min(refilled, self._limits.burst) - 1, now
        if self._tokens < 0:
            await trio.sleep(-self._tokens / self._limits.rate)


def _parsed(line: bytes | None) -> types.JSONRPCMessage | bytes:
    """The message on a line, or the error line to answer with."""
    if line is None:
        return _error_line(types.INVALID_REQUEST, "The line is too long")
    try:
        message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        return _rejected(line)
    notification = isinstance(message, types.JSONRPCNotification)
    if notification and b'"id"' in line and "id" in json.loads(line):
        return _rejected(line)  # an id of a wrong type: its sender waits for an answer
    return message


def _rejected(line: bytes) -> bytes:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return _error_line(types.PARSE_ERROR, "Not a line of JSON")
    request_id = found.get("id") if isinstance(found, dict) else None
    if isinstance(request_id, bool) or not isinstance(request_id, str | int):
        request_id = None
    return _error_line(types.INVALID_REQUEST, "Not a JSON-RPC 2.0 message", request_id)


def refusal(message: str) -> bytes:
    """What a client reads that is not let in at all."""
    return _error_line(types.INTERNAL_ERROR, message)


def _error_line(code: int, message: str, request_id: str | int | None = None) -> bytes:
    error = {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}
    return json.dumps(error).encode() + b"\n"
