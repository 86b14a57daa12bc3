"""Two users at one daemon: one tries to have its scan taken for the other's."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio

from nessus_sched.sim import SimOptions, SimulatedNessus
from support.mcp_wire import LineBuffer, call, opened
from support.other_users import connected_as
from support.processes import daemon, scanner_yaml, simulators, site

VICTIM, THIEF = 70_001, 70_002
pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root, for other users")


class Caller:
    """Calls tools over a user's own connection."""

    def __init__(self, stream: trio.SocketStream, lines: LineBuffer) -> None:
        self._stream, self._lines = stream, lines

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The answer, or `refused` with its text."""
        await self._stream.send_all(call(1, tool, **arguments))
        result = (await self._lines.next())["result"]
        if result.get("isError"):
            return {"refused": result["content"][0]["text"]}
        answer: dict[str, Any] = result["structuredContent"]
        return answer


@pytest.mark.slow
async def test_no_name_takes_over_the_scan_of_another_user() -> None:
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        async with simulators(SimOptions(scans_take=2.0, export_takes=0.05)) as (sim,):
            path = Path(directory) / "mcp.sock"
            place = site(
                Path(directory),
                [scanner_yaml("one", sim, 1)],
                socket={"path": str(path), "mode": "0666"},
                roles=[{"name": "all", "users": [str(VICTIM), str(THIEF)]}],
            )
            async with (
                daemon(place),
                connected_as(path, VICTIM) as mine,
                connected_as(path, THIEF) as theirs,
            ):
                victim, thief = (
                    Caller(mine, await opened(mine)),
                    Caller(theirs, await opened(theirs)),
                )
                with trio.fail_after(120):
                    await attempt(victim, thief, sim.nessus)
        launches = sim.nessus.ledger.of("launch")
    assert sorted(launches.values()) == [1, 1, 1]


async def attempt(victim: Caller, thief: Caller, nessus: SimulatedNessus) -> None:
    order: dict[str, Any] = {"targets": ["192.0.2.1"], "name": "first", "idempotency_key": "k"}
    first = await victim("submit_scan", **order)
    second = await victim("submit_scan", targets=["192.0.2.2"], name="second")
    while not nessus.scans:  # noqa: ASYNC110 - a simulator has no events
        await trio.sleep(0.05)
    [running] = [scan.name for scan in nessus.scans.values()]
    marker = running[running.index("[ns:") :]
    forged = f"[ns:{second['task_id']}.1]"
    for text in (marker, forged, f"weekly {forged}", forged.replace("[", "\uff3b"), f"x{running}"):
        for field in ("name", "description"):
            answer = await thief("submit_scan", targets=["192.0.2.66"], **{field: text})
            assert answer.get("refused", "").endswith("[reserved_name]"), (text, answer)
    stolen = await thief("submit_scan", **{**order, "targets": ["192.0.2.66"], "name": "third"})
    assert stolen.get("task_id") not in (first["task_id"], second["task_id"])
    for task, target in ((first, "192.0.2.1"), (second, "192.0.2.2")):
        while (waited := await victim("wait_for_scan", task_id=task["task_id"]))["timed_out"]:
            pass
        assert waited["task"]["status"] == "completed"
        page = await victim("get_scan_results", task_id=task["task_id"], fields=["host"])
        assert {row["host"] for row in page["findings"]} == {target}
    while (await thief("wait_for_scan", task_id=stolen["task_id"]))["timed_out"]:
        pass
