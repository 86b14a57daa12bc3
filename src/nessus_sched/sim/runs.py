"""One run of a scan: its states, and its progress at a given time."""

from __future__ import annotations

from enum import StrEnum

import attrs

from nessus_sched.sim.findings.report import HostProgress, Report, Span


class RunStatus(StrEnum):
    """Statuses of an on-prem Nessus."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    RESUMING = "resuming"
    STOPPING = "stopping"
    CANCELED = "canceled"
    COMPLETED = "completed"
    ABORTED = "aborted"
    IMPORTED = "imported"


ENDED = frozenset({RunStatus.CANCELED, RunStatus.COMPLETED, RunStatus.ABORTED, RunStatus.IMPORTED})
UNDER_WAY = frozenset(
    {
        RunStatus.RUNNING,
        RunStatus.PAUSING,
        RunStatus.PAUSED,
        RunStatus.RESUMING,
        RunStatus.STOPPING,
    }
)
"""Statuses that count against `max_scans`; a paused scan counts, too."""

_SETTLES = {
    RunStatus.PAUSING: RunStatus.PAUSED,
    RunStatus.RESUMING: RunStatus.RUNNING,
    RunStatus.STOPPING: RunStatus.CANCELED,
}


@attrs.define(kw_only=True)
class Run:
    """Times are epoch seconds. `takes` is the total scanning time."""

    history_id: int
    uuid: str
    created_at: float
    targets: tuple[str, ...]
    alt_targets: bool
    takes: float
    transition_takes: float
    pause_takes: float | None = None
    report: Report
    owner_id: int
    status: RunStatus = RunStatus.PENDING
    started_at: float | None = None
    ended_at: float | None = None
    modified_at: float = 0.0
    aborts_at: float | None = None
    """The share of the work (0..1) after which it aborts, by a fault."""
    held: bool = False
    """It stays pending, by a fault."""
    shown_as: str | None = None
    """The status that is reported instead of the real one, by a fault."""
    _worked: float = attrs.field(default=0.0, init=False)
    _since: float = attrs.field(default=0.0, init=False)

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def status_text(self) -> str:
        return self.status.value if self.shown_as is None or self.ended else self.shown_as

    def enter(self, status: RunStatus, at: float) -> None:
        """Change the state at that time; whether it may is decided elsewhere."""
        if self.status is RunStatus.RUNNING:
            self._worked += at - self._since
        self.status = status
        self._since = at
        self.modified_at = at
        if status is RunStatus.RUNNING and self.started_at is None:
            self.started_at = at
        if status in ENDED:
            self.ended_at = at

    def next_step(self) -> Step | None:
        """The time and status of its next automatic transition."""
        if self.status in _SETTLES:
            return Step(self._since + self._transition(), self, _SETTLES[self.status])
        if self.status is not RunStatus.RUNNING:
            return None
        started = self._since - self._worked  # had it run without a pause
        if self.aborts_at is not None:
            return Step(started + self.takes * self.aborts_at, self, RunStatus.ABORTED)
        return Step(started + self.takes, self, RunStatus.COMPLETED)

    def _transition(self) -> float:
        if self.status is RunStatus.PAUSING and self.pause_takes is not None:
            return self.pause_takes
        return self.transition_takes

    def progress(self, now: float) -> float:
        """The share of the work that is done, 0..1."""
        if self.status in (RunStatus.COMPLETED, RunStatus.IMPORTED):
            return 1.0
        worked = self._worked
        if self.status is RunStatus.RUNNING:
            worked += now - self._since
        return min(1.0, worked / self.takes) if self.takes > 0 else 0.0

    def hosts(self, now: float) -> list[HostProgress]:
        """The progress of each host. Hosts start and end one after another, each taking half of
        the total time."""
        count = len(self.report.hosts)
        progress, span = self.progress(now), self.span(now)
        return [_host_progress(0.5 * index / count, progress, span) for index in range(count)]

    def span(self, now: float) -> Span:
        start = self.created_at if self.started_at is None else self.started_at
        return Span(start, now if self.ended_at is None else self.ended_at)


def _host_progress(begins: float, progress: float, span: Span) -> HostProgress:
    """The progress of a host whose checks start after the share `begins` of the work; pauses are
    spread over the whole span."""
    share = min(1.0, max(0.0, (progress - begins) / 0.5))
    whole = (span.end - span.start) / progress if progress > 0 else 0.0
    start = span.start + whole * min(begins, progress)
    end = span.start + whole * min(begins + 0.5, progress)
    return HostProgress(share, Span(start, end, finished=share >= 1))


@attrs.frozen
class Step:
    """A scheduled change of state: at `at`, `run` enters `status`."""

    at: float
    run: Run
    status: RunStatus
