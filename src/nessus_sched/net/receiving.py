"""Receives an HTTP answer, within limits.

It reads from the transport below httpx's client. So there are no cookies, and only the status of
a redirect is read: the client would parse its Location, which fails in many ways, even without
following it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import attrs
import httpx
import trio

from nessus_sched.core.inflate import Damaged, Inflater, Plain, decoder_for

Sink = Callable[[bytes], bool]
"""Receives the body of a success piece by piece, instead of the answer's `body`; returns
whether it wants more."""

LONGEST_RETRY_AFTER: Final = 3600.0
LARGEST_ERROR: Final = 64 * 2**10
"""Bytes read from the body of an error."""
PIECES_PER_SECOND: Final = 5000
"""A chunk of one byte costs as much as one of 64 KiB, so a body that arrives in more pieces is
read more slowly, which takes a tenth of a core instead of all of it."""
_BREATH: Final = 256
"""Pieces between two checks of the clock."""
_LONGEST_RETRY_AFTER_TEXT: Final = 100
_HTTP_DATE: Final = "%a, %d %b %Y %H:%M:%S GMT"


class BodyTooLarge(Exception):
    """The body is larger than allowed."""


@attrs.define
class PartialResponse:
    """The part of an answer received so far; `status` is 0 before anything arrives."""

    status: int = 0
    retry_after: str | None = None
    body: bytearray = attrs.field(factory=bytearray)

    @property
    def success(self) -> bool:
        return 200 <= self.status < 300


async def receive(
    transport: httpx.AsyncBaseTransport,
    outgoing: httpx.Request,
    incoming: PartialResponse,
    *,
    sink: Sink | None = None,
    largest: int,
) -> None:
    """Sends the request and fills `incoming`. The body of an error is truncated, because its
    status is enough. Raises `BodyTooLarge` for a success of more than `largest` bytes,
    `Damaged`, and whatever the transport raises."""
    response = await transport.handle_async_request(outgoing)
    stream = response.stream
    assert isinstance(stream, httpx.AsyncByteStream)
    incoming.retry_after = response.headers.get("Retry-After")
    incoming.status = response.status_code
    limit = largest if incoming.success else LARGEST_ERROR

    def collect(piece: bytes) -> bool:
        incoming.body.extend(piece)
        return len(incoming.body) <= limit

    try:
        wanted = sink if sink is not None and incoming.success else collect
        decoder = decoder_for(response.headers.get("Content-Encoding", ""))
        await _stream_to(stream, BodyReader(decoder, wanted))
    finally:
        await stream.aclose()
    if len(incoming.body) > limit:
        del incoming.body[limit:]
        if incoming.success:
            raise BodyTooLarge(f"the answer is larger than {limit} bytes")


async def _stream_to(stream: httpx.AsyncByteStream, intake: BodyReader) -> None:
    """Streams the body. Stops early by canceling the read, because abandoned nested generators
    of httpx are not cleaned up in order."""
    with trio.CancelScope() as scope:
        async for raw in stream:
            if not scope.cancel_called and not await intake.take(raw):
                scope.cancel(reason="no more of the answer is wanted")
    intake.finish(early=scope.cancel_called)


class BodyReader:
    """Passes the pieces of a body through the decoder to the sink, at a bounded rate."""

    def __init__(self, decoder: Plain | Inflater, sink: Sink) -> None:
        self._decoder = decoder
        self._sink = sink
        self._problem: Damaged | None = None
        self._pieces = 0
        self._breathed_at = trio.current_time()

    async def take(self, raw: bytes) -> bool:
        """Returns whether more is wanted. Never raises and is never canceled, see `_stream_to`."""
        try:
            for piece in self._decoder.feed(raw):
                if not self._sink(piece) or not await self._continue():
                    return False
        except Damaged as error:
            self._problem = error
        return self._problem is None

    def finish(self, *, early: bool) -> None:
        """Raises `Damaged` if the body is damaged or truncated."""
        if self._problem is not None:
            raise self._problem
        if not early:
            self._decoder.finish()

    async def _continue(self) -> bool:
        """Returns False if canceled."""
        self._pieces += 1
        if self._pieces % _BREATH:
            return True
        with trio.CancelScope(shield=True):
            await trio.sleep_until(self._breathed_at + _BREATH / PIECES_PER_SECOND)
        self._breathed_at = trio.current_time()
        return trio.current_effective_deadline() > self._breathed_at


def retry_after(value: str | None, now: float) -> float | None:
    """The value of a Retry-After header (seconds or a date) in seconds from now, at most an
    hour; None if there is no usable one."""
    if value is None or len(value) > _LONGEST_RETRY_AFTER_TEXT:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = datetime.strptime(value.strip(), _HTTP_DATE).replace(tzinfo=UTC)
        except ValueError:
            return None
        seconds = moment.timestamp() - now
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER) if seconds == seconds else None
