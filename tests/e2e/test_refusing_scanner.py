"""A scanner that answers and refuses to scan, beside a healthy one, as real programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.mcp.client import Tools
from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.refusals import Refusal
from support.processes import Site, client, daemon, scanner_yaml, settled, simulators, site
from support.web import free_port, get

WAYS = {
    Refusal.LICENSE_EXPIRED: "license_expired",
    Refusal.NO_RIGHTS: "permission_denied",
    Refusal.LAUNCH_REFUSED: "launch_refused",
    Refusal.DISK_FULL: "scanner_disk_full",
}
"""Ways of refusing, and the code under which each is shown."""
TASKS = 10
"""Tasks for each way."""


@pytest.mark.slow
async def test_a_scanner_that_refuses_harms_only_itself(tmp_path: Path) -> None:
    port = free_port()
    options = [SimOptions(seed=seed, scans_take=0.4, export_takes=0.05) for seed in (1, 2)]
    async with simulators(*options) as (bad, good):
        place = site(
            tmp_path,
            [scanner_yaml("bad", bad), scanner_yaml("good", good, 8)],
            polling={"fastest": "0.1s", "slowest": "0.5s", "probe": "0.5s"},
            http={"bind": f"127.0.0.1:{port}"},
        )
        async with daemon(place), client(place) as tools:
            for number, (way, code) in enumerate(WAYS.items()):
                bad.nessus.refuses = {way}
                before = bad.nessus.ledger.launches()
                tasks = [await submit(place, tools, number * TASKS + each) for each in range(TASKS)]
                await shown_suspended(place, tools, port, code)
                for task_id in tasks:
                    done = await settled(tools, task_id)
                    assert (done["status"], done["scanner_instance"]) == ("completed", "good")
                assert bad.nessus.ledger.launches() == before
                bad.nessus.refuses = set()
                await said(place, "scanners", "retry", "bad")
                again = await tools.call(
                    "submit_scan", targets=["192.0.2.250"], scanner_instance="bad"
                )
                assert (await settled(tools, again["task_id"]))["status"] == "completed"
                assert await suspension(tools) is None
            listed = await tools.call("list_tasks", limit=100)
            assert {task["status"] for task in listed["tasks"]} == {"completed"}
        launched = good.nessus.ledger.launches(), bad.nessus.ledger.launches()
        assert launched == (TASKS * len(WAYS), len(WAYS))


async def submit(place: Site, tools: Tools, number: int) -> str:
    """The id of a new task: mixed kinds and priorities, some from the command line."""
    target = f"192.0.2.{number + 1}"
    if number % TASKS == 0:
        return str(json.loads(await said(place, "submit", target, "--json"))["task_id"])
    tool = ("submit_scan", "submit_quick_scan")[number % 2]
    priority = ("low", "normal", "high")[number % 3]
    answer = await tools.call(tool, targets=[target], priority=priority)
    return str(answer["task_id"])


async def said(place: Site, *words: str) -> str:
    ran = await trio.run_process(place.argv(*words), env=place.environ, capture_stdout=True)
    return ran.stdout.decode()


async def suspension(tools: Tools) -> str | None:
    listed: dict[str, Any] = await tools.call("list_scanners")
    [found] = [each for each in listed["scanners"] if each["scanner_instance"] == "bad"]
    code: str | None = found.get("suspended")
    return code


async def shown_suspended(place: Site, tools: Tools, port: int, code: str) -> None:
    """Wherever people and their monitoring look."""
    with trio.fail_after(30):
        while await suspension(tools) is None:  # noqa: ASYNC110 - another program's
            await trio.sleep(0.05)
    assert await suspension(tools) == code
    status, body = await trio.to_thread.run_sync(get, port, "/health")
    assert status == 200
    assert "is suspended" in json.loads(body)["components"]["scanner:bad"]["reason"]
    _, metrics = await trio.to_thread.run_sync(get, port, "/metrics")
    assert f'nessus_scanner_suspended{{kind="{code}",scanner_instance="bad"}} 1.0' in metrics
    _, page = await trio.to_thread.run_sync(get, port, "/")
    assert "is suspended" in page
    assert "suspended" in await said(place, "scanners", "list")
