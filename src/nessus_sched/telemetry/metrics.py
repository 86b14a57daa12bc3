"""The metrics that count and measure as things happen, on a registry of their own.

What can be read off a snapshot is in `gauges`. Labels take values from closed sets only:
names from the configuration, enumerations, codes of the program.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from nessus_sched.core.asked import Setting, differing
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
    """What became of a notification."""

    TAKEN = "taken"
    LOST = "lost"


class Metrics:
    """All metrics of the daemon; `registry` is what a scrape reads, and
    `gauges.reading` is to be set before it."""

    def __init__(self, version: str) -> None:
        # The time of each series' making doubles their number, and nobody asks for it.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types here
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.gauges = Gauges()
        registry.register(self.gauges)
        Info("nessus_sched_build", "The program.", registry=registry).info(
            {"version": version, "python": platform.python_version()}
        )
        self._tasks(registry)
        self._requests(registry)

    def _tasks(self, registry: CollectorRegistry) -> None:
        self.submissions = Counter(
            "nessus_submissions", "Accepted submissions.", ["scan_type"], registry=registry
        )
        self.scans = Counter(
            "nessus_scans", "Tasks that came to an end.", ["scan_type", "status"], registry=registry
        )
        self.task_duration = Histogram(
            "nessus_task_duration_seconds",
            "From acceptance to completion.",
            ["scan_type"],
            buckets=TASK_BUCKETS,
            registry=registry,
        )
        self.queue_wait = Histogram(
            "nessus_queue_wait_seconds",
            "From the queue to the scanner's slot.",
            buckets=WAIT_BUCKETS,
            registry=registry,
        )
        self.launch_latency = Histogram(
            "nessus_launch_latency_seconds",
            "From the slot to the running scan.",
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self.stand_ins = Counter(
            "nessus_scans_with_stand_in_settings",
            "Scans that were sent the web interface's defaults, as the scanner's own could not "
            "be read.",
            ["scanner_instance"],
            registry=registry,
        )
        self.differences = Counter(
            "nessus_scan_setting_differences",
            "Completed scans that ran with another setting than was asked, by their reports.",
            ["scanner_instance", "setting"],
            registry=registry,
        )
        self.retries = Counter(
            "nessus_retries", "Failed attempts that are tried again.", ["kind"], registry=registry
        )
        self.validations = Counter(
            "nessus_validations",
            "Verdicts on whether the credentials worked.",
            ["scan_type", "credentialed"],
            registry=registry,
        )
        self.auth_failures = Counter(
            "nessus_auth_failures",
            "Hosts on which no credential worked.",
            ["scanner_instance"],
            registry=registry,
        )
        self.estimate_error = Histogram(
            "nessus_estimate_error_seconds",
            "How far off the estimated start was that the submitter was told.",
            buckets=WAIT_BUCKETS,
            registry=registry,
        )
        self.ttl_deletions = Counter(
            "nessus_ttl_deletions", "What was deleted for its age.", ["what"], registry=registry
        )
        self.notifications = Counter(
            "nessus_notifications",
            "Notifications that a webhook took, or that were given up.",
            ["outcome"],
            registry=registry,
        )
        self._from_zero()

    def _from_zero(self) -> None:
        """Shows what has not happened yet as 0: the first time is a rise, too."""
        for kind in ScanKind:
            self.submissions.labels(kind.value)
            for state in SETTLED:
                self.scans.labels(kind.value, state.value)
        for outcome in Delivery:
            self.notifications.labels(outcome.value)

    def _requests(self, registry: CollectorRegistry) -> None:
        self.api_requests = Counter(
            "nessus_api_requests", "Calls of MCP tools.", ["tool", "status"], registry=registry
        )
        self.api_seconds = Histogram(
            "nessus_api_request_duration_seconds",
            "How long calls of MCP tools took.",
            ["tool"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self.scanner_seconds = Histogram(
            "nessus_scanner_request_duration_seconds",
            "How long requests to a scanner took.",
            ["scanner_instance"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self.scanner_errors = Counter(
            "nessus_scanner_request_errors",
            "Requests to a scanner that failed, by class of error.",
            ["scanner_instance", "kind"],
            registry=registry,
        )
        self.login_refusals = Counter(
            "nessus_scanner_login_refusals",
            "Times that a scanner refused our own login.",
            ["scanner_instance"],
            registry=registry,
        )
        self.loop_lag = Histogram(
            "nessus_event_loop_lag_seconds",
            "How late the event loop was.",
            buckets=LAG_BUCKETS,
            registry=registry,
        )

    def observe_change(self, task: Task, entry: JournalEntry) -> None:
        """An observer of the scheduler: counts what a durable change of a task means."""
        kind = task.request.kind.value
        if entry.event == "submitted":
            self.submissions.labels(kind).inc()
        if entry.event == "scan_created":
            self._created(task)
        if entry.after is None or entry.after is entry.before:
            return
        self._entered(task, entry, entry.after)
        if entry.after in SETTLED:
            self.scans.labels(kind, entry.after.value).inc()

    def _created(self, task: Task) -> None:
        scanner = task.scanner_instance or ""
        if task.asked is not None and task.asked.stand_in:
            self.stand_ins.labels(scanner).inc()
        for setting in Setting:  # from zero, before there is a report
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
            duration = max(0.0, entry.at - task.created_at)
            self.task_duration.labels(task.request.kind.value).observe(duration)
            self._judged(task, (task.summary or {}).get("verdict") or {})
            for setting in differing(task.summary):
                self.differences.labels(task.scanner_instance or "", setting).inc()

    def _judged(self, task: Task, verdict: Mapping[str, Any]) -> None:
        """`verdict` is that of the summary document (`results.summary`)."""
        credentialed = str(verdict.get("credentialed", "unknown"))
        self.validations.labels(task.request.kind.value, credentialed).inc()
        failed = (verdict.get("counts") or {}).get("failed", 0)
        self.auth_failures.labels(task.scanner_instance or "").inc(failed)

    def observe_deletions(self, what: str, count: int) -> None:
        """Housekeeping deleted `count` of `what`: one word of a closed set."""
        self.ttl_deletions.labels(what).inc(count)

    def observe_call(self, tool: str, status: str, seconds: float) -> None:
        """The observer of the MCP face: one call of a tool."""
        self.api_requests.labels(tool, status).inc()
        self.api_seconds.labels(tool).observe(seconds)

    def observe_scanner_request(self, scanner: str, seconds: float, error: str | None) -> None:
        """One request to a scanner; `error` is a word of a closed set."""
        self.scanner_seconds.labels(scanner).observe(seconds)
        if error is not None:
            self.scanner_errors.labels(scanner, error).inc()
