"""Records requests to a scanner and its responses, below the client."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import attrs
import httpx
import trio

from nessus_sched import __version__
from nessus_sched.certify.scrub import Scrubber
from nessus_sched.core.inflate import Damaged, decoder_for

Transport = httpx.AsyncBaseTransport
Wrap = Callable[[Transport], Transport]

FORMAT: Final = "nessus-sched recording"
LARGEST: Final = 64 * 2**20
"""Bytes kept of one response, as received and decompressed."""


@attrs.define
class Exchange:
    """`at` (since the start of the recording) and `took` in seconds; `status` 0: no response."""

    method: str
    path: str
    query: dict[str, str]
    at: float
    took: float = 0.0
    sent: bytes = b""
    status: int = 0
    content_type: str = ""
    encoding: str = ""
    body: bytearray = attrs.field(factory=bytearray)
    cut: bool = False
    error: str = ""


class Recorder:
    """`wrap` inserts it between a client and its transport."""

    def __init__(self, wall: float) -> None:
        self._wall = wall
        self._began = trio.current_time()
        self._exchanges: list[Exchange] = []

    def wrap(self, transport: Transport) -> Transport:
        return _Recording(transport, self)

    def begin(self, request: httpx.Request) -> Exchange:
        exchange = Exchange(
            method=request.method,
            path=request.url.path,
            query=dict(request.url.params),
            at=trio.current_time() - self._began,
            sent=request.content if _is_json(request.headers) else b"",
        )
        self._exchanges.append(exchange)
        return exchange

    def end(self, exchange: Exchange) -> None:
        exchange.took = trio.current_time() - self._began - exchange.at

    def document(self, scrubber: Scrubber) -> bytes:
        """The complete recording, scrubbed and compressed; takes a while."""
        editors = [each for each in self._exchanges if each.path.startswith("/editor/")]
        for each in editors:
            scrubber.learn(_content(each))
        rows = [_row(each, scrubber) for each in self._exchanges]
        whole = {
            "format": FORMAT,
            "version": 1,
            "program": __version__,
            "began": round(self._wall),
            "exchanges": rows,
        }
        text = json.dumps(whole, separators=(",", ":"))
        return gzip.compress(text.encode(), mtime=0)


def _row(each: Exchange, scrubber: Scrubber) -> dict[str, Any]:
    own = {"at": round(each.at, 3), "took": round(each.took, 3), "status": each.status}
    row: dict[str, Any] = {
        "method": each.method,
        "path": scrubber.path(each.path),
        "query": {key: scrubber.text(key, value) for key, value in each.query.items()},
        "type": each.content_type.partition(";")[0],
    }
    if each.error:
        row["error"] = each.error
    if each.sent:
        row["sent"] = scrubber.json(each.sent, each.path)
    content = _content(each)
    if content is None:
        row["damaged"] = True
    elif content.lstrip().startswith(b"<?xml"):
        row["report"] = scrubber.report(content)
    elif content.lstrip()[:1] in {b"{", b"["}:
        row["json"] = scrubber.json(content, each.path)
    elif content:
        row["bytes"] = len(content)
    return {**own, **scrubber.last_look(row)}


def _content(each: Exchange) -> bytes | None:
    """The body, or None if it was damaged or too large."""
    if each.cut:
        return None
    try:
        decoder, content = decoder_for(each.encoding), bytearray()
        for piece in decoder.feed(bytes(each.body)):
            content += piece
            if len(content) > LARGEST:
                return None
        if each.body:
            decoder.finish()
    except Damaged:
        return None
    return bytes(content)


def _is_json(headers: httpx.Headers) -> bool:
    return str(headers.get("content-type", "")).startswith("application/json")


class _Recording(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, recorder: Recorder) -> None:
        self._inner = inner
        self._recorder = recorder

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        exchange = self._recorder.begin(request)
        try:
            response = await self._inner.handle_async_request(request)
        except (httpx.TransportError, OSError) as error:
            exchange.error = type(error).__name__
            self._recorder.end(exchange)
            raise
        exchange.status = response.status_code
        exchange.content_type = response.headers.get("content-type", "")
        exchange.encoding = response.headers.get("content-encoding", "")
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_Tee(response.stream, exchange, self._recorder),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Tee(httpx.AsyncByteStream):
    def __init__(
        self, inner: httpx.AsyncByteStream, exchange: Exchange, recorder: Recorder
    ) -> None:
        self._inner = inner
        self._exchange = exchange
        self._recorder = recorder

    async def __aiter__(self) -> AsyncIterator[bytes]:
        exchange = self._exchange
        try:
            async for piece in self._inner:
                exchange.cut = exchange.cut or len(exchange.body) + len(piece) > LARGEST
                if not exchange.cut:
                    exchange.body.extend(piece)
                yield piece
        except (httpx.TransportError, OSError) as error:
            exchange.error, exchange.cut = type(error).__name__, True
            raise

    async def aclose(self) -> None:
        await self._inner.aclose()
        self._recorder.end(self._exchange)
