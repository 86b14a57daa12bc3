"""Two scanners with limits 2 and 3 under forty submissions, counted by the scanners."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.mcp.client import Tools
from nessus_sched.sim.options import SimOptions
from support.processes import Site, client, daemon, scanner_yaml, simulators, site

FORTY = 40


def quick(seed: int) -> SimOptions:
    return SimOptions(seed=seed, scans_take=0.6, export_takes=0.05, alive_share=0.02)


async def submit_forty(tools: Tools) -> dict[str, str | None]:
    """Mixed kinds, priorities and targets; every fifth names the scanner `b`. Returns which
    scanner each task named."""
    named: dict[str, str | None] = {}
    for number in range(FORTY):
        tool = ("submit_scan", "submit_quick_scan")[number % 2]
        scanner = "b" if number % 5 == 0 else None
        answer = await tools.call(
            tool,
            targets=[f"192.0.2.{number + 1}"],
            name=f"scan {number}",
            priority=("low", "normal", "high")[number % 3],
            **({"scanner_instance": scanner} if scanner else {}),
        )
        named[answer["task_id"]] = scanner
    return named


async def all_done(tools: Tools) -> list[dict[str, Any]]:
    with trio.fail_after(120):
        while True:
            listed = await tools.call("list_tasks", limit=100)
            if all(task["status"] == "completed" for task in listed["tasks"]):
                tasks: list[dict[str, Any]] = listed["tasks"]
                return tasks
            await trio.sleep(0.2)


def check_places(tasks: list[dict[str, Any]], named: dict[str, str | None]) -> None:
    for task in tasks:
        wanted = named[task["task_id"]]
        assert wanted is None or task["scanner_instance"] == wanted


@pytest.mark.slow
async def test_limits_hold_both_work_and_the_overflow_queue_empties(tmp_path: Path) -> None:
    options = [quick(seed) for seed in (1, 2)]
    async with simulators(*options) as (a, b):
        place = site(tmp_path, [scanner_yaml("a", a, 2), scanner_yaml("b", b, 3)])
        async with daemon(place), client(place) as tools:
            named = await submit_forty(tools)
            queue = await tools.call("get_queue_status")
            assert queue["active"] <= 5
            assert {row["queue"]: row["length"] for row in queue["queues"]}["overflow"] > 0
            check_places(await all_done(tools), named)
            queue = await tools.call("get_queue_status")
            assert (queue["queued"], queue["active"]) == (0, 0)
        assert a.nessus.ledger.max_running == 2
        assert b.nessus.ledger.max_running == 3
        assert a.nessus.ledger.launches() + b.nessus.ledger.launches() == FORTY


@pytest.mark.slow
async def test_a_reload_in_the_middle_changes_limits_and_adds_a_scanner(tmp_path: Path) -> None:
    options = [quick(seed) for seed in (1, 2, 3)]
    async with simulators(*options) as (a, b, c):
        place = site(tmp_path, [scanner_yaml("a", a, 2), scanner_yaml("b", b, 3)])
        async with daemon(place) as process, client(place) as tools:
            named = await submit_forty(tools)
            place.config["scanners"] = [
                scanner_yaml("a", a, 1),
                scanner_yaml("b", b, 4),
                scanner_yaml("c", c, 1),
            ]
            place.write()
            process.send_signal(signal.SIGHUP)
            await until_limits(tools, {"a": 1, "b": 4, "c": 1})
            # What ran or was being launched at the moment of the reload has ended once the daemon
            # and the scanner are within limits.
            await until_active_is_at_most(tools, "a", 1)
            await until_running_is_at_most(a.nessus.ledger, 1)
            a.nessus.ledger.max_running = a.nessus.ledger.running
            b.nessus.ledger.max_running = b.nessus.ledger.running
            check_places(await all_done(tools), named)
        assert a.nessus.ledger.max_running <= 1
        assert b.nessus.ledger.max_running <= 4
        assert c.nessus.ledger.max_running == 1
        launches = [sim.nessus.ledger.launches() for sim in (a, b, c)]
        assert sum(launches) == FORTY
        assert min(launches) > 0


@pytest.mark.slow
async def test_a_file_with_a_mistake_changes_nothing_and_is_reported(tmp_path: Path) -> None:
    async with simulators(quick(1)) as (a,):
        place = site(tmp_path, [scanner_yaml("a", a, 2)])
        async with daemon(place) as process, client(place) as tools:
            await until_limits(tools, {"a": 2})
            place.config["scanners"][0]["max_concurrent_scans"] = "many"
            place.write()
            process.send_signal(signal.SIGHUP)
            await until_logged(place, "config_rejected")
            await until_limits(tools, {"a": 2})


async def until_limits(tools: Tools, wanted: dict[str, int]) -> None:
    with trio.fail_after(30):
        while True:
            listed = await tools.call("list_scanners")
            found = {
                each["scanner_instance"]: each["max_concurrent_scans"]
                for each in listed["scanners"]
            }
            if found == wanted:
                return
            await trio.sleep(0.05)


async def until_active_is_at_most(tools: Tools, scanner: str, most: int) -> None:
    with trio.fail_after(30):
        while True:
            listed = await tools.call("list_scanners")
            active = {each["scanner_instance"]: each["active_scans"] for each in listed["scanners"]}
            if active[scanner] <= most:
                return
            await trio.sleep(0.05)


async def until_running_is_at_most(ledger: Any, most: int) -> None:
    await until(lambda: bool(ledger.running <= most))


async def until_logged(place: Site, event: str) -> None:
    await until(lambda: event in (place.directory / "daemon.log").read_text())


async def until(holds: Callable[[], bool]) -> None:
    """Looks again and again: what it waits for happens in another process."""
    with trio.fail_after(30):
        while not holds():  # noqa: ASYNC110 - there is no event to wait for
            await trio.sleep(0.05)
