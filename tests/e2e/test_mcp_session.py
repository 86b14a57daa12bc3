"""The usual jobs of an assistant, as plain tool calls: few of them, and few bytes.

`transcript` is what etc/doc/assistant.md shows; `SHOW_TRANSCRIPT=1 pytest -s` prints it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from nessus_sched.api.untrusted import CLOSE, OPEN
from nessus_sched.core.clock import system_now
from nessus_sched.mcp.client import CallFailed
from nessus_sched.sim.options import SimOptions
from support.assistant import Assistant
from support.every_call import CREDENTIALS
from support.processes import client
from support.standing import Standing, standing

pytestmark = pytest.mark.slow

WRONG = {"name": "stale", "kind": "ssh_password", "username": "scan", "password": "wrong"}


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    scanners = {
        "east": SimOptions(seed=3, scans_take=1.0, export_takes=0.05),
        "west": SimOptions(seed=4, scans_take=600.0, max_scans=1),
        "small": SimOptions(seed=5, scans_take=0.3, licensed_ips=16),
    }
    directory = tmp_path_factory.mktemp("session")
    changes: dict[str, Any] = {
        "credentials": [*CREDENTIALS, WRONG],
        "calendar": {"time_zone": "Asia/Kolkata"},
    }
    with standing(directory, scanners, **changes) as stand:
        yield stand


async def test_the_usual_jobs(stand: Standing) -> None:
    async with client(stand.place) as tools:
        me = Assistant(tools)
        task_id = await scan_a_subnet(me)
        await why_not_starting(me)
        await cancel_mine(me)
        await failed_logins(me)
        await ask_the_impossible(me)
        assert task_id
    if os.environ.get("SHOW_TRANSCRIPT"):
        print("\n".join(me.transcript))


async def scan_a_subnet(me: Assistant) -> str:
    me.asked("Scan 192.0.2.64/27 and tell me what is critical.")
    submitted = await me.call(
        "submit_scan",
        targets=["192.0.2.64/27"],
        name="office",
        scanner_instance="east",
        idempotency_key="office-1",
    )
    task = await me.until_settled(submitted["task_id"])
    assert task["status"] == "completed"
    page = await me.call(
        "get_scan_results",
        task_id=task["task_id"],
        filters=["severity=critical"],
        fields=["host", "port", "plugin_name", "cve", "solution"],
    )
    assert page["total"] == task["severity_counts"]["critical"] > 0
    assert {row["host"] for row in page["findings"]}
    me.used(calls=4, size=16_000)
    return str(task["task_id"])


async def why_not_starting(me: Assistant) -> None:
    first = await me.call("submit_scan", targets=["198.51.100.1"], scanner_instance="west")
    while first["status"] == "queued":
        first = await me.call("get_scan_status", task_id=first["task_id"])
    await me.call("submit_scan", targets=["198.51.100.2"], scanner_instance="west")
    me.asked("Why is my scan not starting?")
    listed = await me.call("list_tasks", states=["queued"], limit=5)
    (task,) = listed["tasks"]
    assert "west" in task["wait_reason"]
    status = await me.call("get_scan_status", task_id=task["task_id"])
    assert status["wait"]["queue_position"] == 1
    assert status["wait"]["wait_code"] in ("scanner_full", "behind", "scanner_held")
    me.used(calls=2, size=4_000)


async def cancel_mine(me: Assistant) -> None:
    me.asked("Cancel what I submitted to west.")
    listed = await me.call(
        "list_tasks", states=["queued", "launching", "running"], scanner_instance="west"
    )
    for task in listed["tasks"]:
        answer = await me.call("cancel_scan", task_id=task["task_id"])
        assert answer["status"] == "canceled" or answer["desired"] == "cancel"
    assert len(listed["tasks"]) == 2
    me.used(calls=3, size=8_000)


async def failed_logins(me: Assistant) -> None:
    submitted = await me.call(
        "submit_trusted_scan",
        targets=["192.0.2.64/28"],
        credential="stale",
        name="patches",
        scanner_instance="east",
    )
    await me.until_settled(submitted["task_id"])
    me.asked("Which hosts had failed logins?")
    answer = await me.call("get_scan_summary", task_id=submitted["task_id"])
    verdicts = answer["summary"]["host_verdicts"]
    assert answer["summary"]["verdict"]["credentialed"] == "no"
    assert {row["login"] for row in verdicts} >= {"failed"}
    assert all(row["advice"] for row in verdicts if row["login"] == "failed")
    me.used(calls=1, size=14_000)


async def ask_the_impossible(me: Assistant) -> None:
    me.asked("Scan 203.0.113.5 as root with password hunter2.")
    first = await me.call("submit_trusted_scan", targets=["203.0.113.5"], credential="root:hunter2")
    assert first["refused"].endswith("[inline_secret]")
    assert "hunter2" not in first["refused"]
    second = await me.call("submit_trusted_scan", targets=["203.0.113.5"], credential="linux")
    assert second["refused"].endswith("[targets_out_of_scope]")
    me.used(calls=2, size=2_000)


async def test_what_hosts_wrote_is_fenced_and_labelled(stand: Standing) -> None:
    async with client(stand.place) as tools:
        submitted = await tools.call(
            "submit_scan", targets=["192.0.2.99"], scanner_instance="east", name="a\u202eb\x1b[31m"
        )
        task = (await tools.call("wait_for_scan", task_id=submitted["task_id"]))["task"]
        assert task["name"] == "ab[31m"
        page = await tools.call(
            "get_scan_results", task_id=submitted["task_id"], fields=["plugin_output", "host"]
        )
    outputs = [row["plugin_output"] for row in page["findings"] if row["plugin_output"]]
    assert outputs
    assert all(text.startswith(OPEN) and text.endswith(CLOSE) for text in outputs)
    assert OPEN in page["untrusted"]


async def test_a_search_says_of_which_scan_a_finding_is(stand: Standing) -> None:
    async with client(stand.place) as tools:
        task = await tools.call("submit_scan", targets=["192.0.2.7"], scanner_instance="east")
        while (await tools.call("wait_for_scan", task_id=task["task_id"]))["timed_out"]:
            pass
        found = await tools.call("search_findings", task_ids=[task["task_id"]], page_size=3)
        assert {row["task_id"] for row in found["findings"]} == {task["task_id"]}
        for row in found["findings"]:
            assert row["imported_at"].endswith("+05:30")
            assert abs(datetime.fromisoformat(row["imported_at"]).timestamp() - system_now()) < 600


async def test_a_license_is_respected_before_anything_is_launched(stand: Standing) -> None:
    async with client(stand.place) as tools:
        while (await tools.call("list_scanners"))["scanners"][2]["licensed_hosts"] != 16:
            pass
        large = {"targets": ["198.51.100.0/24"], "dry_run": True}
        with pytest.raises(CallFailed) as caught:
            await tools.call("submit_scan", scanner_instance="small", **large)
        assert str(caught.value).endswith("[license_limit]")
        assert "allows 16" in str(caught.value)
        assert "submit_quick_scan" in str(caught.value)
        assert (await tools.call("submit_scan", **large))["scanner_instance"] != "small"
        found = await tools.call("submit_quick_scan", scanner_instance="small", **large)
        assert found["status"] == "valid"


async def test_results_say_when_the_license_was_used_up(stand: Standing) -> None:
    async with client(stand.place) as tools:
        warned = []
        for network in ("192.0.2.0/28", "192.0.2.128/28", "198.51.100.64/28"):
            task = await tools.call("submit_scan", targets=[network], scanner_instance="small")
            while (await tools.call("wait_for_scan", task_id=task["task_id"]))["timed_out"]:
                pass
            summary = (await tools.call("get_scan_summary", task_id=task["task_id"]))["summary"]
            warned.append("license_limit" in {each["code"] for each in summary["warnings"]})
        assert warned == [False, False, True]


async def test_a_dry_run_estimates_and_changes_nothing(stand: Standing) -> None:
    async with client(stand.place) as tools:
        before = await tools.call("list_tasks")
        dry = await tools.call(
            "submit_scan", targets=["192.0.2.200"], scanner_instance="east", dry_run=True
        )
        assert dry["estimated_wait_seconds"] == 0
        assert dry["target_count"] == 1
        assert dry["task_id"] is None
        assert (await tools.call("list_tasks"))["counts"] == before["counts"]


async def test_the_trace_of_the_caller_is_the_trace_of_the_task(stand: Standing) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    async with client(stand.place) as tools:
        session = tools._session
        meta: Any = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        arguments = {"targets": ["192.0.2.98"], "scanner_instance": "east"}
        result = await session.call_tool("submit_quick_scan", arguments, meta=meta)
    assert result.structured_content is not None
    assert result.structured_content["trace_id"] == trace
    assert trace in stand.log
