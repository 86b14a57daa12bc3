"""Why a task waits: a stable code, and words."""

from __future__ import annotations

from enum import StrEnum

import attrs


class WaitCode(StrEnum):
    STARTING = "starting"
    """A slot is free; it is about to start."""
    BEHIND = "behind"
    """Others go before it."""
    PAUSED = "paused"
    """Its submitter paused it before it ran."""
    NO_CONTACT = "no_contact"
    """It runs, and its scanner does not answer."""
    PAUSED_ALL = "paused_all"
    OVERLAP = "overlap"
    """Another task has to finish first, because both have targets in common."""
    WINDOW = "window"
    """Scanning is not allowed now, or not long enough."""
    NETWORK_LIMIT = "network_limit"
    """As many scans as may run in a network of its targets."""
    SCANNER_FULL = "scanner_full"
    SCANNER_HELD = "scanner_held"
    """The scanner asked for a rest, or refused for lack of capacity."""
    SCANNER_DOWN = "scanner_down"
    SCANNER_SUSPENDED = "scanner_suspended"
    """The scanner answers but refuses to scan."""
    REFUSED = "refused"
    """Every scanner that it may run on has refused it."""
    SCANNER_DRAINING = "scanner_draining"
    SCANNER_DISABLED = "scanner_disabled"
    SCANNER_REMOVED = "scanner_removed"
    NO_SCANNER = "no_scanner"
    """The pool has no scanner."""
    UNREACHABLE = "unreachable"
    """No scanner (or not the named one) reaches the targets."""
    LICENSE_LIMIT = "license_limit"
    """The license of the named scanner, or of every one that reaches the targets, has no room
    for that many hosts."""
    NO_SCANNER_USABLE = "no_scanner_usable"
    """Scanners that could run it exist, but none may be used at present."""


@attrs.frozen(kw_only=True)
class WaitReason:
    """`blocker` is the task it waits for, in an overlap."""

    code: WaitCode
    text: str
    blocker: str | None = None

    def __str__(self) -> str:
        return self.text
