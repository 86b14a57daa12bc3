"""Faults, injected from Python or through the control interface.

A fault has a `kind`, patterns for the requests or scans it affects, and a count: the first
`skip` matches pass, the next `times` are affected (None: all of them).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import count

import attrs

from nessus_sched.sim.messages import Answer, Hang, Reset, Response, refusal


class FaultKind(StrEnum):
    # Faults of requests.
    HANG = "hang"
    """No response for `seconds`, or until the client gives up."""
    RESET_BEFORE = "reset_before"
    """The connection breaks before the request takes effect."""
    RESET_AFTER = "reset_after"
    """The request takes effect, but the connection breaks instead of a response."""
    STATUS = "status"
    """An error with `status`, `message` and, if given, Retry-After."""
    SLOW = "slow"
    """The response is `seconds` late, and its chunks are `seconds` apart."""
    TRUNCATED = "truncated"
    """After `after_bytes` of the body the connection breaks, or the response ends normally
    (`clean`)."""
    EMPTY = "empty"
    """200 with an empty body."""
    HTML = "html"
    """200 with a web page, as from a proxy or a login page."""

    # Faults of scans, at launch or export.
    EXPORT_FAILS = "export_fails"
    SCAN_ABORTS = "scan_aborts"
    """After the share `progress` (0..1) of its work."""
    STAYS_PENDING = "stays_pending"
    UNKNOWN_STATUS = "unknown_status"
    """The status is reported as `message` while the scan is in progress."""


_OF_SCANS = frozenset(
    {
        FaultKind.EXPORT_FAILS,
        FaultKind.SCAN_ABORTS,
        FaultKind.STAYS_PENDING,
        FaultKind.UNKNOWN_STATUS,
    }
)
_MESSAGES = {
    401: "Invalid Credentials",
    412: "API is not available",
    429: "Rate limit exceeded",
    500: "An internal error occurred",
}
_PAGE = b"<!doctype html>\n<html><head><title>Sign in</title></head><body>Sign in</body></html>\n"


@attrs.define(kw_only=True)
class Fault:
    """`method` and `path` choose requests, `scan` scans by name; all are shell patterns.

    >>> Fault(kind=FaultKind.STATUS, status=429, retry_after=3, method="GET", path="/scans")
    """

    kind: FaultKind = attrs.field(converter=FaultKind)
    method: str = "*"
    path: str = "*"
    scan: str = "*"
    skip: int = 0
    times: int | None = 1
    status: int = 500
    message: str = ""
    retry_after: int | None = None
    seconds: float | None = None
    after_bytes: int = 100
    clean: bool = False
    progress: float = 0.5
    id: int = 0
    struck: int = attrs.field(default=0, init=False)

    def take(self) -> bool:
        """Counts a match and returns whether it is affected."""
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None and self.struck >= self.times:
            return False
        self.struck += 1
        return True


@attrs.define
class Faults:
    """The active faults, oldest first; the first that applies wins."""

    active: list[Fault] = attrs.field(factory=list)
    _ids: Iterator[int] = attrs.field(factory=lambda: count(1), init=False)

    def inject(self, fault: Fault) -> Fault:
        fault.id = next(self._ids)
        self.active.append(fault)
        return fault

    def clear(self, fault_id: int | None = None) -> None:
        """Removes one fault, or all. Runs that are already affected do not change."""
        keep = [fault for fault in self.active if fault_id is not None and fault.id != fault_id]
        self.active[:] = keep

    def for_request(self, method: str, path: str) -> Fault | None:
        for fault in self.active:
            matches = fnmatchcase(method, fault.method) and fnmatchcase(path, fault.path)
            if fault.kind not in _OF_SCANS and matches and fault.take():
                return fault
        return None

    def for_scan(self, kind: FaultKind, name: str) -> Fault | None:
        for fault in self.active:
            if fault.kind is kind and fnmatchcase(name, fault.scan) and fault.take():
                return fault
        return None


def answer_instead(fault: Fault) -> Answer | None:
    """The response if the fault prevents the request; None if it is to be served."""
    match fault.kind:
        case FaultKind.HANG:
            return Hang(seconds=fault.seconds)
        case FaultKind.RESET_BEFORE:
            return Reset()
        case FaultKind.STATUS:
            message = fault.message or _MESSAGES.get(fault.status, "An error occurred")
            retry = fault.retry_after
            headers = () if retry is None else (("retry-after", str(retry)),)
            return refusal(fault.status, message, headers=headers)
        case FaultKind.HTML:
            return Response(body=_PAGE, content_type="text/html; charset=utf-8")
        case FaultKind.EMPTY:
            return Response(body=b"")
        case _:
            return None


def spoil(fault: Fault, answer: Answer) -> Answer:
    """Applies the fault to the real response."""
    if fault.kind is FaultKind.RESET_AFTER:
        return Reset()
    if not isinstance(answer, Response):
        return answer
    if fault.kind is FaultKind.SLOW:
        seconds = 1.0 if fault.seconds is None else fault.seconds
        return attrs.evolve(answer, delay=seconds, pace=seconds)
    if fault.kind is FaultKind.TRUNCATED and fault.clean:
        return attrs.evolve(answer, body=_head(answer, fault.after_bytes), length=None)
    if fault.kind is FaultKind.TRUNCATED:
        return attrs.evolve(answer, cut_after=fault.after_bytes)
    return answer


def _head(answer: Response, size: int) -> bytes:
    head = b""
    for chunk in answer.chunks():
        head += chunk
        if len(head) >= size:
            break
    return head[:size]
