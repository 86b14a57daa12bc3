"""What a route can be asked to report."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Happening(StrEnum):
    NEW = "new"
    """A finding that the scan before would have shown."""
    RESURFACED = "resurfaced"
    FIXED = "fixed"
    UNVERIFIED = "unverified"
    COMPLETED = "completed"
    FAILED = "failed"
    """A task was canceled, timed out, or ended with a part of its targets."""
    DEAD = "dead"
    NOT_REACHED = "not_reached"
    """A task ended without having reached some of its targets."""
    LOGIN_FAILED = "login_failed"
    FIRING_FAILED = "firing_failed"
    """A schedule's firing failed or was skipped."""
    EXCEPTION_EXPIRING = "exception_expiring"
    SCANNER_DOWN = "scanner_down"
    SCANNER_UP = "scanner_up"
    REPORT_FAILED = "report_failed"
    """The report of a digest could not be written; only that digest says so."""


FINDINGS: Final = (
    Happening.NEW,
    Happening.RESURFACED,
    Happening.FIXED,
    Happening.UNVERIFIED,
)
"""Changes of findings; the same words as `results.ledger.questions.Change`."""
USUAL: Final = tuple(
    each
    for each in Happening
    if each
    not in (
        Happening.UNVERIFIED,
        Happening.COMPLETED,
        Happening.SCANNER_UP,
        Happening.REPORT_FAILED,
    )
)
