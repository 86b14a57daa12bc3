"""Counters and histograms that are updated as things happen.

Metrics computed from a snapshot are in `gauges`. Label values come from closed sets: names
from the configuration, enumerations, error codes.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from nessus_sched.core.asked import Setting, differing
from nessus_sched.core.calendar.accuracy import Side
from nessus_sched.core.calendar.schedule import FiringOutcome
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.task import ScanKind, Task
from nessus_sched.telemetry.gauges import Gauges

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
TASK_BUCKETS: Final = (
    10, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 20 * _MINUTE, 40 * _MINUTE,
    _HOUR, 2 * _HOUR, 4 * _HOUR, 8 * _HOUR, 16 * _HOUR, 32 * _HOUR,
)  # fmt: skip
WAIT_BUCKETS: Final = (1, 5, 15, *TASK_BUCKETS[1:12])
REQUEST_BUCKETS: Final = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 300)
LAG_BUCKETS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3)


class Delivery(StrEnum):
    """The outcome of an attempt to deliver a message."""

    TAKEN = "taken"
    FAILED = "failed"
    """It is tried again."""
    LOST = "lost"
    """It is a dead letter."""


class Metrics:
    """All metrics of the daemon. A scrape reads `registry`; set `gauges.snapshot` first."""

    def __init__(self, version: str) -> None:
        # Creation times would double the number of series for no use.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types here
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.gauges = Gauges()
        registry.register(self.gauges)
        Info("nessus_sched_build", "Version of nessus-sched and Python.", registry=registry).info(
            {"version": version, "python": platform.python_version()}
        )
        self.leader = Gauge(
            "nessus_sched_leader",
            "Whether this daemon drives the scanners; 0 if it waits for the one that does.",
            registry=registry,
        )
        self._tasks(registry)
        self._outcomes(registry)
        self._requests(registry)

    def _tasks(self, registry: CollectorRegistry) -> None:
        self.submissions = Counter(
            "nessus_submissions", "Accepted submissions.", ["scan_type"], registry=registry
        )
        self.scans = Counter(
            "nessus_scans", "Finished tasks.", ["scan_type", "status"], registry=registry
        )
        self.task_duration = Histogram(
            "nessus_task_duration_seconds",
            "Time from submission to completion.",
            ["scan_type"],
            buckets=TASK_BUCKETS,
            registry=registry,
        )
        self.queue_wait = Histogram(
            "nessus_queue_wait_seconds",
            "Time a task waited for a slot.",
            buckets=WAIT_BUCKETS,
            registry=registry,
        )
        self.launch_latency = Histogram(
            "nessus_launch_latency_seconds",
            "Time from getting a slot until the scan is running.",
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )

    def _outcomes(self, registry: CollectorRegistry) -> None:
        self.stand_ins = Counter(
            "nessus_scans_with_stand_in_settings",
            "Scans sent the web interface's defaults because the scanner's own could not be read.",
            ["scanner_instance"],
            registry=registry,
        )
        self.differences = Counter(
            "nessus_scan_setting_differences",
            "Completed scans that, by their reports, ran with a setting other than requested.",
            ["scanner_instance", "setting"],
            registry=registry,
        )
        self.retries = Counter(
            "nessus_retries", "Failed attempts that will be retried.", ["kind"], registry=registry
        )
        self.validations = Counter(
            "nessus_validations",
            "Verdicts on whether the credentials worked.",
            ["scan_type", "credentialed"],
            registry=registry,
        )
        self.auth_failures = Counter(
            "nessus_auth_failures",
            "Hosts where no credential worked.",
            ["scanner_instance"],
            registry=registry,
        )
        self.estimate_error = Histogram(
            "nessus_estimate_error_seconds",
            "Difference between the estimated start given to the submitter and the actual one.",
            buckets=WAIT_BUCKETS,
            registry=registry,
        )
        self.ttl_deletions = Counter(
            "nessus_ttl_deletions", "Items deleted by housekeeping.", ["what"], registry=registry
        )
        self.notifications = Counter(
            "nessus_notifications",
            "Attempts to deliver messages, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self._calendar(registry)
        self._preset_labels()

        self.login_alarms = Counter(
            "nessus_login_alarms",
            "Scans whose logins failed on the first hosts although the credential worked before.",
            ["scanner_instance"],
            registry=registry,
        )

    def _calendar(self, registry: CollectorRegistry) -> None:
        self.schedule_firings = Counter(
            "nessus_schedule_firings",
            "Firings of schedules, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self.plan_starts = Counter(
            "nessus_plan_starts",
            "Scans, by whether they started within the interval that a plan gave.",
            ["within"],
            registry=registry,
        )
        self.plan_ends = Counter(
            "nessus_plan_ends",
            "Scans, by whether they ended within the interval that a plan gave.",
            ["within"],
            registry=registry,
        )

    def _preset_labels(self) -> None:
        """Exports series as 0 from the start, so that rates count the first event, too."""
        for kind in ScanKind:
            self.submissions.labels(kind.value)
            for state in SETTLED:
                self.scans.labels(kind.value, state.value)
        for firing in FiringOutcome:
            self.schedule_firings.labels(firing.value)
        for within in ("true", "false"):
            self.plan_starts.labels(within)
            self.plan_ends.labels(within)
        for outcome in Delivery:
            self.notifications.labels(outcome.value)

    def _requests(self, registry: CollectorRegistry) -> None:
        self.api_requests = Counter(
            "nessus_api_requests", "MCP tool calls.", ["tool", "status"], registry=registry
        )
        self.api_seconds = Histogram(
            "nessus_api_request_duration_seconds",
            "Duration of MCP tool calls.",
            ["tool"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self.scanner_seconds = Histogram(
            "nessus_scanner_request_duration_seconds",
            "Duration of requests to a scanner.",
            ["scanner_instance"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self.scanner_errors = Counter(
            "nessus_scanner_request_errors",
            "Failed requests to a scanner, by error class.",
            ["scanner_instance", "kind"],
            registry=registry,
        )
        self.login_refusals = Counter(
            "nessus_scanner_login_refusals",
            "How often a scanner refused our login.",
            ["scanner_instance"],
            registry=registry,
        )
        self.loop_lag = Histogram(
            "nessus_event_loop_lag_seconds",
            "Delay of the event loop.",
            buckets=LAG_BUCKETS,
            registry=registry,
        )

    def observe_change(self, task: Task, entry: JournalEntry) -> None:
        """Observer for the scheduler: counts each durable change of a task."""
        kind = task.request.kind.value
        if entry.event == "submitted":
            self.submissions.labels(kind).inc()
        if entry.event == "scan_created":
            self._created(task)
        if entry.event == "logins_fail":
            self.login_alarms.labels(task.scanner_instance or "").inc()
        if entry.after is None or entry.after is entry.before:
            return
        if task.part is None and entry.after in SETTLED:
            self.scans.labels(kind, entry.after.value).inc()
        if task.part is None and entry.after is TaskState.COMPLETED:
            duration = max(0.0, entry.at - task.created_at)
            self.task_duration.labels(kind).observe(duration)
        if task.split is None:  # else its parts have scans
            self._entered(task, entry, entry.after)

    def _created(self, task: Task) -> None:
        scanner = task.scanner_instance or ""
        if task.asked is not None and task.asked.stand_in:
            self.stand_ins.labels(scanner).inc()
        self.login_alarms.labels(scanner)  # export 0 before there is a report
        for setting in Setting:
            self.differences.labels(scanner, setting.value)

    def _entered(self, task: Task, entry: JournalEntry, after: TaskState) -> None:
        if after is TaskState.LAUNCHING:
            queued = task.entered.get(TaskState.QUEUED, task.created_at)
            self.queue_wait.observe(max(0.0, entry.at - queued))
        elif after is TaskState.RUNNING and entry.before is TaskState.LAUNCHING:
            launching = task.entered.get(TaskState.LAUNCHING, entry.at)
            self.launch_latency.observe(max(0.0, entry.at - launching))
        elif after is TaskState.RETRY_WAIT:
            self.retries.labels(task.last_error.kind if task.last_error else "unknown").inc()
        elif after is TaskState.COMPLETED:
            self._judged(task, (task.summary or {}).get("verdict") or {})
            for setting in differing(task.summary):
                self.differences.labels(task.scanner_instance or "", setting).inc()

    def _judged(self, task: Task, verdict: Mapping[str, Any]) -> None:
        """`verdict` is the one in the summary document (`results.summary`)."""
        credentialed = str(verdict.get("credentialed", "unknown"))
        self.validations.labels(task.request.kind.value, credentialed).inc()
        failed = (verdict.get("counts") or {}).get("failed", 0)
        self.auth_failures.labels(task.scanner_instance or "").inc(failed)

    def observe_deletions(self, what: str, count: int) -> None:
        """Housekeeping deleted `count` of `what`, a word from a closed set."""
        self.ttl_deletions.labels(what).inc(count)

    def observe_plan(self, side: Side, count: int, *, within: bool) -> None:
        """Counts starts or ends by whether they were in the interval that a plan had given."""
        counter = self.plan_starts if side is Side.START else self.plan_ends
        counter.labels("true" if within else "false").inc(count)

    def observe_call(self, tool: str, status: str, seconds: float) -> None:
        """Observer for the MCP server: one tool call."""
        self.api_requests.labels(tool, status).inc()
        self.api_seconds.labels(tool).observe(seconds)

    def observe_scanner_request(self, scanner: str, seconds: float, error: str | None) -> None:
        """One request to a scanner; `error` is a word from a closed set."""
        self.scanner_seconds.labels(scanner).observe(seconds)
        if error is not None:
            self.scanner_errors.labels(scanner, error).inc()
