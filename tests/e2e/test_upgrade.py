"""An upgrade while scans run, from real earlier programs, and the way back."""

from __future__ import annotations

import hashlib
import io
import signal
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.mcp.client import Tools
from nessus_sched.sim.options import SimOptions
from support.processes import Site, client, daemon, scanner_yaml, settled, simulators, site

CHECKOUT = Path(__file__).parents[2]
BEFORE_SPLITTING = "3b88cbee2e1eb3672e6733feeabcfe6bdcb2bb98"
"""Neither large tasks nor schedules nor a ledger."""
BEFORE_MESSAGES = "fd986486e1e2f5c6902350accfc5fa176908ce43"
DATABASES = ("tasks.db", "findings.db", "ledger.db")


def earlier(commit: str, place: Path) -> tuple[str, ...]:
    """The program as of a commit, with the libraries of the present one."""
    made = subprocess.run(
        ["git", "-C", CHECKOUT, "archive", commit, "src"], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("the history of this checkout does not reach back far enough")
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        archive.extractall(place, filter="data")
    return "env", f"PYTHONPATH={place}/src", sys.executable, "-m", "nessus_sched"


def contents(state: Path) -> dict[str, str]:
    """Digests of the databases, with what is not yet in their main files."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for name in DATABASES
        for file in state.glob(f"{name}*")
        if not file.name.endswith("-shm") and file.stat().st_size
    }


async def until(tools: Tools, state: str, count: int) -> list[dict[str, Any]]:
    with trio.fail_after(60):
        while True:
            listed: list[dict[str, Any]] = (await tools.call("list_tasks", states=[state]))["tasks"]
            if len(listed) == count:
                return listed
            await trio.sleep(0.1)


async def typed(place: Site, *words: str) -> str:
    done = await trio.run_process(
        place.argv(*words), env=place.environ, capture_stdout=True, capture_stderr=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("commit", "by"), [(BEFORE_SPLITTING, signal.SIGTERM), (BEFORE_MESSAGES, signal.SIGKILL)]
)
async def test_running_scans_findings_and_schedules_outlive_an_upgrade(
    commit: str, by: signal.Signals, tmp_path: Path
) -> None:
    program = earlier(commit, tmp_path / "earlier")
    async with simulators(SimOptions(seed=1, scans_take=3600.0, export_takes=0.05)) as (sim,):
        new = site(tmp_path, [scanner_yaml("east", sim, 2)])
        old = attrs.evolve(new, program=program)
        async with daemon(old) as process, client(old, "--no-start") as tools:
            first = (await tools.call("submit_scan", targets=["192.0.2.2"]))["task_id"]
            await until(tools, "running", 1)
            (scan,) = sim.nessus.scans.values()
            assert scan.latest is not None
            scan.latest.takes = 0.0
            assert (await settled(tools, first))["status"] == "completed"
            before = (await tools.call("get_scan_results", task_id=first))["total"]
            assert before > 0
            others = [
                (await tools.call("submit_scan", targets=[f"192.0.2.{number}"]))["task_id"]
                for number in (3, 4, 5)
            ]
            await until(tools, "running", 2)
            if commit == BEFORE_MESSAGES:
                await typed(old, "schedules", "add", "weekly", "192.0.2.9", "--cron", "0 2 * * mon")
            process.send_signal(by)
            with trio.fail_after(20):
                await process.wait()
        assert sim.nessus.ledger.launches() == 3
        async with daemon(new), client(new, "--no-start") as tools:
            await until(tools, "running", 2)
            for scan in sim.nessus.scans.values():
                assert scan.latest is not None
                scan.latest.takes = 0.0
            sim.nessus.scans_take = 0.1
            for task_id in others:
                ended = await settled(tools, task_id)
                assert (ended["status"], ended["attempt"]) == ("completed", 1)
            assert (await tools.call("get_scan_results", task_id=first))["total"] == before
            schedules = (await tools.call("list_schedules"))["schedules"]
            expected = ["weekly"] if commit == BEFORE_MESSAGES else []
            assert [each["name"] for each in schedules] == expected
            with trio.fail_after(30):  # the ledger is filled in the background
                while "192.0.2.2" not in await typed(new, "findings", "--severity", "info"):  # noqa: ASYNC110
                    await trio.sleep(0.2)
        assert sim.nessus.ledger.launches() == 4
        await typed(new, "journal", "verify")
        code, text = await refused(old)
        assert code == 78
        assert "written by a newer nessus-sched" in text
        async with daemon(new), client(new, "--no-start") as tools:
            listed = (await tools.call("list_tasks", states=["completed"]))["tasks"]
            assert {each["task_id"] for each in listed} == {first, *others}


async def refused(place: Site) -> tuple[int, str]:
    with trio.fail_after(60):
        done = await trio.run_process(
            place.argv("serve"), env=place.environ, capture_stderr=True, check=False
        )
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stderr.decode()


@pytest.mark.slow
@pytest.mark.parametrize("name", DATABASES)
async def test_each_database_of_a_newer_program_is_refused_unchanged(
    name: str, tmp_path: Path
) -> None:
    async with simulators(SimOptions(seed=1, scans_take=0.1)) as (sim,):
        place = site(tmp_path, [scanner_yaml("east", sim)])
        async with daemon(place), client(place, "--no-start") as tools:
            task_id = (await tools.call("submit_scan", targets=["192.0.2.2"]))["task_id"]
            assert (await settled(tools, task_id))["status"] == "completed"
    connection = sqlite3.connect(tmp_path / "state" / name)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    before = contents(tmp_path / "state")
    code, text = await refused(place)
    assert code == 78
    assert f"{name}: written by a newer nessus-sched (schema 999" in text, text
    assert contents(tmp_path / "state") == before
