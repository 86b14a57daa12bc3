"""A daemon whose tasks, reports and ledger are in PostgreSQL, and another machine going on."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.mcp.client import Tools
from nessus_sched.sim.options import SimOptions
from support import postgres
from support.processes import Site, client, daemon, scanner_yaml, settled, simulators, site

pytestmark = pytest.mark.slow


async def run(place: Site, *words: str, code: int = 0) -> str:
    done = await trio.run_process(
        place.argv(*words), env=place.environ, capture_stdout=True, capture_stderr=True, check=False
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return (done.stdout if code == 0 else done.stderr).decode()


async def scanned(tools: Tools, target: str, key: str) -> str:
    submitted = await tools.call(
        "submit_scan", targets=[target], idempotency_key=key, name=f"scan of {target}"
    )
    task_id: str = submitted["task_id"]
    assert (await settled(tools, task_id))["status"] == "completed"
    return task_id


def machine(tmp_path: Path, name: str, scanner: dict[str, Any], url: str) -> Site:
    directory = tmp_path / name
    directory.mkdir()
    return site(directory, [scanner], store=url)


async def test_another_machine_goes_on_with_everything(
    tmp_path: Path, cluster: postgres.Cluster
) -> None:
    url = cluster.url(cluster.database().rsplit("=", 1)[1])
    async with simulators(SimOptions(seed=3, scans_take=0.5, export_takes=0.05)) as (sim,):
        one, two = (machine(tmp_path, each, scanner_yaml("a", sim), url) for each in "ab")
        async with daemon(one) as process, client(one, "--no-start") as tools:
            first = await scanned(tools, "192.0.2.1", "k1")
            before = await tools.call("get_host", host="192.0.2.1")
            assert before["total"]
            second = (await tools.call("submit_scan", targets=["192.0.2.2"]))["task_id"]
            process.send_signal(signal.SIGKILL)
        # The ledger was not pushed since the scan, and nothing of the files is on this machine.
        async with daemon(two), client(two, "--no-start") as tools:
            again = await tools.call(
                "submit_scan", targets=["192.0.2.1"], idempotency_key="k1",
                name="scan of 192.0.2.1",
            )  # fmt: skip
            assert again["task_id"] == first
            # A launch in doubt is looked up once no earlier request can arrive anymore.
            assert (await settled(tools, second, within=120))["status"] == "completed"
            results = await tools.call("get_scan_results", task_id=first)
            assert results["total"]
            after = await tools.call("get_host", host="192.0.2.1")
            assert after == before
        report = tmp_path / "report.nessus"
        await run(two, "results", "export", first, "--format", "nessus", "--output", str(report))
        assert report.read_bytes().startswith(b"<?xml")
        await run(one, "config", "check")
        assert "ok:" in await run(two, "journal", "verify")
        assert len(json.loads(await run(one, "tasks", "--json"))["tasks"]) == 2
        assert "postgresql://" in await run(one, "doctor", "--offline")


async def test_a_store_moves_there_and_back(tmp_path: Path, cluster: postgres.Cluster) -> None:
    url = cluster.url(cluster.database().rsplit("=", 1)[1])
    async with simulators(SimOptions(seed=3, scans_take=0.5, export_takes=0.05)) as (sim,):
        here = machine(tmp_path, "a", scanner_yaml("a", sim), url)
        there = machine(tmp_path, "b", scanner_yaml("a", sim), url)
        state = here.config["state_directory"]
        del here.config["store"]
        here.write()
        async with daemon(here), client(here, "--no-start") as tools:
            first = await scanned(tools, "192.0.2.1", "k1")
            before = await tools.call("get_host", host="192.0.2.1")

        here.config["store"] = url  # without having copied anything
        here.write()
        assert "copy it there" in await run(here, "serve", code=1)
        await copy(here, state, url)
        async with daemon(here), client(here, "--no-start") as tools:
            assert await tools.call("get_host", host="192.0.2.1") == before
            second = await scanned(tools, "192.0.2.2", "k2")
        assert not (Path(state) / "tasks.db").exists()  # nobody runs its tasks again

        async with daemon(there), client(there, "--no-start") as tools:
            assert await tools.call("get_host", host="192.0.2.1") == before
            after = await tools.call("get_host", host="192.0.2.2")
            assert after["total"]

        last = machine(tmp_path, "c", scanner_yaml("a", sim), url)
        del last.config["store"]
        last.write()
        await copy(last, url, last.config["state_directory"])
        async with daemon(last), client(last, "--no-start") as tools:
            assert await tools.call("get_host", host="192.0.2.1") == before
            assert await tools.call("get_host", host="192.0.2.2") == after
            for task_id in (first, second):
                assert (await tools.call("get_scan_results", task_id=task_id))["total"]


async def copy(place: Site, source: str, destination: str) -> None:
    await trio.run_process(
        [*place.program, "store", "copy", source, destination], env=place.environ
    )
