"""The one place that speaks HTTP: a request path with bounds on time and size.

Measured facts behind it: a broken keep-alive connection shows up as an error on the next
request and httpx' own retries do not cover it; httpx' read timeout is per read, so that a
slow drip would last for ever; the text of a `ConnectError` is empty.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx
import trio

from nessus_sched import __version__
from nessus_sched.config.schema import TlsSettings
from nessus_sched.core.clock import Now
from nessus_sched.nessus import tls
from nessus_sched.nessus.errors import Failure, chain, clean, system_words, unanswered
from nessus_sched.nessus.messages import Answer, Call, OnRequest, RequestRecord

Transport = httpx.AsyncBaseTransport
Sink = Callable[[bytes], bool]
"""Takes the body of a success piece by piece, instead of the answer's `body`; says whether
it wants more."""

LARGEST_ANSWER: Final = 32 * 2**20
LONGEST_DOWNLOAD: Final = 3600.0
LONGEST_RETRY_AFTER: Final = 3600.0
CONNECT_SECONDS: Final = 10.0
CONNECTIONS: Final = 8
_NEVER_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.LocalProtocolError,
    httpx.UnsupportedProtocol,
)
_BROKEN: Final = (httpx.NetworkError, httpx.RemoteProtocolError, OSError)


class _Unusable(Exception):
    """The answer is too large, or encoded although we did not ask for it."""


class NessusHttp:
    """One scanner's HTTP connections. `transport` replaces the network in tests."""

    def __init__(
        self,
        url: str,
        tls_settings: TlsSettings,
        *,
        timeout: float,
        now: Now,
        transport: Transport | None = None,
        on_request: OnRequest | None = None,
    ) -> None:
        self.hint = ""
        """Added to the error of a change whose answer was lost."""
        self._url = url
        self._tls = tls_settings
        self._timeout = timeout
        self._now = now
        self._transport = transport
        self._on_request = on_request
        self._opened: httpx.AsyncClient | None = None
        self._closed = False

    async def exchange(
        self, call: Call, headers: Mapping[str, str], *, sink: Sink | None = None
    ) -> Answer:
        """Sends the call and returns the answer, whatever its status.

        Raises `Unreachable`, `OutcomeUnknown` or `CertificateMismatch` when there is none.
        A GET whose connection turned out to be stale is repeated once; nothing else is.
        """
        started = trio.current_time()
        result = await self._once(call, headers, sink)
        if isinstance(result, Failure) and result.stale and call.method == "GET":
            result = await self._once(call, headers, sink)
        seconds = trio.current_time() - started
        if isinstance(result, Answer):
            self._record(call, str(result.status), seconds)
            return result
        # Raised outside of any handler: an httpx exception in its context would carry the
        # request, and with it our keys.
        error = unanswered(call, result, hint=self.hint)
        self._record(call, error.kind, seconds)
        raise error

    async def close(self) -> None:
        """Whoever is still waiting for an answer, or asks for one later, gets an error."""
        self._closed = True
        if self._opened is not None:
            await self._opened.aclose()

    async def _once(
        self, call: Call, headers: Mapping[str, str], sink: Sink | None
    ) -> Answer | Failure:
        if self._closed:
            return Failure(reason="we have closed its connections", sent=False)
        client = self._client()
        seconds = self._timeout if sink is None else max(self._timeout, LONGEST_DOWNLOAD)
        answered = False
        with trio.move_on_after(seconds):
            try:
                async with client.stream(
                    call.method, call.path, headers=dict(headers), **_content(call)
                ) as response:
                    answered = True
                    return await self._answer(response, sink)
            except (httpx.RequestError, OSError) as error:
                # An application in this process breaks connections with a plain OSError.
                return self._failure(error, answered=answered)
            except _Unusable as error:
                return Failure(reason=str(error), sent=True)
        return Failure(reason=f"no answer within {seconds:g} s", sent=True)

    async def _answer(self, response: httpx.Response, sink: Sink | None) -> Answer:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise _Unusable("the answer is compressed although we did not ask for it")
        body = bytearray()

        def collect(piece: bytes) -> bool:
            body.extend(piece)
            return len(body) <= LARGEST_ANSWER

        await _pour(response, sink if sink is not None and response.is_success else collect)
        if len(body) > LARGEST_ANSWER:
            raise _Unusable(f"the answer is larger than {LARGEST_ANSWER} bytes")
        return Answer(
            status=response.status_code,
            body=bytes(body),
            retry_after=retry_after(response.headers.get("Retry-After"), self._now()),
        )

    def _failure(self, error: Exception, *, answered: bool) -> Failure:
        certificate = next(
            (e for e in chain(error) if isinstance(e, ssl.SSLCertVerificationError)), None
        )
        if certificate is not None:
            return Failure(reason=tls.explain(certificate, self._url), sent=False, certificate=True)
        sent = not isinstance(error, _NEVER_SENT)
        return Failure(
            reason=_reason(error),
            sent=sent,
            stale=sent and isinstance(error, _BROKEN) and not answered,
        )

    def _client(self) -> httpx.AsyncClient:
        if self._opened is None:
            waits = 0.8 * self._timeout
            self._opened = httpx.AsyncClient(
                base_url=self._url,
                verify=tls.context_for(self._tls) if self._transport is None else False,
                timeout=httpx.Timeout(
                    self._timeout, connect=min(CONNECT_SECONDS, waits), pool=waits
                ),
                limits=httpx.Limits(max_connections=CONNECTIONS, keepalive_expiry=30.0),
                headers={
                    "Accept-Encoding": "identity",
                    "User-Agent": f"nessus-sched/{__version__}",
                },
                transport=self._transport,
                trust_env=False,
            )
        return self._opened

    def _record(self, call: Call, outcome: str, seconds: float) -> None:
        if self._on_request is not None:
            self._on_request(
                RequestRecord(
                    method=call.method, route=call.route, outcome=outcome, seconds=seconds
                )
            )


