"""The database goes away and comes back while scans run: the daemon stays and nothing is lost."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import trio

from nessus_sched.mcp.client import CallFailed, Tools
from nessus_sched.sim.options import SimOptions
from support import postgres
from support.processes import client, daemon, scanner_yaml, settled, simulators, site

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_the_database_is_restarted_while_scans_run(tmp_path: Path, mode: str) -> None:
    try:
        with postgres.running(durable=True) as cluster:
            url = cluster.url(cluster.database().rsplit("=", 1)[1])
            await _restarted(tmp_path, cluster, url, mode)
    except LookupError as error:
        pytest.skip(str(error))


async def _restarted(tmp_path: Path, cluster: postgres.Cluster, url: str, mode: str) -> None:
    options = SimOptions(seed=5, scans_take=1.0, export_takes=0.2)
    async with simulators(options) as (sim,):
        place = site(
            tmp_path, [scanner_yaml("a", sim)], store=url,
            scheduling={"backoff_base": "1s", "backoff_max": "1s"},
        )  # fmt: skip
        async with daemon(place) as process, client(place, "--no-start") as tools:
            accepted = [await submitted(tools, number) for number in range(1, 9)]
            for round_ in range(3):
                await trio.sleep(0.7)
                cluster.stop(mode)
                with trio.move_on_after(1.5 * round_ + 0.5):
                    while True:
                        await questions(tools)
                        await trio.sleep(0.2)
                assert process.poll() is None, (tmp_path / "daemon.log").read_text()[-3000:]
                cluster.start()
                with trio.fail_after(30):
                    accepted.append(await patiently(tools, 20 + round_))
            for task_id in accepted:
                assert (await settled(tools, task_id))["status"] == "completed"
            assert process.poll() is None
        done = await trio.run_process(
            place.argv("journal", "verify"), env=place.environ, capture_stdout=True, check=False
        )
        assert done.stdout.startswith(b"ok:"), done.stdout


async def submitted(tools: Tools, number: int) -> str:
    task_id: str = (
        await tools.call("submit_scan", targets=[f"192.0.2.{number}"], idempotency_key=f"k{number}")
    )["task_id"]
    return task_id


async def patiently(tools: Tools, number: int) -> str:
    while True:
        try:
            return await submitted(tools, number)
        except CallFailed:
            await trio.sleep(0.2)


async def questions(tools: Tools) -> None:
    """Whatever they are answered with, nothing ends."""
    for tool, arguments in (
        ("list_tasks", {}),
        ("submit_scan", {"targets": ["192.0.2.99"], "idempotency_key": "away"}),
        ("get_queue_status", {}),
        ("get_changes", {}),
        ("list_schedules", {}),
    ):
        with suppress(CallFailed):
            await tools.call(tool, **arguments)
