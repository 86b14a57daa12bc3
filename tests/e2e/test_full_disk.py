"""A full disk: submissions are refused clearly, scans are watched on, and room is enough to
recover."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.mcp.client import CallFailed, Tools
from nessus_sched.sim.faults import Fault, FaultKind
from nessus_sched.sim.options import SimOptions
from nessus_sched.store.tasks.offline import read_offline
from support.processes import client, daemon, scanner_yaml, settled, simulators, site
from support.web import free_port, health

ROOM = "6m"
LONG = "x" * 1000
MOST_TRIES = 500
"""So many submissions of `LONG` cannot be stored in what a full disk has left."""


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """A file system of its own in the directory; skips the test where that is impossible."""
    directory.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM},mode=0700", "tmpfs", str(directory)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(directory: Path) -> Path:
    """Leaves no room on the directory's file system; returns the file that takes it."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return filler


async def until_refused(tools: Tools) -> tuple[list[str], str]:
    """Submits until there is no room; the ids of accepted tasks, and the refusal."""
    accepted: list[str] = []
    for number in range(MOST_TRIES):
        try:
            answer = await tools.call(
                "submit_scan",
                targets=["192.0.2.9"],
                description=LONG,
                idempotency_key=f"key {number}",
            )
        except CallFailed as error:
            return accepted, str(error)
        accepted.append(answer["task_id"])
    raise AssertionError("a full disk took everything")


async def status(tools: Tools, task_id: str) -> dict[str, Any]:
    return await tools.call("get_scan_status", task_id=task_id)


@pytest.mark.slow
async def test_a_full_disk_refuses_submissions_and_recovers_without_a_restart(
    tmp_path: Path,
) -> None:
    state, port = tmp_path / "state", free_port()
    with small_disk(state):
        async with simulators(SimOptions(seed=1, scans_take=3600.0, export_takes=0.05)) as (sim,):
            place = site(
                tmp_path, [scanner_yaml("east", sim, 2)], http={"bind": f"127.0.0.1:{port}"}
            )
            async with daemon(place), client(place, "--no-start") as tools:
                running = await two_running(tools)
                filler = await trio.to_thread.run_sync(fill, state)

                accepted, refusal = await until_refused(tools)
                assert "[store_unavailable]" in refusal
                assert "not accepted" in refusal
                assert "full" in refusal
                ill = await health(port, 503)
                assert ill["components"]["store"]["status"] == "failed"
                assert "full" in ill["components"]["store"]["reason"]

                polls = sim.nessus.ledger.requests["GET /scans"]
                await until(lambda: sim.nessus.ledger.requests["GET /scans"] >= polls + 3)
                for task_id in running:
                    assert (await status(tools, task_id))["status"] == "running"
                # They end while nothing can be written.
                for scan in sim.nessus.scans.values():
                    assert scan.latest is not None
                    scan.latest.takes = 0.0
                await trio.sleep(1.0)
                with pytest.raises(CallFailed, match="store_unavailable"):
                    await tools.call("submit_scan", targets=["192.0.2.9"], description=LONG)

                filler.unlink()
                await health(port, 200)
                sim.nessus.scans_take = 0.1
                answer = await tools.call("submit_scan", targets=["192.0.2.9"], name="last")
                for task_id in (*running, *accepted, answer["task_id"]):
                    assert (await settled(tools, task_id))["status"] == "completed"
            assert sim.nessus.ledger.max_running == 2
            assert set(sim.nessus.ledger.of("launch").values()) == {1}
        with read_offline(state) as store:
            assert store.verify().ok
            assert sum(store.counts().values()) == len(running) + len(accepted) + 1


@pytest.mark.slow
async def test_a_report_that_finds_no_room_is_fetched_again_when_there_is(tmp_path: Path) -> None:
    state, port = tmp_path / "state", free_port()
    with small_disk(state):
        async with simulators(SimOptions(seed=1, scans_take=0.1, export_takes=0.05)) as (sim,):
            refusing = sim.nessus.faults.inject(
                Fault(kind=FaultKind.STATUS, method="POST", path="/scans/*/export", times=None)
            )
            place = site(
                tmp_path,
                [scanner_yaml("east", sim, 2)],
                http={"bind": f"127.0.0.1:{port}"},
                scheduling={"backoff_base": "1s", "backoff_max": "1s"},
            )
            async with daemon(place) as process, client(place, "--no-start") as tools:
                submitted = await tools.call("submit_scan", targets=["192.0.2.1"])
                await until(lambda: refusing.struck > 0)
                filler = await trio.to_thread.run_sync(fill, state)
                sim.nessus.faults.clear()
                await until(lambda: sim.nessus.ledger.totals["download"] > 0)
                await health(port, 503)
                assert (await status(tools, submitted["task_id"]))["status"] == "exporting"
                filler.unlink()
                assert (await settled(tools, submitted["task_id"]))["status"] == "completed"
                await health(port, 200)
                assert process.returncode is None
                results = await tools.call("get_scan_results", task_id=submitted["task_id"])
                assert results["total"] > 0


@pytest.mark.slow
async def test_a_directory_for_reports_that_is_gone_is_shown_and_restored(tmp_path: Path) -> None:
    exports, port = tmp_path / "state/exports", free_port()
    async with simulators(SimOptions(seed=1, scans_take=0.1, export_takes=0.05)) as (sim,):
        place = site(
            tmp_path,
            [scanner_yaml("east", sim, 2)],
            http={"bind": f"127.0.0.1:{port}"},
            scheduling={"backoff_base": "1s", "backoff_max": "1s"},
        )
        async with daemon(place), client(place, "--no-start") as tools:
            exports.rmdir()
            exports.touch()  # in the way, so that it cannot be restored yet
            submitted = await tools.call("submit_scan", targets=["192.0.2.1"])
            with trio.fail_after(30):
                while (found := await health(port, 200))["status"] != "degraded":  # noqa: ASYNC110 - it happens elsewhere
                    await trio.sleep(0.1)
            store = found["components"]["store"]
            assert store["status"] == "degraded"
            assert store["reason"].startswith("the report cannot be kept: ")
            exports.unlink()
            assert (await settled(tools, submitted["task_id"]))["status"] == "completed"
            assert (await health(port, 200))["components"]["store"]["status"] == "ok"


async def until(holds: Callable[[], bool]) -> None:
    """Looks again and again: what it waits for happens in another process."""
    with trio.fail_after(60):
        while not holds():  # noqa: ASYNC110 - there is no event to wait for
            await trio.sleep(0.05)


async def two_running(tools: Tools) -> list[str]:
    task_ids = []
    for number in (1, 2):
        answer = await tools.call("submit_scan", targets=[f"192.0.2.{number}"])
        task_ids.append(answer["task_id"])
    with trio.fail_after(30):
        while True:
            listed = await tools.call("list_tasks", states=["running"])
            if len(listed["tasks"]) == len(task_ids):
                return task_ids
            await trio.sleep(0.1)