class PostFailed(Exception):
    """A document was not taken; `transient` says whether trying again makes sense. The
    text names neither the URL, which may hold a token, nor anything that was sent."""

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


async def post_json(url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> None:
    """Sends `body` by POST, with the system's CAs and no proxy, within `seconds`.

    The answer's body is not read and redirects are not followed. Raises `PostFailed` unless
    it is a success.
    """
    failure: str | None = f"no answer within {seconds:g} s"
    status = 0
    context = tls.context_for(TlsSettings())
    with trio.move_on_after(seconds):
        async with httpx.AsyncClient(timeout=seconds, verify=context, trust_env=False) as client:
            sent = {"User-Agent": f"nessus-sched/{__version__}", **headers}
            try:
                async with client.stream("POST", url, content=body, headers=sent) as response:
                    status = response.status_code
                    failure = None
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                failure = _reason(error)
    # Raised outside of any handler: an httpx exception in its context carries the request.
    if failure is not None:
        raise PostFailed(failure, transient=True)
    if not 200 <= status < 300:
        raise PostFailed(
            f"the answer was {status}", transient=status in {408, 429} or status >= 500
        )


async def _pour(response: httpx.Response, sink: Sink) -> None:
    """Ends early by cancelling the read: generators of httpx, nested in each other, that
    are left alone unfinished are not cleaned up in order."""
    with trio.CancelScope() as scope:
        async for piece in response.aiter_raw():
            if not scope.cancel_called and not sink(piece):
                scope.cancel()


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds from now of a Retry-After header (seconds or a date), None without a usable
    one; never more than an hour."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER) if seconds == seconds else None


def _content(call: Call) -> dict[str, Any]:
    content: dict[str, Any] = {"params": dict(call.query)} if call.query else {}
    if call.body is not None:
        content["json"] = dict(call.body)
    if call.upload is not None:
        # The order on the wire is no_enc, then Filedata.
        content["files"] = [
            ("no_enc", (None, b"0")),
            ("Filedata", (call.upload.name, call.upload.content, "application/octet-stream")),
        ]
    return content


def _reason(error: Exception) -> str:
    """In a person's words; the texts of a `LocalProtocolError` quote our own headers."""
    if isinstance(error, httpx.TimeoutException):
        return "it took too long to " + (
            "connect" if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout) else "answer"
        )
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        return "the request cannot be expressed in HTTP"
    words = system_words(error)
    if words is not None:
        return clean(words).lower()
    return "no connection" if isinstance(error, httpx.ConnectError) else "the connection broke off"
