# ruff: noqa: ASYNC109 - the time-outs are those of the interface
"""A scanner that answers with bytes, below the HTTP library: whatever a peer can send."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpcore
import httpx

Pieces = Sequence[bytes]
Answerer = Callable[[str, str], Pieces]
"""From method and path to the bytes of the answer, as they arrive; then the connection ends."""


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, answer: Answerer) -> None:
        self._answer = answer
        self._sent = b""
        self._pieces: list[bytes] | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._pieces is None:
            method, target = self._sent.split(b"\r\n", 1)[0].decode("ascii").split(" ")[:2]
            self._pieces = [*self._answer(method, target.partition("?")[0])][::-1]
        if not self._pieces:
            return b""
        piece = self._pieces.pop()
        if len(piece) > max_bytes:
            self._pieces.append(piece[max_bytes:])
        return piece[:max_bytes]

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._pieces is not None:
            self._sent, self._pieces = b"", None  # another request on the same connection
        self._sent += buffer

    async def aclose(self) -> None:
        self._pieces = []

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return self

    def get_extra_info(self, info: str) -> Any:
        return None


class _Network(httpcore.AsyncNetworkBackend):
    def __init__(self, answer: Answerer) -> None:
        self._answer = answer

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(self._answer)


_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def raw_transport(answer: Answerer) -> httpx.AsyncHTTPTransport:
    """The real HTTP client on a network that is a function."""
    transport = httpx.AsyncHTTPTransport(verify=_CONTEXT, trust_env=False)
    transport._pool = httpcore.AsyncConnectionPool(
        ssl_context=_CONTEXT, network_backend=_Network(answer), keepalive_expiry=30.0
    )
    return transport


def plain_answer(body: bytes, status: int = 200, *headers: tuple[str, str]) -> Pieces:
    """A whole answer with its length."""
    lines = [f"HTTP/1.1 {status} OK", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ["\r\n".join(lines).encode() + b"\r\n\r\n" + body]
