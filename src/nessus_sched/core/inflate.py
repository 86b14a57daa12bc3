"""Decompresses a body in pieces of bounded size."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

_PIECE: Final = 64 * 2**10
_ANY_HEADER: Final = 32 + zlib.MAX_WBITS
_NO_HEADER: Final = -zlib.MAX_WBITS
_COMPRESSED: Final = frozenset({"gzip", "x-gzip", "deflate"})


class Damaged(Exception):
    """The body does not match its Content-Encoding, or that encoding is unknown."""


class Plain:
    """An uncompressed body."""

    def feed(self, raw: bytes) -> Iterator[bytes]:
        yield raw

    def finish(self) -> None:
        """The body has ended."""


class Inflater:
    """gzip and deflate, the latter also without its header, which some servers omit."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_ANY_HEADER)
        self._start = b""
        self._first = True

    def feed(self, raw: bytes) -> Iterator[bytes]:
        """The decompressed pieces of `raw`, each at most 64 KiB. Raises `Damaged`."""
        if self._first:
            # The first two bytes show whether there is a header.
            self._start += raw
            raw = self._start if len(self._start) >= 2 else b""
        while raw and not self._zlib.eof:
            piece = self._inflate(raw)
            raw = self._zlib.unconsumed_tail
            if piece:
                yield piece

    def finish(self) -> None:
        """Raises `Damaged` if the body is truncated."""
        if self._start and not self._zlib.eof:
            raise Damaged("the compressed answer is truncated")

    def _inflate(self, raw: bytes) -> bytes:
        first, self._first = self._first, False
        try:
            return self._zlib.decompress(raw, _PIECE)
        except zlib.error:
            if not first:
                raise Damaged("the compressed answer is damaged") from None
        self._zlib = zlib.decompressobj(_NO_HEADER)
        return self._inflate(raw)


def decoder_for(content_encoding: str) -> Plain | Inflater:
    """Raises `Damaged` for an unknown encoding. We request none, but some proxies and some
    builds of Nessus compress anyway."""
    name = content_encoding.strip().lower()
    if name in _COMPRESSED:
        return Inflater()
    if name in ("", "identity"):
        return Plain()
    raise Damaged("the answer has an unsupported compression")
