"""The metrics that are read off a snapshot at every scrape: nothing to keep up to date,
nothing left over of scanners that are gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from nessus_sched.core.pool.breaker import BreakerState
from nessus_sched.core.pool.queues import OVERFLOW, QueueStatistics
from nessus_sched.core.pool.statistics import PoolStatistics, ScannerStatistics


@attrs.frozen(kw_only=True)
class Commits:
    """What the journal's writer says of itself; seconds."""

    commits: int = 0
    changes: int = 0
    failures: int = 0
    largest_batch: int = 0
    p50: float = 0.0
    p99: float = 0.0


@attrs.frozen(kw_only=True)
class Doors:
    """What connections take of what they may: places, and bytes of memory. `refused` by the
    limit or rule that did it; `displaced` were idle and made room for others."""

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
class Reading:
    """All that a scrape needs, frozen: it is rendered in another thread.

    `at` is now (epoch seconds). Per scanner id: `up` whether it answers, `owed` how many
    abandoned scans have to be cleaned up there, `plugin_set_at` the time of its plugin set,
    `driver_failures` how often its driver failed by an error of ours. `sizes` are bytes by the
    name of the store.
    """

    at: float
    pool: PoolStatistics
    up: Mapping[str, bool] = attrs.field(factory=dict)
    owed: Mapping[str, int] = attrs.field(factory=dict)
    plugin_set_at: Mapping[str, float] = attrs.field(factory=dict)
    driver_failures: Mapping[str, int] = attrs.field(factory=dict)
    dead_letters: int = 0
    sizes: Mapping[str, int] = attrs.field(factory=dict)
    commits: Commits = attrs.field(factory=Commits)
    doors: Doors = attrs.field(factory=Doors)
    limits: Mapping[str, Limit] = attrs.field(factory=dict)
    """By what is limited: a key of the configuration, or a name."""


class Gauges(Collector):
    """Shows the latest `reading`; nothing before the first."""

    def __init__(self) -> None:
        self.reading: Reading | None = None

    def collect(self) -> Iterator[Metric]:
        reading = self.reading
        if reading is None:
            return
        yield from _totals(reading)
        yield from _queues(reading)
        yield from _scanners(reading)
        yield from _store(reading)
        yield from _doors(reading.doors)
        yield from _limits(reading.limits)

    def describe(self) -> Iterator[Metric]:
        """Nothing is known when the registry asks at registration."""
        yield from ()


def _gauge(name: str, doc: str, labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, doc, labels=labels)


