"""Real daemons that are killed, and a wall clock that is set, over schedules and a blackout."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.core.clock import system_now
from nessus_sched.mcp.client import Tools
from nessus_sched.sim.options import SimOptions
from support.processes import client, daemon, scanner_yaml, settled, simulators, site

SOURCE = Path(__file__).parent.parent / "lib" / "support" / "stepped_clock.c"
HOUR = 3600.0
SIM = SimOptions(seed=1, scans_take=1.0, export_takes=0.05)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for the preloaded clock"),
]


@pytest.fixture
def ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the seconds by which the clocks of daemons are ahead."""
    library, file = tmp_path / "stepped_clock.so", tmp_path / "ahead"
    command = ["cc", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    file.write_text("0")
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("STEPPED_CLOCK", str(file))
    return file


def iso(hours: float) -> str:
    return datetime.fromtimestamp(system_now() + hours * HOUR, UTC).isoformat(timespec="seconds")


async def firings(tools: Tools, name: str, count: int) -> list[dict[str, Any]]:
    """The latest firings of a schedule, newest first, once there are so many."""
    with trio.fail_after(60):
        while True:
            (found,) = (await tools.call("list_schedules", name=name))["schedules"]
            if len(found["recent"]) >= count:
                return list(found["recent"])
            await trio.sleep(0.1)


async def poke(tools: Tools) -> None:
    """Has the daemon look at the calendar now and not within half a minute."""
    for action in ("pause", "resume"):
        await tools.call("change_schedule", name="other", action=action)


async def test_a_firing_while_the_daemon_is_dead_is_made_up_for_once(
    tmp_path: Path, ahead: Path
) -> None:
    async with simulators(SIM) as (sim,):
        place = site(tmp_path, [scanner_yaml("east", sim, 1)])
        async with daemon(place) as process:
            async with client(place) as tools:
                for name, when in (("soon", {"at": iso(0.5)}), ("hourly", {"every_minutes": 60})):
                    scan = {"targets": ["192.0.2.1"]}
                    await tools.call("create_schedule", name=name, scan=scan, **when)
            process.kill()
        ahead.write_text(str(3.2 * HOUR))
        async with daemon(place) as process:
            async with client(place) as tools:
                (missed,) = await firings(tools, "soon", 1)
                late, earlier = await firings(tools, "hourly", 2)
            process.kill()
        ahead.write_text(str(3.3 * HOUR))
        async with daemon(place), client(place) as tools:
            assert await firings(tools, "hourly", 2) == [late, earlier]
            tasks = (await tools.call("list_tasks"))["tasks"]
    assert (missed["outcome"], "missed by 2 h" in missed["reason"]) == ("skipped", True)
    assert (late["outcome"], "missed by" in late["reason"]) == ("submitted", True)
    assert (earlier["outcome"], "2 earlier firings" in earlier["reason"]) == ("skipped", True)
    assert [task["task_id"] for task in tasks] == [late["task_id"]]


async def test_a_clock_that_was_weeks_ahead_for_a_while(tmp_path: Path, ahead: Path) -> None:
    async with simulators(SIM) as (sim,):
        place = site(tmp_path, [scanner_yaml("east", sim, 1)])
        async with daemon(place), client(place) as tools:
            scan = {"targets": ["192.0.2.1"]}
            await tools.call("create_schedule", name="hourly", scan=scan, every_minutes=60)
            await tools.call("create_schedule", name="other", scan=scan, cron="0 0 1 1 *")
            ahead.write_text(str(500 * HOUR + 60))
            await poke(tools)
            early = await firings(tools, "hourly", 2)
            await settled(tools, early[0]["task_id"])
            ahead.write_text("0")
            await poke(tools)
            with trio.fail_after(60):  # it is noticed within one look
                while True:
                    (found,) = (await tools.call("list_schedules", name="hourly"))["schedules"]
                    following = datetime.fromisoformat(found["next"][0]).timestamp()
                    if following < system_now() + 2 * HOUR:
                        break
                    await trio.sleep(0.5)
            ahead.write_text(str(1.01 * HOUR))
            await poke(tools)
            found_again = await firings(tools, "hourly", 3)
    assert early[0]["outcome"] == "submitted"
    assert found_again[0]["outcome"] == "submitted"
    assert found_again[0]["due"] < early[0]["due"]


async def test_a_blackout_pauses_a_scan_on_the_scanner(tmp_path: Path, ahead: Path) -> None:
    async with simulators(SimOptions(seed=1, scans_take=20.0, export_takes=0.05)) as (sim,):
        freeze = {"name": "freeze", "times": [f"{iso(2)[:19]} to {iso(5)[:19]}".replace("T", " ")]}
        place = site(tmp_path, [scanner_yaml("east", sim, 1)], blackouts=[freeze])
        async with daemon(place), client(place) as tools:
            task = (await tools.call("submit_scan", targets=["192.0.2.1"]))["task_id"]
            for hours, state in ((0, "running"), (3, "paused"), (6, "completed")):
                ahead.write_text(str(hours * HOUR))
                with trio.fail_after(90):
                    while True:
                        found = await tools.call("get_scan_status", task_id=task)
                        if found["status"] == state:
                            break
                        await trio.sleep(0.1)
                if state == "paused":
                    assert "freeze" in found["wait"]["wait_reason"]
