"""Recognizes files that are not reports by their first bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

HEAD: Final = 4096
"""Bytes to look at."""
GZIP: Final = b"\x1f\x8b"
_EXPORT: Final = "in Nessus, export the scan in the format 'Nessus'"
_SIGNATURES: Final[Mapping[bytes, str]] = {
    b"PK\x03\x04": "a ZIP archive; unpack it and use the .nessus file inside",
    b"PK\x05\x06": "an empty ZIP archive",
    GZIP: "gzipped twice; decompress it once",
    b"\xfd7zXZ\x00": "compressed with xz; decompress it with 'xz -d'",
    b"BZh": "compressed with bzip2; decompress it with 'bzip2 -d'",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; decompress it with 'zstd -d'",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive; unpack it and use the .nessus file inside",
    b"%PDF-": f"a PDF report; {_EXPORT}",
    b"SQLite format 3\x00": f"an SQLite database; {_EXPORT}",
}
_TAR: Final = (257, b"ustar")
_HTML: Final = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_CSV: Final = re.compile(r'"?[\w ./()-]+"?(?:[,;\t]"?[\w ./()-]*"?){2,}\s*')
_BOMS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def not_a_report(head: bytes) -> str | None:
    """Text to follow "it is", such as `an HTML page; ...`, with what to do instead. None if it
    may be a report, even a damaged one, which only the parser can tell."""
    if not head.strip(b"\x00 \t\r\n"):
        return f"empty; {_EXPORT} again" if not head else "blank"
    for signature, what in _SIGNATURES.items():
        if head.startswith(signature):
            return what
    if head[_TAR[0] :].startswith(_TAR[1]):
        return "a tar archive; unpack it and use the .nessus file inside"
    return _text(head)


def _text(head: bytes) -> str | None:
    for bom in _BOMS:
        head = head.removeprefix(bom)
    text = head.replace(b"\x00", b"").lstrip()
    if _HTML.match(text):
        return f"an HTML page, or a login page saved by mistake; {_EXPORT}"
    if text.startswith((b"{", b"[")):
        return f"JSON; {_EXPORT}"
    first = text.partition(b"\n")[0].decode("utf-8", "replace")
    if _CSV.fullmatch(first):
        return f"CSV, which leaves out most of a report; {_EXPORT}"
    return None
