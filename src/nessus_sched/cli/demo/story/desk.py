"""The desk of the person in the story: calls tools and operator actions over MCP."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import trio
import trio.testing
from mcp.server import Server

from nessus_sched import __version__
from nessus_sched.ipc.peer import Peer
from nessus_sched.mcp.transport import serve_stream

_PROTOCOL: Final = "2025-11-25"
_CHUNK: Final = 65_536


class CallRefused(Exception):
    """A call was answered with an error; the message is its text."""


class Desk:
    """One connection to the daemon; one call at a time."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._number = 0
        self._rest = b""

    async def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Calls a tool, as a model does. Raises `CallRefused`."""
        return await self._called("tools/call", tool, arguments)

    async def operate(self, action: str, /, **arguments: Any) -> dict[str, Any]:
        """Calls an action of the command line. Raises `CallRefused`."""
        return await self._called("operator/call", action, arguments)

    async def greet(self) -> None:
        client = {"name": "nessus-sched demo", "version": __version__}
        await self._request(
            "initialize", protocolVersion=_PROTOCOL, capabilities={}, clientInfo=client
        )
        await self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def _called(self, method: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        result = await self._request(method, name=name, arguments=arguments)
        if result.get("isError"):
            raise CallRefused(" ".join(part.get("text", "") for part in result["content"]))
        answer: dict[str, Any] = result["structuredContent"]
        return answer

    async def _request(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        await self._send({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
        while True:
            message = json.loads(await self._line())
            if message.get("id") == self._number:
                break
        if "error" in message:
            raise CallRefused(str(message["error"]["message"]))
        result: dict[str, Any] = message["result"]
        return result

    async def _send(self, message: dict[str, Any]) -> None:
        await self._stream.send_all(json.dumps(message).encode() + b"\n")

    async def _line(self) -> bytes:
        while b"\n" not in self._rest:
            chunk = await self._stream.receive_some(_CHUNK)
            if not chunk:
                raise CallRefused("the daemon has closed the connection")
            self._rest += chunk
        line, self._rest = self._rest.split(b"\n", 1)
        return line


@asynccontextmanager
async def desk_at(server: Server[Any]) -> AsyncIterator[Desk]:
    """A connection in memory, on behalf of the user who runs this."""
    ours, theirs = trio.testing.memory_stream_pair()
    peer = Peer(connection="demo", uid=os.getuid(), gid=os.getgid())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_stream, server, theirs, peer)
        desk = Desk(ours)
        await desk.greet()
        yield desk
        nursery.cancel_scope.cancel(reason="the story is over")