def _totals(reading: Reading) -> Iterator[Metric]:
    pool = reading.pool
    yield GaugeMetricFamily(
        "nessus_active_scans", "Scans that occupy a slot of ours.", value=pool.active
    )
    yield GaugeMetricFamily(
        "nessus_dlq_size", "Dead letters that wait for a person.", value=reading.dead_letters
    )
    yield GaugeMetricFamily(
        "nessus_paused", "1 while an operator holds back all launches.", value=pool.paused
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


def _doors(doors: Doors) -> Iterator[Metric]:
    for name, doc, value in (
        ("clients", "Connected MCP and command line clients.", doors.connections),
        ("clients_limit", "limits.connections.", doors.most_connections),
        (
            "connection_memory_bytes",
            "Charged for unfinished messages, requests in work and unread answers.",
            doors.memory,
        ),
        ("connection_memory_limit_bytes", "limits.connection_memory.", doors.most_memory),
    ):
        yield GaugeMetricFamily(f"nessus_{name}", doc, value=value)
    refused = CounterMetricFamily(
        "nessus_clients_refused",
        "Clients and messages that were turned away or cut off, by limit or rule.",
        labels=("limit",),
    )
    for limit, count in sorted(doors.refused.items()):
        refused.add_metric((limit,), count)
    yield refused
    yield CounterMetricFamily(
        "nessus_clients_displaced",
        "Idle clients that were disconnected to make room for others.",
        value=doors.displaced,
    )


def _limits(limits: Mapping[str, Limit]) -> Iterator[Metric]:
    label = ("limit",)
    used = _gauge("nessus_limit_used", "How much of a limit is in use.", label)
    most = _gauge(
        "nessus_limit",
        "A limit: a key of the configuration, or the threads for name lookups.",
        label,
    )
    refused = CounterMetricFamily(
        "nessus_limit_refusals",
        "Requests that a limit refused, and lookups that were given up.",
        labels=label,
    )
    for key, each in limits.items():
        used.add_metric((key,), each.used)
        most.add_metric((key,), each.limit)
        refused.add_metric((key,), each.refused)
    yield from (used, most, refused)


def _queues(reading: Reading) -> Iterator[Metric]:
    pool = reading.pool
    queues = {OVERFLOW: pool.overflow, **{each.scanner_id: each.queue for each in pool.scanners}}
    depth = _gauge("nessus_queue_depth", "Waiting tasks.", ("queue",))
    parked = _gauge(
        "nessus_queue_parked", "Waiting tasks whose targets are being scanned.", ("queue",)
    )
    oldest = _gauge(
        "nessus_queue_oldest_seconds", "Age of the task that is next, 0 for none.", ("queue",)
    )
    for name, queue in queues.items():
        depth.add_metric((name,), queue.length)
        parked.add_metric((name,), queue.parked)
        oldest.add_metric((name,), _age(queue, reading.at))
    yield from (depth, parked, oldest)


def _age(queue: QueueStatistics, now: float) -> float:
    return 0.0 if queue.oldest is None else max(0.0, now - queue.oldest)


def _scanners(reading: Reading) -> Iterator[Metric]:
    label = ("scanner_instance",)
    for name, doc, value in (
        ("up", "1 when the scanner answers.", lambda s: reading.up.get(s.scanner_id, False)),
        (
            "owed_cleanups",
            "Abandoned scans to be cleaned up there.",
            lambda s: reading.owed.get(s.scanner_id, 0),
        ),
        ("active_scans", "Scans that occupy a slot of ours.", lambda s: len(s.slots.active)),
        ("capacity", "Scans it may run at once now.", lambda s: s.slots.capacity),
        ("limit", "Its max_concurrent_scans.", lambda s: s.slots.limit),
        ("utilisation", "Active scans over capacity.", _utilisation),
        ("draining", "1 while it finishes and starts no more.", lambda s: s.draining),
    ):
        gauge = _gauge(f"nessus_scanner_{name}", doc, label)
        for scanner in reading.pool.scanners:
            gauge.add_metric((scanner.scanner_id,), float(value(scanner)))
        yield gauge
    yield from _breakers(reading)
    yield _suspensions(reading)
    failures = CounterMetricFamily(
        "nessus_scanner_driver_failures",
        "How often its driver failed by an error of ours and was started again.",
        labels=label,
    )
    for scanner in reading.pool.scanners:
        failures.add_metric(
            (scanner.scanner_id,), reading.driver_failures.get(scanner.scanner_id, 0)
        )
    yield failures
    age = _gauge("nessus_scanner_plugin_age_seconds", "Age of its plugin set.", label)
    for scanner_id, at in sorted(reading.plugin_set_at.items()):
        age.add_metric((scanner_id,), max(0.0, reading.at - at))
    yield age


def _utilisation(scanner: ScannerStatistics) -> float:
    capacity = scanner.slots.capacity
    return len(scanner.slots.active) / capacity if capacity else 0.0


def _breakers(reading: Reading) -> Iterator[Metric]:
    state = _gauge(
        "nessus_scanner_breaker_state",
        "1 for the state that its breaker is in.",
        ("scanner_instance", "state"),
    )
    openings = CounterMetricFamily(
        "nessus_scanner_breaker_openings",
        "How often its breaker opened.",
        labels=("scanner_instance",),
    )
    for scanner in reading.pool.scanners:
        for each in BreakerState:
            is_it = scanner.breaker.state is each
            state.add_metric((scanner.scanner_id, each.value), float(is_it))
        openings.add_metric((scanner.scanner_id,), scanner.breaker.openings)
    yield from (state, openings)


def _suspensions(reading: Reading) -> Metric:
    found = _gauge(
        "nessus_scanner_suspended",
        "1 while it answers but refuses to scan, by the code of the error.",
        ("scanner_instance", "kind"),
    )
    for scanner in reading.pool.scanners:
        if scanner.suspension is not None:
            found.add_metric((scanner.scanner_id, scanner.suspension.kind.value), 1.0)
    return found


def _commit_latency(commits: Commits) -> Metric:
    """A summary: the library's own kind of it knows no quantiles."""
    name = "nessus_journal_commit_latency_seconds"
    latency = Metric(name, "Time to make a change durable, of the last commits.", "summary")
    latency.add_sample(name, {"quantile": "0.5"}, commits.p50)
    latency.add_sample(name, {"quantile": "0.99"}, commits.p99)
    latency.add_sample(f"{name}_count", {}, commits.commits)
    return latency


def _store(reading: Reading) -> Iterator[Metric]:
    size = _gauge("nessus_store_size_bytes", "Size of what is kept on disk.", ("store",))
    for name, count in sorted(reading.sizes.items()):
        size.add_metric((name,), count)
    yield size
    yield _commit_latency(reading.commits)
    yield GaugeMetricFamily(
        "nessus_journal_largest_batch",
        "Most changes that were committed at once.",
        value=reading.commits.largest_batch,
    )
    for name, doc, value in (
        ("commits", "Commits of the journal.", reading.commits.commits),
        ("changes", "Changes that were committed.", reading.commits.changes),
        ("failures", "Commits that failed.", reading.commits.failures),
    ):
        yield CounterMetricFamily(f"nessus_journal_{name}", doc, value=value)
