"""What goes to a scanner and what comes back: calls, answers, and the record of a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import attrs

from nessus_sched.core.secret import Secret

SHORT: Final = 256 * 2**10
"""Bytes of an answer that is parsed at once, in some milliseconds."""
LONG: Final = 32 * 2**20
"""Bytes of the longest answers: lists of scans, details, templates."""


@attrs.frozen(kw_only=True)
class Upload:
    """A file for `POST /file/upload`; `name` is a wish, the scanner may choose another."""

    name: str
    content: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Call:
    """One request, without authentication.

    `route` is the path with placeholders for `ids`, and what metrics are labeled with.
    `changes`: the request alters scans, so that a lost answer leaves the outcome unknown.
    `gated`: licenses without `scan_api` refuse it unless it looks like the web UI's own.
    `largest`: bytes that a success may have; over `SHORT` it is to be read by `Link.ask`.
    `secrets` are what the body contains and an error text must not repeat.
    """

    method: str
    route: str
    ids: Mapping[str, int | str] = attrs.field(factory=dict)
    query: Mapping[str, int | str] = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    upload: Upload | None = None
    changes: bool = False
    gated: bool = False
    anonymous: bool = False
    largest: int = SHORT
    secrets: tuple[Secret, ...] = ()

    @property
    def path(self) -> str:
        quoted = {name: quote(str(value), safe="") for name, value in self.ids.items()}
        return self.route.format(**quoted)


@attrs.frozen(kw_only=True)
class Answer:
    """A scanner's answer, whole and bounded; `retry_after` in seconds from now."""

    status: int
    body: bytes = attrs.field(default=b"", repr=False)
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


@attrs.frozen(kw_only=True)
class RequestRecord:
    """One finished request, for metrics: `outcome` is the HTTP status as a string, or the
    `kind` of the error that stood in for an answer."""

    method: str
    route: str
    outcome: str
    seconds: float


OnRequest = Callable[[RequestRecord], None]
