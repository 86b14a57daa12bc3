"""What the log and the metrics are told, and what a scrape reads off."""

from __future__ import annotations

import structlog
import trio

from nessus_sched.core.states import TaskState
from nessus_sched.daemon.system import System
from nessus_sched.nessus.messages import RequestRecord
from nessus_sched.telemetry import events
from nessus_sched.telemetry.gauges import Commits, Reading
from nessus_sched.telemetry.metrics import Metrics

log = structlog.get_logger("nessus")

LAG_EVERY = 5.0


async def refresh(system: System, metrics: Metrics) -> None:
    """Brings the gauges up to date before a scrape."""
    store = system.context.store.statistics()
    views = system.service.scanners()
    findings = await system.findings.statistics()
    exports = await trio.to_thread.run_sync(system.exports.statistics)
    writer = store.writer
    metrics.gauges.reading = Reading(
        at=system.context.now(),
        pool=system.service.statistics(),
        up={view.settings.id: view.trouble is None for view in views},
        plugin_set_at={
            view.settings.id: view.info.plugin_set_at
            for view in views
            if view.info is not None and view.info.plugin_set_at is not None
        },
        dead_letters=store.counts[TaskState.DEAD],
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
        clients=system.connections.statistics().connected,
    )


def scanner_request(metrics: Metrics, scanner_id: str, record: RequestRecord) -> None:
    """Counts one request to a scanner; an outcome that is no HTTP status is an error's kind.

    For the log it runs in the context of who asked, and so under a task's trace id."""
    outcome = record.outcome
    log.debug(
        events.SCANNER_REQUEST,
        method=record.method,
        route=record.route,
        outcome=outcome,
        seconds=round(record.seconds, 3),
    )
    error = None if outcome.isdigit() and int(outcome) < 400 else outcome
    metrics.observe_scanner_request(scanner_id, record.seconds, error)


async def measure_loop_lag(metrics: Metrics) -> None:
    """How late the event loop wakes a sleeper, every few seconds."""
    while True:
        due = trio.current_time() + LAG_EVERY
        await trio.sleep_until(due)
        metrics.loop_lag.observe(trio.current_time() - due)
