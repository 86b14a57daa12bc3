"""A scanner that answers but refuses to scan gets no work, until one task has been accepted."""

from __future__ import annotations

import attrs

from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.pool.breaker import BreakerSettings

DOUBTS = 3
"""Different tasks that are refused in a row, each for a reason that could be its own, before the
scanner is taken to be the reason."""


@attrs.frozen(kw_only=True)
class SuspensionStatistics:
    """`since` and `probe_at` are epoch seconds; `probe_at` is None while a task tries."""

    kind: ErrorKind
    reason: str
    since: float
    probe_at: float | None


class Suspension:
    """While suspended one task at a time tries whether the scanner accepts it, each time a
    different one, so that a single bad task cannot keep the scanner suspended.

    Invariants: `_reason` is None exactly while not suspended, and then `_prober` is None;
    `_probe_at` is None exactly when not suspended or while a task tries.
    """

    def __init__(self, settings: BreakerSettings) -> None:
        self.settings = settings
        self._kind = ErrorKind.SCANNER_ERROR
        self._reason: str | None = None
        self._since = 0.0
        self._wait = settings.probe
        self._probe_at: float | None = None
        self._prober: str | None = None
        self._doubts: set[str] = set()
        self.tried: set[str] = set()
        """The tasks that have tried in this round."""

    @property
    def active(self) -> bool:
        return self._reason is not None

    @property
    def probe_at(self) -> float | None:
        return self._probe_at

    def due(self, now: float) -> bool:
        """A task may try now."""
        return self._probe_at is not None and now >= self._probe_at

    def suspend(
        self,
        now: float,
        kind: ErrorKind,
        reason: str,
        *,
        task_id: str | None = None,
        sure: bool = True,
        wait: bool = True,
    ) -> bool:
        """`task_id` was refused. Unless that is `sure` to be the scanner's fault, it takes
        several tasks in a row; returns whether it is believed to be. Without `wait` a task
        may try at once."""
        if self.active and task_id != self._prober:
            return True  # merely under way when the scanner was suspended
        if task_id is not None:
            self._doubts.add(task_id)
        if not (sure or self.active or len(self._doubts) >= DOUBTS):
            return False
        if self.active:
            self._wait = min(2 * self._wait, self.settings.probe_max)
        else:
            self._since, self._wait, self.tried = now, self.settings.probe, set()
        if task_id is not None:
            self.tried.add(task_id)
        self._kind, self._reason, self._prober = kind, reason, None
        self._probe_at = now + (self._wait if wait else 0.0)
        return True

    def accepted(self) -> None:
        """The scanner has launched a scan."""
        self._reason = self._prober = self._probe_at = None
        self._doubts.clear()
        self.tried = set()

    def begin(self, task_id: str) -> None:
        """The task has been given to the scanner."""
        if not self.active:
            return
        if task_id in self.tried:
            self.tried = set()
        self._prober, self._probe_at = task_id, None

    def end(self, task_id: str, now: float) -> None:
        """The task is done with the scanner; if it tried without a result, the next may."""
        if task_id == self._prober:
            self._prober, self._probe_at = None, now
            self.tried.add(task_id)

    def look_again(self, now: float) -> None:
        """Something may have changed: a task may try at once, and the waits start over."""
        self._wait = self.settings.probe
        self._doubts.clear()
        if self._probe_at is not None:
            self._probe_at = min(self._probe_at, now)

    def statistics(self) -> SuspensionStatistics | None:
        if self._reason is None:
            return None
        return SuspensionStatistics(
            kind=self._kind, reason=self._reason, since=self._since, probe_at=self._probe_at
        )
