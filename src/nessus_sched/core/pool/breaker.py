"""A circuit breaker: a scanner in trouble is left alone, and probed ever more rarely."""

from __future__ import annotations

from enum import StrEnum

import attrs


class BreakerState(StrEnum):
    CLOSED = "closed"
    """Used as usual."""
    OPEN = "open"
    """Left alone until `probe_at`."""
    HALF_OPEN = "half_open"
    """One probe is under way; its outcome decides."""


@attrs.frozen(kw_only=True)
class BreakerSettings:
    """`threshold` transient failures in a row open it, first for `probe` seconds, then
    twice as long after each failed probe, up to `probe_max`."""

    threshold: int = 5
    probe: float = 30.0
    probe_max: float = 900.0


@attrs.frozen(kw_only=True)
class BreakerStatistics:
    """`failures` counts those in a row, `openings` those since the start; `probe_at` is
    when the next probe is due (epoch seconds), None unless open."""

    state: BreakerState
    failures: int
    openings: int
    opened_at: float | None
    probe_at: float | None
    reason: str


class Breaker:
    """Invariants: `_opened_at` is None exactly when closed; `_probe_at` is set exactly
    when open; at most one probe is under way, and only while half open."""

    def __init__(self, settings: BreakerSettings) -> None:
        self.settings = settings
        self._state = BreakerState.CLOSED
        self._failures = 0
        self._openings = 0
        self._wait = settings.probe
        self._opened_at: float | None = None
        self._probe_at: float | None = None
        self._reason = ""

    @property
    def state(self) -> BreakerState:
        return self._state

    @property
    def closed(self) -> bool:
        return self._state is BreakerState.CLOSED

    @property
    def probe_at(self) -> float | None:
        return self._probe_at

    def failure(self, now: float, reason: str) -> None:
        """Of a request, or of the probe. While open, late failures of requests that were
        under way when it opened change nothing."""
        self._failures += 1
        if self._state is BreakerState.HALF_OPEN or self._failures >= self.settings.threshold:
            self.trip(now, reason)

    def trip(self, now: float, reason: str) -> None:
        """Opens it at once, for a failure that would only repeat itself."""
        if self._state is BreakerState.OPEN:
            return
        if self.closed:
            self._wait = self.settings.probe
            self._openings += 1
            self._opened_at = now
        else:
            self._wait = min(2 * self._wait, self.settings.probe_max)
        self._state, self._reason = BreakerState.OPEN, reason
        self._probe_at = now + self._wait

    def success(self) -> None:
        """The scanner answered: closes, from whatever state."""
        self._state = BreakerState.CLOSED
        self._failures = 0
        self._opened_at = self._probe_at = None
        self._reason = ""

    def begin_probe(self, now: float) -> bool:
        """True for the one caller who may probe now, and has to report `success`,
        `failure` or, when it was canceled, `abandon_probe`."""
        if self._probe_at is None or now < self._probe_at:
            return False
        self._state, self._probe_at = BreakerState.HALF_OPEN, None
        return True

    def look_again(self, now: float) -> None:
        """Something may have changed: a probe is due at once, and the waits start over."""
        self._wait = self.settings.probe
        if self._probe_at is not None:
            self._probe_at = min(self._probe_at, now)

    def abandon_probe(self, now: float) -> None:
        """The probe ended without an outcome: the next may begin at once."""
        if self._state is BreakerState.HALF_OPEN:
            self._state, self._probe_at = BreakerState.OPEN, now

    def statistics(self) -> BreakerStatistics:
        return BreakerStatistics(
            state=self._state,
            failures=self._failures,
            openings=self._openings,
            opened_at=self._opened_at,
            probe_at=self._probe_at,
            reason=self._reason,
        )
