"""One task over four scanners gives the results of one scan on a single scanner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.mcp.client import Tools
from nessus_sched.sim.options import SimOptions
from support.processes import client, daemon, scanner_yaml, simulators, site

NETWORKS = ["192.0.2.0/24", "198.51.100.0/24"]
SAME_NETWORK = SimOptions(
    seed=7, scans_take=1.0, export_takes=0.05, alive_share=0.1, single_targets_alive=False
)


async def ended(tools: Tools, task_id: str) -> dict[str, Any]:
    with trio.fail_after(120):
        while True:
            waited = await tools.call("wait_for_scan", task_id=task_id, timeout_seconds=20)
            if not waited["timed_out"]:
                task: dict[str, Any] = waited["task"]
                return task


async def findings(tools: Tools, task_id: str) -> set[tuple[Any, ...]]:
    """What was found where, without what differs from scan to scan."""
    found: set[tuple[Any, ...]] = set()
    cursor = None
    while True:
        fields = ["host", "plugin_id", "port", "protocol", "severity"]
        page = await tools.call(
            "get_scan_results",
            task_id=task_id,
            fields=fields,
            page_size=200,
            filters=["severity>=low"],
            **({"cursor": cursor} if cursor else {}),
        )
        found |= {tuple(row[field] for field in fields) for row in page["findings"]}
        cursor = page["next_cursor"]
        if cursor is None:
            return found


@pytest.mark.slow
async def test_a_large_task_has_the_results_of_one_scan(tmp_path: Path) -> None:
    async with simulators(*[SAME_NETWORK] * 4) as sims:
        place = site(
            tmp_path,
            [scanner_yaml(name, sim, 2) for name, sim in zip("abcd", sims, strict=True)],
            scheduling={"part_min": 16, "part_max": 256},
        )
        async with daemon(place), client(place) as tools:
            planned = await tools.call("submit_scan", targets=NETWORKS, dry_run=True)
            assert planned["plan"][0]["target_count"] == 512
            assert planned["plan"][0]["scanners"] == list("abcd")
            task_id = (await tools.call("submit_scan", targets=NETWORKS))["task_id"]
            large = await ended(tools, task_id)
            assert large["status"] == "completed"
            parts = (await tools.call("list_tasks", part_of=task_id, limit=100))["tasks"]
            assert large["parts"] == {"completed": len(parts)}
            assert {part["scanner_instance"] for part in parts} == set("abcd")
            listed = await tools.call("list_tasks")
            assert [task["task_id"] for task in listed["tasks"]] == [task_id]
            one_by_one = [
                (await tools.call("submit_scan", targets=[each], split="never"))["task_id"]
                for each in NETWORKS
            ]
            for each in one_by_one:
                assert (await ended(tools, each))["status"] == "completed"
            alone = set[tuple[Any, ...]]().union(
                *[await findings(tools, each) for each in one_by_one]
            )
            together = await findings(tools, task_id)
            assert sorted(together - alone) == sorted(alone - together) == []
            assert alone
            summary = (await tools.call("get_scan_summary", task_id=task_id))["summary"]
            assert summary["scan"]["addresses"] == 512
            assert summary["complete"]
            hosts = {row[0] for row in alone}
            assert len(hosts) <= summary["scan"]["answered"] < 100


@pytest.mark.slow
async def test_a_restarting_scanner_and_a_person_lose_nothing(tmp_path: Path) -> None:
    """One scanner restarts in mid-scan and is down for a while, and somebody stops a scan on
    another: one task, one id, and the results of an undisturbed scan."""
    slower = attrs.evolve(SAME_NETWORK, scans_take=3.0)
    async with simulators(*[slower] * 4) as sims:
        place = site(
            tmp_path,
            [scanner_yaml(name, sim, 2) for name, sim in zip("abcd", sims, strict=True)],
            scheduling={"part_min": 16, "part_max": 256, "backoff_base": "1s"},
        )
        async with daemon(place), client(place) as tools:
            submitted = await tools.call("submit_scan", targets=NETWORKS, on_early_end="roll")
            task_id = submitted["task_id"]
            await trio.sleep(2.5)
            sims[0].nessus.restart(down_seconds=2.0)
            stopped = 0
            for scan in sims[1].nessus.scans.values():
                if scan.latest is not None and scan.latest.status == "running":
                    sims[1].nessus.engine.stop(scan, sims[1].nessus.now())
                    stopped += 1
            assert stopped
            disturbed = await ended(tools, task_id)
            assert disturbed["status"] == "completed"
            parts = (await tools.call("list_tasks", part_of=task_id, limit=100))["tasks"]
            attempts = [
                (await tools.call("get_scan_status", task_id=part["task_id"]))["attempt"]
                for part in parts
            ]
            assert sorted(attempts)[-2:] == [2, 2]
            alone = [
                (await tools.call("submit_scan", targets=[each], split="never"))["task_id"]
                for each in NETWORKS
            ]
            for each in alone:
                assert (await ended(tools, each))["status"] == "completed"
            undisturbed = set[tuple[Any, ...]]().union(
                *[await findings(tools, each) for each in alone]
            )
            found = await findings(tools, task_id)
            assert sorted(found - undisturbed) == sorted(undisturbed - found) == []
            covered = await tools.call("get_coverage", task_id=task_id, limit=500)
            assert covered["counts"].items() <= disturbed["coverage"].items()
            targets = [row["targets"] for row in covered["rows"]]
            assert parse_targets(targets) == parse_targets(NETWORKS)
            assert sum(row["count"] for row in covered["rows"]) == 512
            answered = {
                row["targets"]: row["scanner_instance"]
                for row in covered["rows"]
                if row["status"] == "answered"
            }
            assert answered.keys() >= {row[0] for row in found}
            assert set(answered.values()) == set("abcd")
