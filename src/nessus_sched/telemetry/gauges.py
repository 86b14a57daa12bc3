"""Metrics computed from a snapshot at each scrape: there is no state to keep up to date, and
removed scanners leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from nessus_sched.core.delivery.outbox import Backlog
from nessus_sched.core.pool.breaker import BreakerState
from nessus_sched.core.pool.queues import OVERFLOW, QueueStatistics
from nessus_sched.core.pool.statistics import PoolStatistics, ScannerStatistics


@attrs.frozen(kw_only=True)
class Commits:
    """Statistics of the store's writer; latencies in seconds."""

    commits: int = 0
    changes: int = 0
    failures: int = 0
    largest_batch: int = 0
    p50: float = 0.0
    p99: float = 0.0


@attrs.frozen(kw_only=True)
class ConnectionUsage:
    """Connections and their memory (bytes), with their limits. `refused` counts by limit or
    rule; `displaced` counts idle clients that were disconnected to make room for others."""

    connections: int = 0
    most_connections: int = 0
    memory: int = 0
    most_memory: int = 0
    refused: Mapping[str, int] = attrs.field(factory=dict)
    displaced: int = 0


@attrs.frozen(kw_only=True)
class Limit:
    """How much of a limit is used, and how often it refused a request."""

    used: int
    limit: int
    refused: int


@attrs.frozen(kw_only=True)
class Snapshot:
    """Everything a scrape needs; immutable because it is rendered in another thread.

    `at` is now (epoch seconds). By scanner id: `up` whether it answers, `owed` how many
    abandoned scans have to be cleaned up there, `plugin_set_at` the time of its plugin set,
    `driver_failures` how often a bug stopped its driver. `outage`: no scanner answers. `sizes` are
    bytes by store name.
    """

    at: float
    pool: PoolStatistics
    up: Mapping[str, bool] = attrs.field(factory=dict)
    owed: Mapping[str, int] = attrs.field(factory=dict)
    plugin_set_at: Mapping[str, float] = attrs.field(factory=dict)
    driver_failures: Mapping[str, int] = attrs.field(factory=dict)
    outage: bool = False
    dead_letters: int = 0
    schedules: int = 0
    troubled_schedules: int = 0
    exceptions: Mapping[str, int] = attrs.field(factory=dict)
    """By status."""
    window_overrun: float = 0.0
    outbox: Mapping[str, Backlog] = attrs.field(factory=dict)
    """By route."""
    sizes: Mapping[str, int] = attrs.field(factory=dict)
    commits: Commits = attrs.field(factory=Commits)
    connections: ConnectionUsage = attrs.field(factory=ConnectionUsage)
    limits: Mapping[str, Limit] = attrs.field(factory=dict)
    """By configuration key or other name."""


