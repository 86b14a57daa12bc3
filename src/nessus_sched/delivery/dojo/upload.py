"""A scan's reports as one upload, in pieces: as a form with a file, and several reports as one."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from typing import BinaryIO, Final

import attrs
import trio

from nessus_sched.delivery.kept_scans import Source

PIECE: Final = 2**18
LARGEST_HEAD: Final = 32 * 2**20
"""Bytes before the first host of a report: its policy."""
_TAIL: Final = 2**12
_START: Final = re.compile(rb"<Report(?:\s+[\w:.-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*\s*>")
_END: Final = b"</Report>"


class BadReport(Exception):
    """A report without a beginning or an end."""


@attrs.frozen(kw_only=True)
class Upload:
    """A form with text fields and a file, whose parts are `head`, the reports, and `tail`."""

    boundary: str
    head: bytes
    reports: tuple[Source, ...]
    tail: bytes
    length: int

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Content-Type": f"multipart/form-data; boundary={self.boundary}",
            "Content-Length": str(self.length),
        }

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body; reads in threads."""
        yield self.head
        reading = merged(self.reports)
        try:
            while piece := await trio.to_thread.run_sync(next, reading, b""):
                yield piece
        finally:
            reading.close()
        yield self.tail


async def prepare(
    fields: Sequence[tuple[str, str]], name: str, reports: Sequence[Source], boundary: str
) -> Upload:
    """Reads all reports once, for their length: not every server takes a body of unknown length,
    and damage shows now. Raises `BadReport` and `StoreError`."""
    head = b"".join(_field(boundary, key, value) for key, value in fields)
    head += (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/xml\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    size = await trio.to_thread.run_sync(_size, reports)
    return Upload(
        boundary=boundary,
        head=head,
        reports=tuple(reports),
        tail=tail,
        length=len(head) + size + len(tail),
    )


def _field(boundary: str, name: str, value: str) -> bytes:
    told = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    return told.encode()


def _size(reports: Sequence[Source]) -> int:
    size = 0
    for piece in merged(reports):
        trio.from_thread.check_cancelled()
        size += len(piece)
    return size


def merged(reports: Sequence[Source]) -> Generator[bytes, None, None]:
    """One report with the hosts of all, in the frame of the first; no piece is empty. Blocks.
    Raises `BadReport` and `StoreError`."""
    for number, source in enumerate(reports):
        with source() as stream:
            yield from filter(None, _hosts(stream, whole_head=number == 0))
    yield _END + b"\n</NessusClientData_v2>\n"


def _hosts(stream: BinaryIO, *, whole_head: bool) -> Iterator[bytes]:
    """A report up to the end of its hosts; without `whole_head` from its first host on."""
    held = _head(stream)
    start = _START.search(held)
    if start is None:
        raise BadReport("a report has no beginning")
    if not whole_head:
        held = held[start.end() :]
    while piece := stream.read(PIECE):
        held += piece
        yield held[:-_TAIL]
        held = held[-_TAIL:]
    end = held.rfind(_END)
    if end < 0:
        raise BadReport("a report has no end")
    yield held[:end]


def _head(stream: BinaryIO) -> bytes:
    """A report until after the beginning of its hosts, at least."""
    held = bytearray()
    while _START.search(held) is None and len(held) < LARGEST_HEAD:
        piece = stream.read(PIECE)
        if not piece:
            break
        held += piece
    return bytes(held)
