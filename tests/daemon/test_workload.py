"""A daemon under a mixed workload: metrics, log, webhook and pages agree with what happened."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.cli.client import daemon as operate
from nessus_sched.delivery.sinks.webhook import SIGNATURE
from nessus_sched.mcp.client import Tools
from nessus_sched.sim.faults import Fault, FaultKind
from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.serve import RunningSim
from nessus_sched.telemetry.events import CATALOG
from support.pages import Pages
from support.processes import Site, client, daemon, scanner_yaml, settled, simulators, site
from support.scrape import Scrape, promtool

KEY = "the key of the webhook"
PASSWORDS = {"good": "correct horse battery", "bad": "wrong"}
FAST = SimOptions(scans_take=1.5, export_takes=0.05, transition_takes=0.05)

MOVED = (
    "nessus_submissions_total", "nessus_scans_total", "nessus_task_duration_seconds_sum",
    "nessus_queue_wait_seconds_sum", "nessus_launch_latency_seconds_sum",
    "nessus_retries_total", "nessus_validations_total", "nessus_auth_failures_total",
    "nessus_estimate_error_seconds_count", "nessus_notifications_total",
    "nessus_api_requests_total", "nessus_api_request_duration_seconds_sum",
    "nessus_scanner_request_duration_seconds_sum", "nessus_scanner_request_errors_total",
    "nessus_scanner_login_refusals_total", "nessus_event_loop_lag_seconds_count",
    "nessus_sched_build_info", "nessus_dlq_size", "nessus_clients", "nessus_scanner_instances",
    "nessus_scanner_up", "nessus_scanner_capacity", "nessus_scanner_limit",
    "nessus_scanner_breaker_state", "nessus_scanner_breaker_openings_total",
    "nessus_scanner_plugin_age_seconds", "nessus_store_size_bytes",
    "nessus_journal_commit_latency_seconds", "nessus_journal_commit_latency_seconds_count",
    "nessus_journal_largest_batch", "nessus_journal_commits_total",
    "nessus_journal_changes_total", "nessus_ttl_deletions_total", "process_resident_memory_bytes",
)  # fmt: skip
"""Not 0 when the workload is over."""
BUSY = (
    "nessus_active_scans", "nessus_queue_depth", "nessus_queue_oldest_seconds",
    "nessus_queue_parked", "nessus_scanner_active_scans", "nessus_scanner_utilisation",
)  # fmt: skip
"""Not 0 in the midst of it."""
EVENTS = frozenset({
    "started", "config_loaded", "config_rejected", "scanner_down", "scanner_up", "scanner_ready",
    "breaker_open", "breaker_closed", "task_submitted", "task_taken", "task_scan_created",
    "task_launched", "scan_progress", "task_scan_finished", "exported", "parsed",
    "task_completed", "task_retry_scheduled", "task_retry_due", "task_dead",
    "task_canceled", "auth_verdict", "tool_called", "client_connected",
    "client_gone", "notified", "housekeeping", "scan_removed",
    "scanner_request", "stopping", "stopped",
})  # fmt: skip


@attrs.define
class Hook:
    """A webhook on this machine; refuses the first notification once."""

    url: str
    posts: list[tuple[dict[str, str], bytes]] = attrs.field(factory=list)

    async def serve(self, stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some()
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")[1:]
        headers = dict(line.split(": ", 1) for line in lines)
        while len(body) < int(headers["Content-Length"]):
            body += await stream.receive_some()
        self.posts.append((headers, body))
        status = "503 Busy" if len(self.posts) == 1 else "200 OK"
        await stream.send_all(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())


@asynccontextmanager
async def webhook() -> AsyncIterator[Hook]:
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        hook = Hook(f"http://127.0.0.1:{listener.socket.getsockname()[1]}/T0KEN")
        nursery.start_soon(trio.serve_listeners, hook.serve, [listener])
        yield hook
        nursery.cancel_scope.cancel()


def place_of(directory: Path, pages: Pages, hook: Hook, sims: list[RunningSim]) -> Site:
    return site(
        directory,
        [scanner_yaml(name, sim, 2) for name, sim in zip(("east", "west"), sims, strict=True)],
        http=pages.settings,
        polling={"fastest": "0.2s", "slowest": "0.5s", "probe": "0.5s", "probe_max": "0.5s"},
        scheduling={"max_attempts": 2, "backoff_base": "1s"},
        credentials=[
            {"name": name, "kind": "ssh_password", "username": "scan", "password": password}
            for name, password in PASSWORDS.items()
        ],
        retention={"remote_scans": "0s"},
        log={"components": {"mcp": "debug"}},
        notifications=[{"url": hook.url, "secret": KEY, "events": ["dead", "failed"]}],
    )


async def submit_all(tools: Tools) -> dict[str, str]:
    """Tasks of many kinds, by what is to become of them; two of them have a target in
    common, so that one waits for the other."""
    wanted: list[tuple[str, str, dict[str, Any]]] = [
        ("quick", "submit_quick_scan", {"targets": ["192.0.2.4"]}),
        ("same", "submit_scan", {"targets": ["192.0.2.4/31"]}),
        (
            "doomed",
            "submit_scan",
            {"targets": ["192.0.2.1"], "name": "doomed", "on_early_end": "discard"},
        ),
        ("seen", "submit_trusted_scan", {"targets": ["192.0.2.2"], "credential": "good"}),
        ("shut out", "submit_trusted_scan", {"targets": ["192.0.2.3"], "credential": "bad"}),
        ("waiting", "submit_scan", {"targets": ["192.0.2.8"], "scanner_instance": "east"}),
        ("canceled", "submit_scan", {"targets": ["192.0.2.9"], "scanner_instance": "west"}),
    ]
    made = {}
    for what, tool, arguments in wanted:
        made[what] = (await tools.call(tool, **arguments))["task_id"]
    return made


@pytest.mark.slow
async def test_metrics_log_and_webhook_tell_what_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages, log = Pages(), tmp_path / "daemon.log"
    options = [attrs.evolve(FAST, seed=seed) for seed in (1, 2)]
    async with webhook() as hook, simulators(*options) as sims:
        for sim in sims:
            sim.nessus.faults.inject(Fault(kind=FaultKind.SCAN_ABORTS, scan="doomed*", times=None))
        place = place_of(tmp_path, pages, hook, sims)
        monkeypatch.setenv("NESSUS_SCHED_SOCKET", str(place.socket))
        async with daemon(place) as process:
            async with client(place) as tools:
                await pages.until(lambda now: now["status"] == "ok")
                made = await submit_all(tools)
                busy = Scrape.of((await pages.get("/metrics")).body)
                await tools.call("cancel_scan", task_id=made["canceled"])
                ends = {what: await settled(tools, made[what]) for what in made}
                # One that is told an estimate, now that durations are known.
                last = {"targets": ["192.0.2.77"], "credential": "good"}
                made["last"] = (await tools.call("submit_trusted_scan", **last))["task_id"]
                ends["last"] = await settled(tools, made["last"])
                await _lose_login(pages, sims[1])
                await _clean_up(place, sims)
                await _await_posts(hook, 3)
                text = (await pages.get("/metrics")).body
                queue = await tools.call("get_queue_status")
                listed = await tools.call("list_tasks", limit=100)
                check_metrics(Scrape.of(text), busy, listed, queue, sims)
                if shutil.which("promtool") is not None:
                    assert promtool("check", "metrics", text=text) == ""
                check_page(await pages.get("/"))
                await _idle(log)
            await _mistaken_reload(place, process, log)
            await _talkative(place, log)
    check_posts(hook, made)
    check_log(log, ends)


async def _lose_login(pages: Pages, sim: RunningSim) -> None:
    """A refused login opens the breaker; its end closes it."""
    sim.nessus.faults.inject(Fault(kind=FaultKind.STATUS, status=401, times=None))
    await pages.until(lambda now: now["status"] == "degraded")
    sim.nessus.faults.clear()
    await pages.until(lambda now: now["status"] == "ok")


async def _clean_up(place: Site, sims: list[RunningSim]) -> None:
    """What has ended goes from the scanners; nothing is told to be kept there."""
    deleted = await _operate(place, "housekeeping")
    removed = sum(sim.nessus.ledger.totals["delete"] for sim in sims)
    assert deleted["deleted"]["scans"] == removed == sum(s.nessus.ledger.launches() for s in sims)


async def _operate(place: Site, action: str, **arguments: Any) -> dict[str, Any]:
    def call() -> dict[str, Any]:
        with operate(place.file) as running:
            return running.operate(action, **arguments)

    return await trio.to_thread.run_sync(call)


async def _await_posts(hook: Hook, count: int) -> None:
    with trio.fail_after(30):
        while len(hook.posts) < count:  # noqa: ASYNC110 - it happens in another process
            await trio.sleep(0.05)


async def _idle(log: Path) -> None:
    """Scanners are polled many times meanwhile; the log has nothing to say of it."""
    before = log.stat().st_size
    await trio.sleep(1.5)
    assert log.read_bytes()[before:] == b""


async def _mistaken_reload(place: Site, process: trio.Process, log: Path) -> None:
    right = place.config
    place.config = {**right, "log": {"level": "nonsense"}}
    place.write()
    process.send_signal(signal.SIGHUP)
    await _until_logged(log, "config_rejected")
    place.config = right
    place.write()


async def _talkative(place: Site, log: Path) -> None:
    """An operator makes the log talk of every request to a scanner."""

    levels = await _operate(place, "set_log_level", level="debug", component="nessus")
    assert levels == {"level": "info", "components": {"mcp": "debug", "nessus": "debug"}}
    await _until_logged(log, "scanner_request")


async def _until_logged(log: Path, event: str) -> None:
    with trio.fail_after(30):
        while f'"{event}"' not in log.read_text():  # noqa: ASYNC110 - another process writes it
            await trio.sleep(0.05)


def check_metrics(
    seen: Scrape,
    busy: Scrape,
    listed: dict[str, Any],
    queue: dict[str, Any],
    sims: list[RunningSim],
) -> None:
    assert [name for name in MOVED if not seen.sum(name)] == []
    assert [name for name in BUSY if not busy.sum(name)] == []
    states = Counter(task["status"] for task in listed["tasks"])
    assert seen.by("nessus_scans_total", "status") == dict(states)
    kinds = Counter(task["kind"] for task in listed["tasks"])
    assert seen.by("nessus_submissions_total", "scan_type") == dict(kinds)
    assert seen.sum("nessus_dlq_size") == states["dead"] == 1
    assert seen.sum("nessus_active_scans") == queue["active"] == 0
    assert seen.sum("nessus_queue_depth") == queue["queued"] == 0
    assert seen.sum("nessus_task_duration_seconds_count") == states["completed"]
    launches = sum(sim.nessus.ledger.launches() for sim in sims)
    assert seen.sum("nessus_launch_latency_seconds_count") == launches
    assert seen.by("nessus_ttl_deletions_total", "what") == {"scans": launches}
    assert seen.sum("nessus_retries_total", kind="scan_aborted") == 1
    assert seen.sum("nessus_validations_total", scan_type="trusted", credentialed="no") == 1
    assert seen.sum("nessus_auth_failures_total") == 1
    assert seen.sum("nessus_scanner_breaker_openings_total", scanner_instance="west") == 1
    assert seen.sum("nessus_scanner_breaker_openings_total", scanner_instance="east") == 0
    assert seen.sum("nessus_scanner_up") == 2
    assert seen.by("nessus_scanner_capacity", "scanner_instance") == {"east": 2, "west": 2}
    assert seen.sum("nessus_notifications_total", outcome="taken") == 2
    submits = {"submit_scan": 4, "submit_trusted_scan": 3, "submit_quick_scan": 1}
    calls = seen.by("nessus_api_requests_total", "tool")
    assert {tool: calls[tool] for tool in submits} == submits
    for name, sim in zip(("east", "west"), sims, strict=True):
        counted = seen.sum("nessus_scanner_request_duration_seconds_count", scanner_instance=name)
        # Polls go on while we look, and a fault strikes before the ledger counts.
        assert 0 < counted <= 1.5 * sum(sim.nessus.ledger.requests.values())


def check_page(page: Any) -> None:
    assert page.status == 200
    assert "style-src 'sha256-" in page.headers["content-security-policy"]
    assert page.body.count("completed") >= 5
    assert "<script" not in page.body


def check_posts(hook: Hook, made: dict[str, str]) -> None:
    told = {json.loads(body)["id"]: json.loads(body) for _, body in hook.posts}
    assert {each["task"]["task_id"]: each["event"] for each in told.values()} == {
        made["canceled"]: "failed",
        made["doomed"]: "dead",
    }
    for headers, body in hook.posts:
        mac = hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()
        assert headers[SIGNATURE] == f"sha256={mac}"


def check_log(file: Path, ends: dict[str, Any]) -> None:
    text = file.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    events = {line["event"] for line in lines}
    assert events - set(CATALOG) == set()
    assert EVENTS - events == set()
    for secret in (*PASSWORDS.values(), KEY, "T0KEN"):
        assert len(secret) < 6 or secret not in text
    # One grep by the trace shows the whole life, and nothing else.
    seen = ends["seen"]
    life = [line for line in lines if line.get("trace_id") == seen["trace_id"]]
    told = [line["event"] for line in life if line["event"] != "scan_progress"]
    told.remove("tool_called")  # the client's call; a scanner may be quicker than its answer
    assert told == [
        "task_submitted", "task_taken", "task_scan_created", "task_launched",
        "task_scan_finished", "exported", "parsed", "task_completed", "auth_verdict",
        "scan_removed",
    ]  # fmt: skip
    assert {line["task_id"] for line in life if "task_id" in line} == {seen["task_id"]}
    assert re.fullmatch("[0-9a-f]{32}", seen["trace_id"])
    verdicts = {
        line["trace_id"]: line["credentialed"] for line in lines if line["event"] == "auth_verdict"
    }
    assert verdicts[ends["shut out"]["trace_id"]] == "no"
