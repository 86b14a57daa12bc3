"""Claude Desktop's way in: hosts that start `nessus-sched mcp`, several at once."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.sim.options import SimOptions
from support.processes import Site, client, daemon, scanner_yaml, settled, simulators, site

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Site]:
    async with simulators(SimOptions(seed=1, scans_take=1.0, export_takes=0.1)) as (sim,):
        yield site(tmp_path, [scanner_yaml("east", sim)], limits={"idle_exit": "1s"})


def line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


async def answers(process: trio.Process, count: int) -> list[dict[str, Any]]:
    """The next `count` lines on stdout; each has to be a protocol message."""
    assert process.stdout is not None
    received = b""
    while received.count(b"\n") < count:
        chunk = await process.stdout.receive_some()
        assert chunk, received
        received += chunk
    return [json.loads(text) for text in received.splitlines()]


@pytest.mark.slow
async def test_a_client_submits_polls_and_reads_results_and_starts_the_daemon_it_needs(
    place: Site,
) -> None:
    async with client(place) as tools:
        assert "submit_scan" in await tools.names()
        submitted = await tools.call("submit_scan", targets=["192.0.2.0/29"], name="first")
        task = await settled(tools, submitted["task_id"])
        assert task["status"] == "completed"
        page = await tools.call("get_scan_results", task_id=task["task_id"], page_size=1000)
        found = await tools.call(
            "get_scan_results", task_id=task["task_id"], filters=["severity>=low"], page_size=1000
        )
        summary = await tools.call("get_scan_summary", task_id=task["task_id"])
    assert page["total"] == summary["summary"]["findings"] > 0
    counts = task["severity_counts"]
    assert found["total"] == sum(counts.values()) - counts["info"]


@pytest.mark.slow
async def test_the_relay_ends_with_its_host_and_says_nothing_but_protocol(place: Site) -> None:
    async with daemon(place):
        relay = await trio.lowlevel.open_process(
            place.argv("mcp"), stdin=-1, stdout=-1, stderr=-1, env=place.environ
        )
        assert relay.stdin is not None
        assert relay.stdout is not None
        await relay.stdin.send_all(line(INITIALIZE))
        (answer,) = await answers(relay, 1)
        assert answer["result"]["serverInfo"]["name"] == "nessus-sched"
        await relay.stdin.aclose()
        with trio.fail_after(1):
            assert await relay.wait() == 0
        assert await relay.stdout.receive_some() == b""


@pytest.mark.slow
async def test_three_hosts_at_once_share_one_daemon_though_one_is_killed(place: Site) -> None:
    task_ids: dict[int, str] = {}

    async def host(number: int) -> None:
        async with client(place) as tools:
            answer = await tools.call("submit_scan", targets=[f"192.0.2.{number}"])
            task_ids[number] = answer["task_id"]

    async def killed() -> None:
        relay = await trio.lowlevel.open_process(
            place.argv("mcp"), stdin=-1, stdout=-1, stderr=-1, env=place.environ
        )
        assert relay.stdin is not None
        await relay.stdin.send_all(line(INITIALIZE))
        relay.kill()
        await relay.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(killed)
        nursery.start_soon(host, 1)
        nursery.start_soon(host, 2)
    async with client(place) as tools:
        listed = await tools.call("list_tasks")
        assert {task["task_id"] for task in listed["tasks"]} == set(task_ids.values())
        for task_id in task_ids.values():
            assert (await settled(tools, task_id))["status"] == "completed"


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["eof", "sigterm"])
async def test_serve_on_stdio_ends_with_its_client_or_its_signal(place: Site, ending: str) -> None:
    process = await trio.lowlevel.open_process(
        place.argv("serve", "--stdio"), stdin=-1, stdout=-1, stderr=-1, env=place.environ
    )
    assert process.stdin is not None
    await process.stdin.send_all(line(INITIALIZE))
    with trio.fail_after(30):
        (answer,) = await answers(process, 1)
    assert answer["id"] == 1
    if ending == "eof":
        await process.stdin.aclose()
    else:
        process.send_signal(signal.SIGTERM)
    with trio.fail_after(2):
        assert await process.wait() == 0
