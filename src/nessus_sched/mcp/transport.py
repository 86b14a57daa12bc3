"""JSON-RPC lines over a Trio stream, for the SDK's server: stdio, Unix socket, tests.

It replaces the SDK's `stdio_server`, which hangs on SIGTERM while stdin is open, silently drops
broken lines, and lets one client queue any number of calls.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict, deque
from functools import partial
from typing import Any, Final

import anyio
import attrs
import trio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import types
from mcp.server import Server
from mcp.shared.message import ServerMessageMetadata, SessionMessage

from nessus_sched.api.weight import MAX_ITEMS, items_in
from nessus_sched.ipc.activity import Activity, Stalled
from nessus_sched.ipc.budget import DECODED, MEMORY, REQUEST, Budget, LimitReached, Ticket
from nessus_sched.ipc.framing import (
    MAX_LINE,
    LineBuffer,
    Lost,
    closing_line,
    error_line,
    id_at_the_ends,
)
from nessus_sched.ipc.peer import Peer

_CHUNK: Final = 65_536
_TICK: Final = 0.01
"""Seconds for which input that has already arrived is still read."""
_FAREWELL: Final = 1.0
"""Seconds for a client to take the last line."""
Inbound = MemoryObjectSendStream[SessionMessage | Exception]
Outbound = MemoryObjectReceiveStream[SessionMessage]


@attrs.frozen(kw_only=True)
class Limits:
    """Limits of one connection.

    Beyond `in_flight` requests or `rate` lines a second (after a burst) reading pauses until
    there is room: nothing is refused or lost. `stall`: seconds for which a client may keep the
    daemon waiting before its first message, in the middle of one, and while taking 64 KiB of
    answers. `max_items`: values in a message.
    """

    max_line: int = MAX_LINE
    max_items: int = MAX_ITEMS
    in_flight: int = 32
    rate: float = 500.0
    burst: int = 1000
    linger: float = 0.5
    """Seconds to wait for open requests after the end of input."""
    stall: float = math.inf


async def serve_stream(
    server: Server[Any],
    stream: trio.abc.Stream,
    peer: Peer,
    limits: Limits | None = None,
    *,
    memory: Budget | None = None,
    activity: Activity | None = None,
) -> None:
    """Serves one client until its input ends, and closes the stream; a request's ticket is
    `ctx.request`.

    Memory for the client's data is taken from `memory`. Raises `Stalled`, and the stream's
    exceptions (`trio.BrokenResourceError`, perhaps in a group) if the client disappears. The
    server's tasks inherit the caller's context variables.
    """
    connection = _Connection(
        stream,
        peer,
        limits or Limits(),
        memory or Budget("limits.connection_memory", MEMORY),
        activity or Activity(),
    )
    to_server, at_server = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    from_server, at_client = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        async with stream, trio.open_nursery() as outer:
            outer.start_soon(connection.write_all, at_client)
            async with trio.open_nursery() as inner:
                inner.start_soon(connection.read_all, to_server)
                await server.run(at_server, from_server, server.create_initialization_options())
                inner.cancel_scope.cancel(reason="the server has ended the connection")
    finally:
        connection.close()


class _Connection:
    def __init__(
        self,
        stream: trio.abc.Stream,
        peer: Peer,
        limits: Limits,
        memory: Budget,
        activity: Activity,
    ) -> None:
        self._stream = stream
        self._peer = peer
        self._limits = limits
        self._memory = memory
        self._activity = activity
        self._lines = LineBuffer(limits.max_line, self._reserve)
        self._reserved = 0
        self._greeted = False
        self._waited = 0.0
        self._writing = trio.Lock()  # Trio's streams refuse concurrent sends
        self._slots = trio.Semaphore(limits.in_flight, max_value=limits.in_flight)
        self._tickets: defaultdict[Any, deque[Ticket]] = defaultdict(deque)

    def close(self) -> None:
        """Returns what was taken from the budget."""
        self._lines.close()
        for tickets in self._tickets.values():
            for ticket in tickets:
                ticket.release()
        self._tickets.clear()

    async def read_all(self, to_server: Inbound) -> None:
        pace = RateLimiter(self._limits)
        async with to_server:
            while chunk := await self._receive():
                for line in self._lines.feed(bytes(chunk)):
                    await pace.wait()
                    await self._take(line, to_server)
                    self._waited = 0.0
            # `printf ... | nessus-sched`: the end of input cancels open requests.
            with trio.move_on_after(self._limits.linger):
                for _ in range(self._limits.in_flight):
                    await self._slots.acquire()

    async def _receive(self) -> bytes | bytearray:
        """The next bytes. Raises `Stalled` if a message that is due does not arrive; the daemon's
        own time does not count."""
        if self._lines.length >= _CHUNK:
            async with self._memory.long_lines:
                pass
        if self._greeted and not self._lines.length:
            return await self._stream.receive_some(_CHUNK)
        patience = max(0.0, self._limits.stall - self._waited)
        began = trio.current_time()
        with trio.move_on_after(patience + _TICK):
            chunk = await self._stream.receive_some(_CHUNK)
            self._waited += trio.current_time() - began
            return chunk
        what = "the rest of a message" if self._greeted else "a first message"
        reason = f"waited {self._limits.stall:g} s for {what} (limits.stall)"
        with trio.move_on_after(_FAREWELL):
            await self._send(closing_line(reason))
        raise Stalled(reason)

    def _reserve(self, length: int) -> None:
        """Takes from the budget what an unfinished line needs."""
        length = max(0, length - _CHUNK)  # the cost of a connection covers this much
        more = length - self._reserved
        if more > 0 and not self._memory.fits(self._peer.uid, more):
            raise Lost(str(self._memory.refusal(self._peer.uid, more)), b"")
        if more > 0:
            self._memory.take(self._peer.uid, more)
        elif more < 0:
            self._memory.release(self._peer.uid, -more)
        self._reserved = length

    async def _take(self, line: bytes | Lost, to_server: Inbound) -> None:
        self._activity.at = trio.current_time()
        if isinstance(line, Lost):
            await self._send(error_line(types.INVALID_REQUEST, line.why, line.request_id))
            return
        async with self._memory.turn:
            message = self._decoded(line)
        if isinstance(message, bytes):
            await self._send(message)
            return
        self._greeted = True
        if isinstance(message, types.JSONRPCRequest):
            await self._request(message, len(line), to_server)
        else:
            await to_server.send(SessionMessage(message))

    def _decoded(self, line: bytes) -> types.JSONRPCMessage | bytes:
        """The message on a line, or the error line to answer with."""
        if items_in(line) <= self._limits.max_items:
            return _parsed(line)
        why = f"The message has more than {self._limits.max_items} values (limits.message_items)"
        return error_line(types.INVALID_REQUEST, why, id_at_the_ends(line))

    async def _request(
        self, message: types.JSONRPCRequest, length: int, to_server: Inbound
    ) -> None:
        await self._slots.acquire()
        ticket = Ticket(peer=self._peer, memory=self._memory)
        try:
            await ticket.charge(REQUEST + DECODED * length)
        except LimitReached as refused:
            self._slots.release()
            await self._send(error_line(types.INTERNAL_ERROR, str(refused), message.id))
            return
        self._activity.busy += 1
        self._tickets[message.id].append(ticket)
        metadata = ServerMessageMetadata(
            request_context=ticket,
            # A canceled request gets no answer; this hook reports its end.
            on_request_unanswered=partial(self._settled, message.id),
        )
        async with self._memory.turn:  # for what the server does without waiting
            await to_server.send(SessionMessage(message, metadata))

    async def write_all(self, from_server: Outbound) -> None:
        async with from_server:
            async for item in from_server:
                message = item.message
                async with self._memory.turn:
                    text = message.model_dump_json(by_alias=True, exclude_unset=True)
                await self._send(text.encode() + b"\n")
                if isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
                    await self._settled(message.id)

    async def _send(self, data: bytes) -> None:
        async with self._writing:
            for begin in range(0, len(data), _CHUNK):
                with trio.move_on_after(self._limits.stall) as scope:
                    await self._stream.send_all(data[begin : begin + _CHUNK])
                if scope.cancelled_caught:
                    raise Stalled(
                        f"waited {self._limits.stall:g} s for answers to be read (limits.stall)"
                    )

    async def _settled(self, request_id: Any) -> None:
        self._activity.at = trio.current_time()
        tickets = self._tickets.get(request_id)
        if not tickets:
            return  # a protocol error that belongs to no request
        self._activity.busy -= 1
        tickets.popleft().release()
        if not tickets:
            del self._tickets[request_id]
        self._slots.release()


class RateLimiter:
    """A token bucket that delays the reader."""

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


def _parsed(line: bytes) -> types.JSONRPCMessage | bytes:
    """The message on a line, or the error line to answer with."""
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
        return error_line(types.PARSE_ERROR, "Not a line of JSON")
    request_id = found.get("id") if isinstance(found, dict) else None
    if isinstance(request_id, bool) or not isinstance(request_id, str | int):
        request_id = None
    return error_line(types.INVALID_REQUEST, "Not a JSON-RPC 2.0 message", request_id)
