"""Feeds logs and metrics: collects gauges before a scrape, counts requests, measures loop lag."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Final

import structlog
import trio

from nessus_sched.config.scanners import ScannerSettings
from nessus_sched.core.delivery.outbox import Backlog
from nessus_sched.core.exceptions.exception import ExceptionStatus
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.daemon.system import System
from nessus_sched.ipc.listener import Connections
from nessus_sched.nessus.requests import RequestRecord
from nessus_sched.scheduler.views import nobody_answers
from nessus_sched.telemetry import events
from nessus_sched.telemetry.gauges import Commits, ConnectionUsage, Limit, Snapshot
from nessus_sched.telemetry.metrics import Metrics

log = structlog.get_logger("nessus")

UNAUTHORIZED: Final = "unauthorized"
_CLASSES: Final = {401: UNAUTHORIZED, 404: "not_found", 412: "gated", 429: "too_many_requests"}

LAG_EVERY = 5.0


async def collect_gauges(system: System, metrics: Metrics) -> None:
    """Updates the gauges before a scrape."""
    with suppress(StoreUnavailable):  # the latest sizes do until then
        await system.store.measure()
    store = system.store.statistics()
    views = system.queries.scanners()
    findings = await system.findings.statistics()
    exports = await trio.to_thread.run_sync(system.exports.statistics)
    writer = store.writer
    metrics.gauges.snapshot = Snapshot(
        at=system.context.wall(),
        pool=system.queries.statistics(),
        up={view.settings.id: view.trouble is None for view in views},
        owed={view.settings.id: view.owed for view in views},
        plugin_set_at={
            view.settings.id: view.info.plugin_set_at
            for view in views
            if view.info is not None and view.info.plugin_set_at is not None
        },
        driver_failures=dict(system.fleet.failures),
        outage=nobody_answers(views),
        dead_letters=store.counts[TaskState.DEAD],
        schedules=len(system.schedules.all()),
        troubled_schedules=sum(each.trouble is not None for each in system.schedules.all()),
        exceptions=_by_status(system),
        window_overrun=system.fleet.timekeeper.overrun,
        sizes={
            "tasks": store.database_bytes + store.wal_bytes,
            "findings": findings.bytes,
            "exports": exports.bytes,
        },
        commits=Commits(
            commits=writer.commits,
            changes=writer.requests,
            failures=writer.failures,
            largest_batch=writer.largest_batch,
            p50=writer.commit_p50,
            p99=writer.commit_p99,
        ),
        outbox={
            **{route.name: Backlog() for route in system.delivery.lanes.routes()},
            **system.delivery.backlogs,
        },
        connections=_connection_usage(system.connections),
        limits=_limits(system),
    )


def _by_status(system: System) -> dict[str, int]:
    counts = Counter(each.status.value for each in system.exceptions.all())
    return {status.value: counts[status.value] for status in ExceptionStatus}


def _limits(system: System) -> dict[str, Limit]:
    limits = {
        each.key: Limit(used=each.used, limit=each.limit, refused=each.refused)
        for each in system.context.backlog.statistics()
    }
    for key, lookups in (
        ("target_lookups", system.lookups),
        ("scanner_lookups", system.scanner_lookups),
    ):
        limits[key] = Limit(used=lookups.running, limit=lookups.limit, refused=lookups.timed_out)
    pages = system.pages
    limits["http_connections"] = Limit(used=pages.used, limit=pages.limit, refused=pages.displaced)
    return limits


def _connection_usage(connections: Connections) -> ConnectionUsage:
    statistics = connections.statistics()
    return ConnectionUsage(
        connections=statistics.connected,
        most_connections=connections.places.limit,
        memory=connections.memory.used,
        most_memory=connections.memory.limit,
        refused=statistics.refused,
        displaced=statistics.displaced,
    )


def scanner_request(metrics: Metrics, scanner: ScannerSettings, record: RequestRecord) -> None:
    """Counts and logs one request to a scanner. It runs in the caller's context, so log lines
    carry the task's trace id."""
    outcome = record.outcome
    log.debug(
        events.SCANNER_REQUEST,
        method=record.method,
        route=record.route,
        outcome=outcome,
        seconds=round(record.seconds, 3),
    )
    error = error_class(outcome)
    metrics.observe_scanner_request(scanner.id, record.seconds, error)
    # An expired session is not an error: it is renewed.
    if error == UNAUTHORIZED and (scanner.uses_api_keys or record.route == "/session"):
        metrics.login_refusals.labels(scanner.id).inc()


def error_class(outcome: str) -> str | None:
    """The error label of a request's outcome (an HTTP status, or an error kind if there was no
    answer); None for success."""
    if not outcome.isdigit():
        return outcome
    status = int(outcome)
    if status >= 500:
        return "server_error"
    return None if status < 400 else _CLASSES.get(status, "refused")


async def measure_loop_lag(metrics: Metrics) -> None:
    """Measures every few seconds how late the event loop wakes a sleeper."""
    while True:
        due = trio.current_time() + LAG_EVERY
        await trio.sleep_until(due)
        metrics.loop_lag.observe(trio.current_time() - due)
