"""Cleans the bytes of a report for an XML parser: UTF-8 without characters that XML forbids.

Scanners copy answers from hosts into reports, so control characters and bytes in other
encodings do occur. Each is replaced with U+FFFD and counted, without guessing.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Final

_TAB, _LINE_FEED, _RETURN = 9, 10, 13
_CONTROLS: Final = bytes(set(range(32)) - {_TAB, _LINE_FEED, _RETURN})
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_UNDECODABLE: Final = re.compile("[\ud800-\udfff]")
_MARKED: Final = re.compile("\ufffd")
_NONCHARACTER: Final = re.compile(b"\xef\xbf[\xbe\xbf]")
_REFERENCE: Final = re.compile(rb"&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,10}));")
_LONGEST_REFERENCE: Final = 14
_MARK: Final = "\ufffd"
_MARK_BYTES: Final = _MARK.encode()

_DECLARED: Final = re.compile(
    rb"""^(?:\xef\xbb\xbf)?<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']"""
)
_KNOWN: Final = {
    "utf8": "utf-8",
    "usascii": "utf-8",
    "ascii": "utf-8",
    "iso88591": "latin-1",
    "latin1": "latin-1",
    "windows1252": "cp1252",
    "cp1252": "cp1252",
}
_MARKS: Final = (
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\x00?\x00", "utf-16-le"),
    (b"\x00<\x00?", "utf-16-be"),
)


def detect_encoding(head: bytes) -> tuple[str, str | None]:
    """The codec for a document, from its first bytes; and the declared encoding if it is
    unknown, in which case the document is read as UTF-8."""
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return codec, None
    found = _DECLARED.match(head)
    if found is None:
        return "utf-8", None
    declared = found[1].decode("ascii")
    codec_name = _KNOWN.get(re.sub("[^a-z0-9]", "", declared.lower()))
    if codec_name is None:
        return "utf-8", declared
    return codec_name, None


class Cleaner:
    """Cleans a document chunk by chunk. `note` is called for each chunk with replacements, with
    the offset of the first one in the result of `feed`."""

    def __init__(self, encoding: str, note: Callable[[str, int, int], None]) -> None:
        # Undecodable bytes become lone surrogates, which valid text cannot contain. UTF-16
        # codecs cannot do that, so with them the document's own U+FFFD count as replaced.
        self._escapes = "16" not in encoding
        errors = "surrogateescape" if self._escapes else "replace"
        self._decoder = codecs.getincrementaldecoder(encoding)(errors=errors)
        self._note = note
        self._tail = b""

    def feed(self, chunk: bytes, *, final: bool = False) -> bytes:
        """The next bytes for the parser: UTF-8 without forbidden characters. The end of a chunk
        may be held back until the next one."""
        text = self._decoder.decode(chunk, final)
        if not self._escapes:
            text = self._mark(text, "encoding", _MARKED)
        try:
            data = text.encode()
        except UnicodeEncodeError:
            text = self._mark(text, "encoding", _UNDECODABLE)
            data = text.encode()
        if len(data.translate(None, _CONTROLS)) != len(data) or _NONCHARACTER.search(data):
            data = self._mark(text, "control", _FORBIDDEN).encode()
        return self._check_references(self._tail + data, final=final)

    def _mark(self, text: str, kind: str, pattern: re.Pattern[str]) -> str:
        """`text` with each match replaced by U+FFFD and noted."""
        first = pattern.search(text)
        if first is None:
            return text
        marked, count = pattern.subn(_MARK, text)
        self._note(kind, count, self._offset(text, first.start()))
        return marked

    def _offset(self, text: str, index: int) -> int:
        return len(self._tail) + len(text[:index].encode())

    def _check_references(self, data: bytes, *, final: bool) -> bytes:
        """Replaces `&#0;` and the like, and holds back a reference split by the chunk's end."""
        self._tail = b""
        if not final:
            start = data.rfind(b"&", -_LONGEST_REFERENCE)
            if start >= 0 and data.find(b";", start) < 0:
                data, self._tail = data[:start], data[start:]
        if b"&#" not in data:
            return data
        places: list[int] = []

        def allowed(found: re.Match[bytes]) -> bytes:
            code = int(found[1], 16) if found[1] else int(found[2])
            if _is_character(code):
                return found[0]
            places.append(found.start())
            return _MARK_BYTES

        cleaned = _REFERENCE.sub(allowed, data)
        if places:
            self._note("control", len(places), places[0])
        return cleaned


def _is_character(code: int) -> bool:
    """XML 1.0, section 2.2."""
    if code < 32:
        return code in (_TAB, _LINE_FEED, _RETURN)
    return code < 0xD800 or 0xE000 <= code < 0xFFFE or 0x10000 <= code <= 0x10FFFF