class Gauges(Collector):
    """Exports the latest `snapshot`, or nothing before the first."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None

    def collect(self) -> Iterator[Metric]:
        snapshot = self.snapshot
        if snapshot is None:
            return
        yield from _totals(snapshot)
        yield from _queues(snapshot)
        yield from _scanners(snapshot)
        yield from _store(snapshot)
        yield from _outbox(snapshot)
        yield from _connection_usage(snapshot.connections)
        yield from _limits(snapshot.limits)

    def describe(self) -> Iterator[Metric]:
        """Empty: the registry asks at registration, before there is a snapshot."""
        yield from ()


def _gauge(name: str, doc: str, labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, doc, labels=labels)


def _outbox(snapshot: Snapshot) -> Iterator[Metric]:
    messages = _gauge("nessus_outbox_messages", "Undelivered messages.", ("route", "state"))
    oldest = _gauge(
        "nessus_outbox_oldest_seconds", "How long the first message has waited.", ("route",)
    )
    for route, backlog in sorted(snapshot.outbox.items()):
        messages.add_metric((route, "waiting"), backlog.waiting)
        messages.add_metric((route, "dead"), backlog.dead)
        if backlog.oldest is not None:
            oldest.add_metric((route,), max(0.0, snapshot.at - backlog.oldest))
    yield messages
    yield oldest


def _totals(snapshot: Snapshot) -> Iterator[Metric]:
    pool = snapshot.pool
    yield GaugeMetricFamily("nessus_active_scans", "Our scans that hold a slot.", value=pool.active)
    yield GaugeMetricFamily(
        "nessus_dlq_size", "Dead letters waiting for a person.", value=snapshot.dead_letters
    )
    yield GaugeMetricFamily(
        "nessus_paused", "1 while an operator has paused all launches.", value=pool.paused
    )
    yield GaugeMetricFamily(
        "nessus_outage",
        "1 while no enabled scanner answers: nothing starts, and no running scan is given up.",
        value=snapshot.outage,
    )
    yield GaugeMetricFamily("nessus_schedules", "Schedules.", value=snapshot.schedules)
    yield GaugeMetricFamily(
        "nessus_schedules_troubled",
        "Schedules whose latest firing failed, or that were skipped three times in a row.",
        value=snapshot.troubled_schedules,
    )
    exceptions = _gauge("nessus_exceptions", "Exceptions for findings.", ("status",))
    for status, number in sorted(snapshot.exceptions.items()):
        exceptions.add_metric((status,), number)
    yield exceptions
    yield GaugeMetricFamily(
        "nessus_window_overrun_seconds",
        "How long a scan has been running outside its window or in a blackout, at most.",
        value=snapshot.window_overrun,
    )
    counts: dict[tuple[str, str], int] = {}
    for scanner in pool.scanners:
        key = (scanner.pool, "true" if scanner.enabled else "false")
        counts[key] = counts.get(key, 0) + 1
    instances = _gauge(
        "nessus_scanner_instances", "Configured scanners.", ("scanner_type", "enabled")
    )
    for key, count in sorted(counts.items()):
        instances.add_metric(key, count)
    yield instances


def _connection_usage(connections: ConnectionUsage) -> Iterator[Metric]:
    for name, doc, value in (
        ("clients", "Connected MCP and command line clients.", connections.connections),
        ("clients_limit", "Value of limits.connections.", connections.most_connections),
        (
            "connection_memory_bytes",
            "Memory charged for unfinished messages, requests in progress and unread answers.",
            connections.memory,
        ),
        (
            "connection_memory_limit_bytes",
            "Value of limits.connection_memory.",
            connections.most_memory,
        ),
    ):
        yield GaugeMetricFamily(f"nessus_{name}", doc, value=value)
    refused = CounterMetricFamily(
        "nessus_clients_refused",
        "Clients and messages that were refused or cut off, by limit or rule.",
        labels=("limit",),
    )
    for limit, count in sorted(connections.refused.items()):
        refused.add_metric((limit,), count)
    yield refused
    yield CounterMetricFamily(
        "nessus_clients_displaced",
        "Idle clients that were disconnected to make room for others.",
        value=connections.displaced,
    )


def _limits(limits: Mapping[str, Limit]) -> Iterator[Metric]:
    label = ("limit",)
    used = _gauge("nessus_limit_used", "Current use of a limit.", label)
    most = _gauge(
        "nessus_limit",
        "A limit: a configuration key, the threads for name lookups, or connections for HTTP.",
        label,
    )
    refused = CounterMetricFamily(
        "nessus_limit_refusals",
        "Requests refused, lookups given up and HTTP connections closed because of a limit.",
        labels=label,
    )
    for key, each in limits.items():
        used.add_metric((key,), each.used)
        most.add_metric((key,), each.limit)
        refused.add_metric((key,), each.refused)
    yield from (used, most, refused)


def _queues(snapshot: Snapshot) -> Iterator[Metric]:
    pool = snapshot.pool
    queues = {OVERFLOW: pool.overflow, **{each.scanner_id: each.queue for each in pool.scanners}}
    depth = _gauge("nessus_queue_depth", "Waiting tasks.", ("queue",))
    parked = _gauge(
        "nessus_queue_parked", "Waiting tasks whose targets are being scanned.", ("queue",)
    )
    oldest = _gauge(
        "nessus_queue_oldest_seconds", "Age of the next task, 0 if there is none.", ("queue",)
    )
    for name, queue in queues.items():
        depth.add_metric((name,), queue.length)
        parked.add_metric((name,), queue.parked)
        oldest.add_metric((name,), _age(queue, snapshot.at))
    yield from (depth, parked, oldest)


def _age(queue: QueueStatistics, now: float) -> float:
    return 0.0 if queue.oldest is None else max(0.0, now - queue.oldest)


def _scanners(snapshot: Snapshot) -> Iterator[Metric]:
    label = ("scanner_instance",)
    for name, doc, value in (
        ("up", "1 if the scanner answers.", lambda s: snapshot.up.get(s.scanner_id, False)),
        (
            "owed_cleanups",
            "Abandoned scans to be cleaned up there.",
            lambda s: snapshot.owed.get(s.scanner_id, 0),
        ),
        ("active_scans", "Our scans that hold a slot.", lambda s: len(s.slots.active)),
        ("capacity", "Scans it may run at once at the moment.", lambda s: s.slots.capacity),
        ("limit", "Its max_concurrent_scans.", lambda s: s.slots.limit),
        ("utilisation", "Active scans divided by capacity.", _utilisation),
        ("draining", "1 while it finishes its scans and starts no new ones.", lambda s: s.draining),
    ):
        gauge = _gauge(f"nessus_scanner_{name}", doc, label)
        for scanner in snapshot.pool.scanners:
            gauge.add_metric((scanner.scanner_id,), float(value(scanner)))
        yield gauge
    yield from _breakers(snapshot)
    yield _suspensions(snapshot)
    failures = CounterMetricFamily(
        "nessus_scanner_driver_failures",
        "How often a bug stopped its driver, which was then restarted.",
        labels=label,
    )
    for scanner in snapshot.pool.scanners:
        failures.add_metric(
            (scanner.scanner_id,), snapshot.driver_failures.get(scanner.scanner_id, 0)
        )
    yield failures
    age = _gauge("nessus_scanner_plugin_age_seconds", "Age of its plugin set.", label)
    for scanner_id, at in sorted(snapshot.plugin_set_at.items()):
        age.add_metric((scanner_id,), max(0.0, snapshot.at - at))
    yield age


def _utilisation(scanner: ScannerStatistics) -> float:
    capacity = scanner.slots.capacity
    return len(scanner.slots.active) / capacity if capacity else 0.0


def _breakers(snapshot: Snapshot) -> Iterator[Metric]:
    state = _gauge(
        "nessus_scanner_breaker_state",
        "1 for the current state of its circuit breaker.",
        ("scanner_instance", "state"),
    )
    openings = CounterMetricFamily(
        "nessus_scanner_breaker_openings",
        "How often its circuit breaker opened.",
        labels=("scanner_instance",),
    )
    for scanner in snapshot.pool.scanners:
        for each in BreakerState:
            is_it = scanner.breaker.state is each
            state.add_metric((scanner.scanner_id, each.value), float(is_it))
        openings.add_metric((scanner.scanner_id,), scanner.breaker.openings)
    yield from (state, openings)


def _suspensions(snapshot: Snapshot) -> Metric:
    gauge = _gauge(
        "nessus_scanner_suspended",
        "1 while it answers but refuses to scan, by error code.",
        ("scanner_instance", "kind"),
    )
    for scanner in snapshot.pool.scanners:
        if scanner.suspension is not None:
            gauge.add_metric((scanner.scanner_id, scanner.suspension.kind.value), 1.0)
    return gauge


def _commit_latency(commits: Commits) -> Metric:
    """A summary made by hand, because the library's own summaries have no quantiles."""
    name = "nessus_journal_commit_latency_seconds"
    latency = Metric(name, "Duration of recent commits.", "summary")
    latency.add_sample(name, {"quantile": "0.5"}, commits.p50)
    latency.add_sample(name, {"quantile": "0.99"}, commits.p99)
    latency.add_sample(f"{name}_count", {}, commits.commits)
    return latency


def _store(snapshot: Snapshot) -> Iterator[Metric]:
    size = _gauge("nessus_store_size_bytes", "Size on disk.", ("store",))
    for name, count in sorted(snapshot.sizes.items()):
        size.add_metric((name,), count)
    yield size
    yield _commit_latency(snapshot.commits)
    yield GaugeMetricFamily(
        "nessus_journal_largest_batch",
        "Largest number of changes committed at once.",
        value=snapshot.commits.largest_batch,
    )
    for name, doc, value in (
        ("commits", "Commits of the journal.", snapshot.commits.commits),
        ("changes", "Committed changes.", snapshot.commits.changes),
        ("failures", "Failed commits.", snapshot.commits.failures),
    ):
        yield CounterMetricFamily(f"nessus_journal_{name}", doc, value=value)
