"""Stopping is quick and leaves scans running; the next start takes them all over at once."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from nessus_sched.mcp.client import Tools
from nessus_sched.sim.faults import Fault, FaultKind, Faults
from nessus_sched.sim.options import SimOptions
from support.processes import client, daemon, scanner_yaml, settled, simulators, site

FIVE = 5
LONGEST_STOP = 10.0
"""Seconds, as promised. With scanners that answer it is far below one."""


class Heard(Faults):
    """No faults, but a list of all requests that arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[str] = []

    def for_request(self, method: str, path: str) -> Fault | None:
        self.requests.append(f"{method} {path}")
        return super().for_request(method, path)


async def five_running(tools: Tools) -> list[str]:
    task_ids = []
    for number in range(FIVE):
        answer = await tools.call("submit_scan", targets=[f"192.0.2.{number + 1}"])
        task_ids.append(answer["task_id"])
    with trio.fail_after(60):
        while True:
            listed = await tools.call("list_tasks", states=["running"])
            if len(listed["tasks"]) == FIVE:
                return task_ids
            await trio.sleep(0.1)


async def stop(process: trio.Process) -> float:
    """SIGTERM; returns how long it took."""
    begun = trio.current_time()
    process.send_signal(signal.SIGTERM)
    with trio.fail_after(LONGEST_STOP):
        assert await process.wait() == 0
    return trio.current_time() - begun


@pytest.mark.slow
async def test_five_running_scans_are_left_running_and_adopted_in_one_poll(
    tmp_path: Path,
) -> None:
    slow = SimOptions(seed=1, scans_take=3600.0, export_takes=0.05)
    async with simulators(slow) as (sim,):
        place = site(tmp_path, [scanner_yaml("east", sim, FIVE)])
        async with daemon(place) as process, client(place, "--no-start") as tools:
            task_ids = await five_running(tools)
            print(f"stopped in {await stop(process):.2f} s")
        scans = list(sim.nessus.scans.values())
        assert [scan.status_text for scan in scans] == ["running"] * FIVE

        sim.nessus.faults = heard = Heard()
        async with daemon(place), client(place, "--no-start") as tools:
            with trio.fail_after(30):
                while len(looked_at(heard.requests)) < FIVE:  # noqa: ASYNC110 - no event
                    await trio.sleep(0.02)
            assert polls_until_all_are_looked_at(heard.requests) == 1
            for scan in scans:
                assert scan.latest is not None
                scan.latest.takes = 0.0
            for task_id in task_ids:
                assert (await settled(tools, task_id))["status"] == "completed"
        assert sim.nessus.ledger.launches() == sim.nessus.ledger.max_running == FIVE


def looked_at(requests: Sequence[str]) -> set[str]:
    return {each for each in requests if re.fullmatch(r"GET /scans/\d+", each)}


def polls_until_all_are_looked_at(requests: Sequence[str]) -> int:
    """How often all scans were asked for before each of the five was."""
    polls = 0
    missing = looked_at(requests)
    for each in requests:
        missing.discard(each)
        polls += each == "GET /scans"
        if not missing:
            break
    return polls


@pytest.mark.slow
async def test_a_scanner_that_no_longer_answers_does_not_hold_up_the_stop(
    tmp_path: Path,
) -> None:
    async with simulators(SimOptions(seed=1, scans_take=3600.0)) as (sim,):
        place = site(tmp_path, [scanner_yaml("east", sim, FIVE)])
        async with daemon(place) as process, client(place, "--no-start") as tools:
            await five_running(tools)
            sim.nessus.faults.inject(Fault(kind=FaultKind.HANG, times=None))
            before = sim.nessus.ledger.totals["fault"]
            with trio.fail_after(30):
                while sim.nessus.ledger.totals["fault"] == before:  # noqa: ASYNC110 - no event
                    await trio.sleep(0.02)
            print(f"stopped in {await stop(process):.2f} s")
        assert sim.nessus.ledger.running == FIVE
