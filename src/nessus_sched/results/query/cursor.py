"""Page cursors: opaque texts that the next request passes back."""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Final

import attrs

from nessus_sched.results.query.model import BadQuery, Query

DAMAGED: Final = "cursor: damaged; pass the next_cursor of the previous page unchanged"
OTHER_QUESTION: Final = (
    "cursor: of another question; keep task, filters, match and sort as they were, "
    "or begin again without a cursor"
)
_CHECK_BYTES: Final = 4
_FORM: Final = struct.Struct(">QIq6I")
"""Query, scan, row, and the counts for severities 4 to 0 and unknown."""
_CHECKS: Final = struct.Struct(">11I")
"""Follows if there are checks: their counts by severity and by result."""


@attrs.frozen(kw_only=True)
class Cursor:
    """The last finding of a page: row `after` of the stored scan `scan`. `counts` has the
    number of matching findings by severity, and `checks` those of compliance checks among
    them, so that each page need not count again.
    `question` is the `fingerprint` of the query."""

    question: str
    scan: int
    after: int
    counts: tuple[int, ...]
    checks: tuple[int, ...] = ()


def fingerprint(query: Query, *context: object) -> str:
    """A fingerprint that differs for queries whose cursors must not be mixed. Fields and page
    size may change between pages; conditions, order and `context` may not."""
    asked = repr((query.conditions, query.match, query.sort, query.group_by, context))
    return blake2b(asked.encode(), digest_size=6).hexdigest()


def encode_cursor(cursor: Cursor) -> str:
    body = _FORM.pack(int(cursor.question, 16), cursor.scan, cursor.after, *cursor.counts)
    return sealed(body + (_CHECKS.pack(*cursor.checks) if any(cursor.checks) else b""))


def decode_cursor(text: str, question: str) -> Cursor:
    """Raises `BadQuery` for a damaged cursor or one from another query."""
    body = unsealed(text)
    own, more = body[: _FORM.size], body[_FORM.size :]
    if len(own) != _FORM.size or len(more) not in (0, _CHECKS.size):
        raise BadQuery(DAMAGED)
    asked, scan, after, *counts = _FORM.unpack(own)
    checks = _CHECKS.unpack(more) if more else (0,) * (_CHECKS.size // 4)
    if asked != int(question, 16):
        raise BadQuery(OTHER_QUESTION)
    return Cursor(
        question=question, scan=scan, after=after, counts=tuple(counts), checks=tuple(checks)
    )


def sealed(body: bytes) -> str:
    """As text, with a checksum that detects cursors that a model copied wrongly. It is no
    protection against forgery, which is not needed: a cursor names a row and grants no rights."""
    return urlsafe_b64encode(_check(body) + body).decode().rstrip("=")


def unsealed(text: str) -> bytes:
    """What `sealed` made a text of. Raises `BadQuery` if it is damaged."""
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except ValueError:
        raw = b""
    check, body = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
    if not body or check != _check(body):
        raise BadQuery(DAMAGED)
    return body


def _check(body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECK_BYTES).digest()
