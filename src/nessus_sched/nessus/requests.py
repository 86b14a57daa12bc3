"""Calls, answers, and records of requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import attrs

from nessus_sched.core.secret import Secret

MAX_INLINE: Final = 256 * 2**10
"""Bytes of an answer that is parsed in the event loop, which takes a few milliseconds."""
MAX_ANSWER: Final = 32 * 2**20
"""Maximum bytes of long answers: lists of scans, details, templates."""


@attrs.frozen(kw_only=True)
class Upload:
    """A file for `POST /file/upload`; the scanner may choose another name."""

    suggested_name: str
    content: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Call:
    """One request, without authentication.

    `route` is the path with placeholders for `ids`; it labels metrics.
    `changes`: the request changes scans, so a lost answer leaves the outcome unknown.
    `gated`: licenses without `scan_api` refuse it unless it looks like one of the web UI.
    `largest`: maximum bytes of a success; above `MAX_INLINE`, read it with `NessusSession.ask`.
    `secrets`: parts of the body that error texts must not repeat.
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
    largest: int = MAX_INLINE
    secrets: tuple[Secret, ...] = ()

    @property
    def path(self) -> str:
        quoted = {name: quote(str(value), safe="") for name, value in self.ids.items()}
        return self.route.format(**quoted)


@attrs.frozen(kw_only=True)
class Answer:
    """A scanner's complete answer; `retry_after` in seconds from now."""

    status: int
    body: bytes = attrs.field(default=b"", repr=False)
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


@attrs.frozen(kw_only=True)
class RequestRecord:
    """One finished request, for metrics: `outcome` is the HTTP status as a string, or the
    `kind` of the error if there was no answer."""

    method: str
    route: str
    outcome: str
    seconds: float


OnRequest = Callable[[RequestRecord], None]
