"""JSON-RPC framing: splits chunks of bytes into lines, and makes error lines. Standard library
only: the relay uses it, too."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

MAX_LINE = 8 * 1024 * 1024
TOO_LONG = "The line is too long"
KEPT = 512
"""Bytes kept from each end of a dropped line, because its id may be there."""

_BOM = b"\xef\xbb\xbf"
_VALUE = rb'\s*:\s*(-?[0-9]{1,18}|"[ !#-\[\]-~]{1,200}")\s*'
_FIRST = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"' + _VALUE + rb"[,}]")
_LAST = re.compile(rb',\s*"id"' + _VALUE + rb'(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$')


class Lost(Exception):
    """A line that was dropped: `why`, and its message's id if it could be found."""

    def __init__(self, why: str, ends: bytes) -> None:
        super().__init__(why)
        self.why = why
        self.request_id = id_at_the_ends(ends)


def id_at_the_ends(line: bytes) -> int | str | None:
    """The id of a message without decoding it: SDKs write it first or last."""
    found = _FIRST.match(line[:KEPT]) or _LAST.search(line[-KEPT:])
    if found is None:
        return None
    text = found[1].decode()
    return text[1:-1] if text.startswith('"') else int(text)


def _always(_length: int) -> None:
    pass


class LineBuffer:
    """Assembles lines within limits.

    Input that does not end in `\\n` is not a line: its sender died while writing it.
    `reserve(n)` is called before the unfinished line grows to `n` bytes, and with 0 when it is
    complete; if it raises `Lost`, the line is lost.
    """

    def __init__(self, max_line: int = MAX_LINE, reserve: Callable[[int], None] = _always) -> None:
        self._max_line = max_line
        self._reserve = reserve
        self._rest = bytearray()
        self._lost = ""
        self._first = True
        self.length = 0
        """Bytes of the unfinished line so far, including dropped ones."""

    def feed(self, chunk: bytes) -> Iterator[bytes | Lost]:
        """The lines that `chunk` completes, without line ends and empty ones, and the lost ones.
        Exhaust it before the next chunk."""
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            self._take(part)
            line, lost = bytes(self._rest), self._lost
            self._rest.clear()
            self._lost, self.length = "", 0
            if self._first:
                line, self._first = line.removeprefix(_BOM), False
            if lost:
                yield Lost(lost, line)
            elif line.strip():
                yield line
            del line
            self._reserve(0)
        self._take(rest)

    def close(self) -> None:
        """No more input follows."""
        self._rest.clear()
        self._reserve(0)

    def _take(self, part: bytes) -> None:
        length = len(self._rest) + len(part)
        self.length += len(part)
        if not self._lost:
            try:
                if length > self._max_line:
                    raise Lost(TOO_LONG, b"")
                self._reserve(length)
            except Lost as lost:
                self._lost = lost.why
        self._rest += part
        if self._lost and len(self._rest) > 2 * KEPT:
            del self._rest[KEPT:-KEPT]
            self._reserve(0)


INTERNAL_ERROR = -32603
"""JSON-RPC 2.0, section 5.1."""


def error_line(code: int, message: str, request_id: object = None, *, data: object = None) -> bytes:
    """A JSON-RPC error response as one line."""
    error: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "error": error}).encode() + b"\n"


def closing_line(reason: str, *, standby: bool = False) -> bytes:
    """The last line to a client before its connection is closed, with the reason; the relay
    recognizes it by `data.closing`. `standby`: nothing was read, because this daemon does not
    lead."""
    data = {"closing": True, **({"standby": True} if standby else {})}
    return error_line(INTERNAL_ERROR, reason, data=data)
