"""JSON-RPC lines by hand, for what the official client would never send."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import trio

INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "t", "version": "0"},
}


def request(id_: Any, method: str, **params: Any) -> bytes:
    message = {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}
    return json.dumps(message).encode() + b"\n"


def notification(method: str, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() + b"\n"


def call(id_: Any, tool: str, **arguments: Any) -> bytes:
    return request(id_, "tools/call", name=tool, arguments=arguments)


class LineBuffer:
    """Reads the answers of a connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._rest = b""

    async def next(self) -> Any:
        while b"\n" not in self._rest:
            chunk = await self._stream.receive_some()
            assert chunk, "the server has closed"
            self._rest += chunk
        line, self._rest = self._rest.split(b"\n", 1)
        return json.loads(line)

    def ready(self) -> Iterator[Any]:
        while b"\n" in self._rest:
            line, self._rest = self._rest.split(b"\n", 1)
            yield json.loads(line)


async def opened(stream: trio.abc.Stream) -> LineBuffer:
    lines = LineBuffer(stream)
    await stream.send_all(request(0, "initialize", **INITIALIZE))
    await stream.send_all(notification("notifications/initialized"))
    assert (await lines.next())["id"] == 0
    return lines


async def works(stream: trio.abc.Stream, lines: LineBuffer) -> bool:
    await stream.send_all(call("alive", "echo", text="x"))
    answer = await lines.next()
    return bool(answer["id"] == "alive" and not answer["result"].get("isError"))


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something that sends no event; fails after a while."""
    with trio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - there is no event
            await trio.sleep(0.002)
