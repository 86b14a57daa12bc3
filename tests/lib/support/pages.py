"""The daemon's HTTP pages, asked for over a real port."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable
from typing import Any

import attrs
import trio


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@attrs.frozen
class Page:
    status: int
    body: str
    headers: dict[str, str]


@attrs.frozen
class Pages:
    """The pages at a port of this machine."""

    port: int = attrs.field(factory=free_port)

    @property
    def settings(self) -> dict[str, Any]:
        """The daemon's `http` section."""
        return {"bind": f"127.0.0.1:{self.port}"}

    async def get(self, path: str) -> Page:
        return await trio.to_thread.run_sync(self._get, path)

    async def health(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((await self.get("/health")).body)
        return document

    async def until(
        self, holds: Callable[[dict[str, Any]], bool], *, within: float = 30.0
    ) -> dict[str, Any]:
        """The document of /health, once it is as wanted."""
        seen: dict[str, Any] = {}
        with trio.move_on_after(within):
            while True:
                seen = await self.health()
                if holds(seen):
                    return seen
                await trio.sleep(0.05)
        raise AssertionError(f"/health stayed {seen}")

    def _get(self, path: str) -> Page:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Page(answer.status, answer.read().decode(), headers)
        finally:
            connection.close()
