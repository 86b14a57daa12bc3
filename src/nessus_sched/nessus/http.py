"""The only place that speaks HTTP: one request at a time, with limits on time and size.

Measured facts behind it: a broken keep-alive connection causes an error on the next request,
which httpx's own retries do not cover; httpx's read timeout is per read, so a slow drip would
never time out; the text of a `ConnectError` is empty.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

import httpx
import trio

from nessus_sched.config.scanners import TlsSettings
from nessus_sched.core.clock import Now
from nessus_sched.core.inflate import Damaged
from nessus_sched.core.leading.lease import Lease
from nessus_sched.core.masking import Mask
from nessus_sched.nessus import wire
from nessus_sched.nessus.errors import Failure, no_answer_error
from nessus_sched.nessus.requests import Answer, Call, OnRequest, RequestRecord
from nessus_sched.nessus.wire import Ready, Transport, Wrap
from nessus_sched.net import receiving, tls
from nessus_sched.net.failures import UNSENDABLE, chain, describe_error
from nessus_sched.net.receiving import PartialResponse, Sink

LONGEST_DOWNLOAD: Final = 3600.0
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


def _unwrapped(transport: Transport) -> Transport:
    return transport


class NessusHttp:
    """One scanner's HTTP connections. `transport` replaces the network in tests; `mask` removes
    secrets from the scanner's error messages. Requests that change scans wait for `lease`."""

    def __init__(
        self,
        url: str,
        tls_settings: TlsSettings,
        *,
        timeout: float,
        now: Now,
        transport: Transport | None = None,
        on_request: OnRequest | None = None,
        mask: Mask = str,
        wrap: Wrap = _unwrapped,
        lease: Lease | None = None,
    ) -> None:
        self.hint = ""
        """Appended to the error for a change whose answer was lost."""
        self._url = url
        self._tls = tls_settings
        self._timeout = timeout
        self._now = now
        self._transport = transport
        self._on_request = on_request
        self._mask = mask
        self._wrap = wrap
        self._lease = lease or Lease.forever()
        self._opened: Transport | None = None
        self._closed = False

    async def exchange(
        self, call: Call, headers: Mapping[str, str], *, sink: Sink | None = None
    ) -> Answer:
        """Sends the call and returns the answer, whatever its status.

        Without an answer it raises `Unreachable`, `OutcomeUnknown`, `CertificateMismatch` or
        `Refused` (for a request that cannot be sent at all), and nothing else. Only a GET on a
        stale connection is retried, once.
        """
        before_sending = self._lease.wait if call.changes else wire.at_once
        await before_sending()
        started = trio.current_time()
        result = await self._attempt(call, headers, sink, before_sending)
        if isinstance(result, Failure) and result.stale and call.method == "GET":
            result = await self._attempt(call, headers, sink, before_sending)
        seconds = trio.current_time() - started
        if isinstance(result, Answer):
            self._record(call, str(result.status), seconds)
            return result
        # Raised outside any handler, because an httpx exception in its context would hold the
        # request, and with it our keys.
        error = no_answer_error(call, result, hint=self.hint)
        self._record(call, error.kind, seconds)
        raise error

    async def close(self) -> None:
        """Closes the connections; pending and later calls raise an error."""
        self._closed = True
        if self._opened is not None:
            await self._opened.aclose()

    async def _attempt(
        self, call: Call, headers: Mapping[str, str], sink: Sink | None, before_sending: Ready
    ) -> Answer | Failure:
        if self._closed:
            return Failure(reason="its connections were closed", sent=False)
        transport = self._open()
        seconds = self._timeout if sink is None else max(self._timeout, LONGEST_DOWNLOAD)
        incoming = PartialResponse()
        failure = Failure(reason=f"no answer within {seconds:g} s", sent=True)
        with trio.move_on_after(seconds):
            try:
                # To connect may have taken long.
                request = wire.request(
                    self._url, call, headers, self._timeouts(), before_sending=before_sending
                )
                await receiving.receive(
                    transport, request, incoming, sink=sink, largest=call.largest
                )
                return self._answer(incoming)
            except (httpx.HTTPError, OSError) as error:
                # In-process applications break connections with a plain OSError.
                failure = self._failure(error, answered=incoming.status != 0)
            except (Damaged, receiving.BodyTooLarge) as error:
                failure = Failure(reason=str(error), sent=True)
            except wire.UnsendableRequest:
                failure = Failure(reason=UNSENDABLE, sent=False, impossible=True)
        # For an error the status is enough, even if the body is damaged.
        return self._answer(incoming) if incoming.status >= 300 else failure

    def _answer(self, incoming: PartialResponse) -> Answer:
        body = bytes(incoming.body)
        if incoming.status >= 300:
            body = self._mask(body.decode("utf-8", "replace")).encode()
        return Answer(
            status=incoming.status,
            body=body,
            retry_after=receiving.retry_after(incoming.retry_after, self._now()),
        )

    def _failure(self, error: Exception, *, answered: bool) -> Failure:
        certificate = next(
            (e for e in chain(error) if isinstance(e, ssl.SSLCertVerificationError)), None
        )
        if certificate is not None:
            return Failure(reason=tls.explain(certificate, self._url), sent=False, certificate=True)
        sent = not isinstance(error, _NEVER_SENT)
        return Failure(
            reason=describe_error(error),
            sent=sent,
            stale=sent and isinstance(error, _BROKEN) and not answered,
        )

    def _open(self) -> Transport:
        if self._opened is None:
            network = self._transport or httpx.AsyncHTTPTransport(
                verify=tls.context_for(self._tls),
                limits=httpx.Limits(max_connections=CONNECTIONS, keepalive_expiry=30.0),
                trust_env=False,
            )
            self._opened = self._wrap(network)
        return self._opened

    def _timeouts(self) -> httpx.Timeout:
        waits = 0.8 * self._timeout
        return httpx.Timeout(self._timeout, connect=min(CONNECT_SECONDS, waits), pool=waits)

    def _record(self, call: Call, outcome: str, seconds: float) -> None:
        if self._on_request is not None:
            self._on_request(
                RequestRecord(
                    method=call.method, route=call.route, outcome=outcome, seconds=seconds
                )
            )
