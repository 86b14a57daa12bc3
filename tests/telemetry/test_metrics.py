"""The metrics, as a scrape sees them."""

from __future__ import annotations

import random
from typing import Any

import attrs
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from nessus_sched.core.asked import Setting
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import SETTLED, TRANSITIONS, TaskState
from nessus_sched.core.task import ScanKind, ScanRequest, Task, TaskError
from nessus_sched.telemetry.metrics import Metrics
from support.readings import reading, scanner

S = TaskState


def scraped(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Name and label values (by label name) of every sample, to its value."""
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def task(kind: ScanKind = ScanKind.BASIC, **changes: Any) -> Task:
    request = ScanRequest(kind=kind, targets=("192.0.2.1",))
    made = Task(
        task_id="t", trace_id="x", request=request, actor="uid:1", created_at=100.0, order=1
    )
    return attrs.evolve(made, **changes)


def step(
    metrics: Metrics, before: TaskState | None, after: TaskState, at: float, **changes: Any
) -> None:
    made = task(state=after, **changes)
    event = "submitted" if before is None else "moved"
    entry = JournalEntry(at=at, event=event, task_id="t", before=before, after=after)
    metrics.observe_change(made, entry)


def test_a_life_moves_its_metrics() -> None:
    metrics = Metrics("1.2.3")
    step(metrics, None, S.QUEUED, 100.0, entered={S.QUEUED: 100.0})
    entered = {S.QUEUED: 100.0, S.LAUNCHING: 104.0}
    step(metrics, S.QUEUED, S.LAUNCHING, 104.0, entered=entered)
    step(metrics, S.LAUNCHING, S.RUNNING, 105.5, entered=entered)
    error = TaskError(kind="scanner_unreachable", message="", transient=True, at=1.0)
    step(metrics, S.RUNNING, S.RETRY_WAIT, 110.0, last_error=error)
    summary = {"verdict": {"credentialed": "partly", "counts": {"failed": 2, "full": 1}}}
    step(metrics, S.EXPORTING, S.COMPLETED, 200.0, scanner_instance="one", summary=summary)
    seen = scraped(metrics)
    assert seen["nessus_submissions_total", "basic"] == 1
    assert seen["nessus_scans_total", "basic", "completed"] == 1
    assert seen["nessus_queue_wait_seconds_sum",] == 4.0
    assert seen["nessus_launch_latency_seconds_sum",] == 1.5
    assert seen["nessus_retries_total", "scanner_unreachable"] == 1
    assert seen["nessus_task_duration_seconds_sum", "basic"] == 100.0
    assert seen["nessus_validations_total", "partly", "basic"] == 1
    assert seen["nessus_auth_failures_total", "one"] == 2


def test_settings_that_differ_are_counted_from_zero() -> None:
    metrics = Metrics("1")
    entry = JournalEntry(at=1.0, event="scan_created", task_id="t")
    metrics.observe_change(task(state=S.LAUNCHING, scanner_instance="one"), entry)
    name = "nessus_scan_setting_differences_total"
    assert {key: value for key, value in scraped(metrics).items() if key[0] == name} == {
        (name, "one", setting.value): 0 for setting in Setting
    }
    warnings = [{"code": "no_ping", "differs": "ping"}, {"code": "x", "differs": "families"},
                {"code": "y", "differs": "families"}, {"code": "no_port_scanner"},
                {"code": "z", "differs": "of a newer version"}]  # fmt: skip
    step(metrics, S.EXPORTING, S.COMPLETED, 2.0, scanner_instance="one",
         summary={"warnings": warnings})  # fmt: skip
    counted = {key[2] for key, value in scraped(metrics).items() if key[0] == name and value}
    assert counted == {"ping", "families"}


def test_what_changes_no_state_counts_nothing() -> None:
    metrics = Metrics("1")
    before = scraped(metrics)
    entry = JournalEntry(at=1.0, event="pause_requested", before=S.RUNNING, after=S.RUNNING)
    metrics.observe_change(task(state=S.RUNNING), entry)
    changed = {key for key, value in scraped(metrics).items() if before.get(key) != value}
    assert not {key for key in changed if key[0].startswith("nessus_")}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_ends_are_counted_once_on_any_walk(seed: int) -> None:
    metrics, chance = Metrics("1"), random.Random(seed)
    ends = 0
    for _ in range(30):
        state, at = S.QUEUED, 0.0
        while TRANSITIONS[state] and at < 40:
            after = chance.choice(sorted(TRANSITIONS[state]))
            at += 1
            step(metrics, state, after, at)
            ends += after in SETTLED
            state = after
    counted = sum(v for k, v in scraped(metrics).items() if k[0] == "nessus_scans_total")
    assert counted == ends


def test_the_gauges_show_the_snapshot() -> None:
    metrics = Metrics("1.2.3")
    assert ("nessus_active_scans",) not in scraped(metrics)
    metrics.gauges.snapshot = reading(scanner("one"), scanner("two", enabled=False))
    seen = scraped(metrics)
    expected = {
        ("nessus_active_scans",): 2,
        ("nessus_dlq_size",): 3,
        ("nessus_outage",): 1,
        ("nessus_clients",): 2,
        ("nessus_clients_limit",): 256,
        ("nessus_connection_memory_bytes",): 4096,
        ("nessus_connection_memory_limit_bytes",): 2**20,
        ("nessus_clients_refused_total", "limits.connections"): 7,
        ("nessus_clients_refused_total", "role"): 1,
        ("nessus_clients_displaced_total",): 3,
        ("nessus_scanner_instances", "true", "nessus"): 1,
        ("nessus_scanner_instances", "false", "nessus"): 1,
        ("nessus_queue_depth", "overflow"): 7,
        ("nessus_queue_depth", "one"): 3,
        ("nessus_queue_oldest_seconds", "one"): 60,
        ("nessus_queue_oldest_seconds", "overflow"): 0,
        ("nessus_scanner_up", "one"): 1,
        ("nessus_scanner_up", "two"): 0,
        ("nessus_scanner_active_scans", "one"): 2,
        ("nessus_scanner_utilisation", "one"): 0.5,
        ("nessus_scanner_breaker_state", "one", "open"): 1,
        ("nessus_scanner_breaker_state", "one", "closed"): 0,
        ("nessus_scanner_breaker_openings_total", "one"): 2,
        ("nessus_scanner_plugin_age_seconds", "one"): 60,
        ("nessus_store_size_bytes", "tasks"): 4096,
        ("nessus_journal_commit_latency_seconds", "0.99"): 0.01,
        ("nessus_journal_commits_total",): 9,
    }
    assert {key: seen.get(key) for key in expected} == expected


def test_a_scanner_that_is_gone_leaves_no_series() -> None:
    metrics = Metrics("1")
    metrics.gauges.snapshot = reading(scanner("one"), scanner("two"))
    metrics.gauges.snapshot = reading(scanner("one"))
    assert not [key for key in scraped(metrics) if "two" in key]


def test_calls_and_requests_are_counted() -> None:
    metrics = Metrics("1.2.3")
    metrics.observe_call("submit_scan", "ok", 0.02)
    metrics.observe_scanner_request("one", 0.5, None)
    metrics.observe_scanner_request("one", 0.5, "server_error")
    seen = scraped(metrics)
    assert seen["nessus_api_requests_total", "ok", "submit_scan"] == 1
    assert seen["nessus_scanner_request_duration_seconds_count", "one"] == 2
    assert seen["nessus_scanner_request_errors_total", "server_error", "one"] == 1
    assert any(key[0] == "nessus_sched_build_info" and "1.2.3" in key for key in seen)
    assert any(key[0].startswith("process_") for key in seen)
