"""One request and its answer on the wire, within bounds.

Requests go straight to the transport below httpx' client. So there are no cookies, and of a
redirect nothing is read but its status: the client would parse its Location, and fail in
many ways, even without following it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import httpx
import trio

from nessus_sched import __version__
from nessus_sched.nessus.inflate import Damaged, Inflater, Plain, decoder_for
from nessus_sched.nessus.requests import Call

Transport = httpx.AsyncBaseTransport
Wrap = Callable[[Transport], Transport]
Sink = Callable[[bytes], bool]
"""Takes the body of a success piece by piece, instead of the answer's `body`; says whether
it wants more."""

LONGEST_RETRY_AFTER: Final = 3600.0
LARGEST_ERROR: Final = 64 * 2**10
"""Bytes that are read of an answer that is no success."""
PIECES_PER_SECOND: Final = 5000
"""A chunk of one byte costs as much as one of 64 KiB. A body that comes in more pieces than
this is read more slowly, which takes a tenth of a core, not all of one."""
_BREATH: Final = 256
"""Pieces between two looks at the clock."""
_LONGEST_RETRY_AFTER_TEXT: Final = 100
_HTTP_DATE: Final = "%a, %d %b %Y %H:%M:%S GMT"


class Inexpressible(Exception):
    """The request cannot be put into HTTP."""


class TooMuch(Exception):
    """The body is larger than allowed."""


@attrs.define
class Incoming:
    """What has come of an answer so far; `status` 0 before anything has."""

    status: int = 0
    retry_after: str | None = None
    body: bytearray = attrs.field(factory=bytearray)

    @property
    def success(self) -> bool:
        return 200 <= self.status < 300


def request(
    base: str, call: Call, headers: Mapping[str, str], timeout: httpx.Timeout
) -> httpx.Request:
    """Raises `Inexpressible`."""
    try:
        return httpx.Request(
            call.method,
            httpx.URL(base.rstrip("/") + call.path, params=dict(call.query) or None),
            headers={
                "Accept": "*/*",
                "Accept-Encoding": "identity",
                "User-Agent": f"nessus-sched/{__version__}",
                **({} if call.body is None else {"Content-Type": "application/json"}),
                **headers,
            },
            extensions={"timeout": timeout.as_dict()},
            **_content(call),
        )
    except (httpx.InvalidURL, ValueError, RecursionError):
        problem = "it cannot be expressed in HTTP"
    raise Inexpressible(problem)


async def receive(
    transport: Transport,
    outgoing: httpx.Request,
    incoming: Incoming,
    *,
    sink: Sink | None = None,
    largest: int,
) -> None:
    """Sends the request and fills `incoming`. The body of an error is cut,
    since its status says enough. Raises `TooMuch` for a success of more than `largest`
    bytes, `Damaged`, and what the transport raises."""
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
        await _pour(stream, Intake(decoder, wanted))
    finally:
        await stream.aclose()
    if len(incoming.body) > limit:
        del incoming.body[limit:]
        if incoming.success:
            raise TooMuch(f"the answer is larger than {limit} bytes")


async def _pour(stream: httpx.AsyncByteStream, intake: Intake) -> None:
    """Ends early by canceling the read: generators of httpx, nested in each other, that
    are left alone unfinished are not cleaned up in order."""
    with trio.CancelScope() as scope:
        async for raw in stream:
            if not scope.cancel_called and not await intake.take(raw):
                scope.cancel(reason="no more of the answer is wanted")
    intake.finish(early=scope.cancel_called)


class Intake:
    """Where the pieces of a body go: through the decoder into the sink, at a bounded pace."""

    def __init__(self, decoder: Plain | Inflater, sink: Sink) -> None:
        self._decoder = decoder
        self._sink = sink
        self._problem: Damaged | None = None
        self._pieces = 0
        self._breathed_at = trio.current_time()

    async def take(self, raw: bytes) -> bool:
        """Whether more is wanted. Neither raises nor is canceled, see `_pour`."""
        try:
            for piece in self._decoder.feed(raw):
                if not self._sink(piece) or not await self._go_on():
                    return False
        except Damaged as error:
            self._problem = error
        return self._problem is None

    def finish(self, *, early: bool) -> None:
        """Raises `Damaged` when the body was, or ended in the middle."""
        if self._problem is not None:
            raise self._problem
        if not early:
            self._decoder.finish()

    async def _go_on(self) -> bool:
        """False when we have been canceled."""
        self._pieces += 1
        if self._pieces % _BREATH:
            return True
        with trio.CancelScope(shield=True):
            await trio.sleep_until(self._breathed_at + _BREATH / PIECES_PER_SECOND)
        self._breathed_at = trio.current_time()
        return trio.current_effective_deadline() > self._breathed_at


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds from now of a Retry-After header (seconds or a date), None without a usable
    one; never more than an hour."""
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


def _content(call: Call) -> dict[str, Any]:
    if call.body is not None:
        # In ASCII, so that no text can fail to be encoded.
        return {"content": json.dumps(dict(call.body), allow_nan=False).encode()}
    if call.upload is not None:
        # The order on the wire is no_enc, then Filedata.
        return {
            "files": [
                ("no_enc", (None, b"0")),
                ("Filedata", (call.upload.name, call.upload.content, "application/octet-stream")),
            ]
        }
    return {}
