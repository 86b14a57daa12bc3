"""Where a page ended, as an opaque text that the next request hands back."""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Final

import attrs

from nessus_sched.results.query.model import BadQuery, Query

_CHECK_BYTES: Final = 4
_FORM: Final = struct.Struct(">QIq6I")
"""Question, scan, row and the counts of the severities 4 to 0 and unknown."""


@attrs.frozen(kw_only=True)
class Cursor:
    """The last finding of a page: row `after` of the stored scan `scan`. `counts` is the
    number of matching findings by severity, so that it is counted once and not on every
    page. `question` is the `fingerprint` of what was asked."""

    question: str
    scan: int
    after: int
    counts: tuple[int, ...]


def fingerprint(query: Query, *context: object) -> str:
    """Tells questions apart whose cursors must not be mixed. Fields and page size may
    change from page to page; conditions, order and `context` may not."""
    asked = repr((query.conditions, query.match, query.sort, query.group_by, context))
    return blake2b(asked.encode(), digest_size=6).hexdigest()


def encode_cursor(cursor: Cursor) -> str:
    body = _FORM.pack(int(cursor.question, 16), cursor.scan, cursor.after, *cursor.counts)
    return urlsafe_b64encode(_check(body) + body).decode().rstrip("=")


def decode_cursor(text: str, question: str) -> Cursor:
    """Raises `BadQuery` for a damaged cursor and for one of another question."""
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except ValueError:
        raw = b""
    numbers = _numbers(raw)
    if numbers is None:
        raise BadQuery("cursor: damaged; pass the next_cursor of the page before, unchanged")
    asked, scan, after, *counts = numbers
    if asked != int(question, 16):
        raise BadQuery(
            "cursor: of another question; keep task, filters, match and sort as they were, "
            "or begin again without a cursor"
        )
    return Cursor(question=question, scan=scan, after=after, counts=tuple(counts))


def _numbers(raw: bytes) -> tuple[int, ...] | None:
    # The check is there for cursors that a model copied wrongly, not against forgery: a
    # cursor names a row and gives no right to anything.
    check, body = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
    if len(body) != _FORM.size or check != _check(body):
        return None
    return _FORM.unpack(body)


def _check(body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECK_BYTES).digest()
