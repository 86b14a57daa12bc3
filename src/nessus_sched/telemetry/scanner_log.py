"""Logs each change of a scanner's status, once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from structlog.typing import FilteringBoundLogger

from nessus_sched.core.pool.breaker import BreakerState, BreakerStatistics
from nessus_sched.core.scanner import NotReady, ScannerError, ScannerInfo
from nessus_sched.telemetry import events

NOT_CONTACTED: Final = "not contacted yet"
"""The error of a scanner that was never contacted."""


class ScannerLog:
    """Logs changes of one scanner. A repeated error of the same kind, whatever its text (such
    as the percentage while loading), is logged at debug level."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._trouble: str | None = NOT_CONTACTED
        self._breaker = BreakerState.CLOSED

    def unusable(self, error: ScannerError, after: float) -> None:
        """`after` is how long the previous status lasted, in seconds."""
        loading, known = isinstance(error, NotReady), self._trouble == error.kind
        if loading and self._down:
            self._log.info(events.SCANNER_UP, after=after)
        self._trouble = error.kind
        if loading:
            write = self._log.debug if known else self._log.info
            write(events.SCANNER_LOADING, reason=str(error))
        else:
            write = self._log.debug if known else self._log.warning
            write(events.SCANNER_DOWN, reason=str(error), kind=error.kind)

    def usable(self, info: ScannerInfo | None, after: float) -> None:
        """The scanner has become ready; `after` is in seconds."""
        if self._down:
            self._log.info(events.SCANNER_UP, after=after)
        self._trouble = None
        known = {} if info is None else _described(info)
        self._log.info(events.SCANNER_READY, after=after, **known)

    def breaker(self, now: BreakerStatistics) -> None:
        before, self._breaker = self._breaker, now.state
        if now.state is before:
            return
        if now.state is BreakerState.CLOSED:
            self._log.info(events.BREAKER_CLOSED, before=before)
        elif now.state is BreakerState.HALF_OPEN:
            self._log.debug(events.BREAKER_HALF_OPEN, before=before)
        else:
            # Reopening after a failed probe is not news.
            write = self._log.warning if before is BreakerState.CLOSED else self._log.debug
            write(events.BREAKER_OPEN, before=before, reason=now.reason, openings=now.openings)

    @property
    def _down(self) -> bool:
        return self._trouble not in (None, NOT_CONTACTED, NotReady.kind)


def _described(info: ScannerInfo) -> dict[str, object]:
    at = info.plugin_set_at
    return {
        "edition": info.edition,
        "version": info.version,
        "scan_api": info.scan_api,
        "max_scans": info.max_scans,
        "plugin_set": None if at is None else datetime.fromtimestamp(at, UTC).isoformat(),
    }
