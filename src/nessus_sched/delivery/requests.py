"""HTTP for sinks: one request at a time, with limits on time and size, and without redirects,
cookies and proxies."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import httpx
import trio

from nessus_sched import __version__
from nessus_sched.config.scanners import TlsSettings
from nessus_sched.core.clock import Now
from nessus_sched.core.inflate import Damaged
from nessus_sched.core.scanner import CertificateMismatch
from nessus_sched.delivery.sinks.port import Failure, SinkFailed
from nessus_sched.net import receiving, tls
from nessus_sched.net.failures import chain, describe_error
from nessus_sched.net.receiving import PartialResponse

CONNECT_SECONDS: Final = 10.0
LARGEST_ANSWER: Final = 2**20
"""Bytes of an answer that is read."""
_REFUSED: Final = frozenset({400, 413, 414, 422, 431})
_TEMPORARY: Final = frozenset({408, 421, 425, 429})
_UNKNOWN_HOST: Final = frozenset(
    {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
)
_MEANINGS: Final[Mapping[int, str]] = {
    400: "the server does not understand it",
    401: "the server does not accept our login",
    403: "we have no permission",
    404: "the server does not know the address",
    407: "a proxy wants a login",
    410: "the address is no longer in use",
    413: "it is too large for the server",
    422: "the server does not accept its content",
    429: "the server asks us to slow down",
    503: "the server is unavailable",
}


@attrs.frozen(kw_only=True)
class Reply:
    """`body` is empty unless it was asked for. `retry_after` is in seconds."""

    status: int
    body: bytes = b""
    retry_after: float | None = None

    @property
    def success(self) -> bool:
        return 200 <= self.status < 300


class _Pieces(httpx.AsyncByteStream):
    """A body. Unlike httpx's own, it leaves no generator behind if it is not read to its end."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces


@attrs.frozen(kw_only=True)
class Client:
    """Sends requests on the connections of one `connected`."""

    transport: httpx.AsyncBaseTransport
    wall: Now

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | AsyncGenerator[bytes, None] = b"",
        seconds: float,
        read: bool = False,
    ) -> Reply:
        """The answer, whatever its status, within `seconds`; its body if `read`. Raises
        `SinkFailed` if there is none. A body in pieces needs a Content-Length among `headers`."""
        if isinstance(body, bytes):
            return await self._send(method, url, headers, seconds, read=read, content=body)
        async with aclosing(body):
            stream = _Pieces(body)
            return await self._send(method, url, headers, seconds, read=read, stream=stream)

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        seconds: float,
        *,
        read: bool,
        **content: Any,
    ) -> Reply:
        failed = SinkFailed(f"no answer within {seconds:g} s", Failure.TRY_AGAIN)
        with trio.move_on_after(seconds):
            try:
                request = httpx.Request(
                    method,
                    url,
                    headers={
                        "Host": httpx.URL(url).netloc.decode(),
                        "User-Agent": f"nessus-sched/{__version__}",
                        "Accept-Encoding": "identity",
                        **headers,
                    },
                    extensions={"timeout": _timeouts(seconds)},
                    **content,
                )
                return await self._answer(request, read=read)
            except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
                failed = _no_answer(error, url)
            except (Damaged, receiving.BodyTooLarge) as error:
                failed = SinkFailed(str(error), Failure.TRY_AGAIN)
        # Raised outside of the handler: an httpx exception in its context carries the request.
        raise failed

    async def _answer(self, request: httpx.Request, *, read: bool) -> Reply:
        if read:
            incoming = PartialResponse()
            await receiving.receive(self.transport, request, incoming, largest=LARGEST_ANSWER)
            status, body, later = incoming.status, bytes(incoming.body), incoming.retry_after
        else:
            response = await self.transport.handle_async_request(request)
            await response.aclose()
            status, body, later = response.status_code, b"", response.headers.get("Retry-After")
        return Reply(
            status=status, body=body, retry_after=receiving.retry_after(later, self.wall())
        )


@asynccontextmanager
async def connected(settings: TlsSettings, wall: Now) -> AsyncIterator[Client]:
    """Connections of their own, closed at the end. Raises `SinkFailed` if the CA file cannot be
    used."""
    try:
        context = tls.context_for(settings)
    except CertificateMismatch as error:
        raise SinkFailed(str(error), Failure.HOLD) from None
    async with httpx.AsyncHTTPTransport(verify=context, trust_env=False) as transport:
        yield Client(transport=transport, wall=wall)


def failure_of(reply: Reply, detail: str = "") -> SinkFailed:
    """The error for an answer with an error status."""
    meaning = detail or _MEANINGS.get(reply.status, "")
    if 300 <= reply.status < 400:
        meaning = "the server redirects elsewhere: use the final address"
    text = f"HTTP status {reply.status}" + (f": {meaning}" if meaning else "")
    return SinkFailed(text, kind_of(reply.status), retry_after=reply.retry_after)


def kind_of(status: int) -> Failure:
    if status in _TEMPORARY or status >= 500:
        return Failure.TRY_AGAIN
    return Failure.REFUSED if status in _REFUSED else Failure.HOLD


def no_connection(error: BaseException, server: str) -> SinkFailed | None:
    """The error for a failed connection, if somebody has to do something about it. `server` is
    what to call it, without secrets."""
    for each in chain(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return SinkFailed(tls.explain(each, server), Failure.HOLD)
        if isinstance(each, socket.gaierror) and each.errno in _UNKNOWN_HOST:
            return SinkFailed("the server's name is unknown", Failure.HOLD)
    return None


def _no_answer(error: Exception, url: str) -> SinkFailed:
    known = no_connection(error, _server(url))
    if known is not None:
        return known
    unsendable = isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol)
    wrong = unsendable or isinstance(error, httpx.InvalidURL | ValueError)
    return SinkFailed(describe_error(error), Failure.HOLD if wrong else Failure.TRY_AGAIN)


def _server(url: str) -> str:
    """Scheme, host and port: the rest may hold a token."""
    address = urlsplit(url)
    return f"{address.scheme}://{address.netloc.rpartition('@')[2]}"


def _timeouts(seconds: float) -> dict[str, float | None]:
    return httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)).as_dict()
