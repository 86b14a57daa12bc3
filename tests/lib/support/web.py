"""The daemon's HTTP side, from outside."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

import trio


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


async def health(port: int, status: int) -> dict[str, Any]:
    """The document, once /health answers with `status`."""
    with trio.fail_after(30):
        while True:
            found, body = await trio.to_thread.run_sync(get, port, "/health")
            if found == status:
                document: dict[str, Any] = json.loads(body)
                return document
            await trio.sleep(0.1)
