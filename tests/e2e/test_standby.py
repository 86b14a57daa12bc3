"""Two daemons with one database: the second waits, answers reads, and takes over."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import stat
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.serve import RunningSim
from nessus_sched.store.findings.schema import SCHEMA
from support import postgres
from support.processes import Site, client, daemon, scanner_yaml, settled, simulators, site

pytestmark = pytest.mark.slow

TAKE_OVER = 15.0
"""Seconds in which another daemon leads once the leader is gone."""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def machine(tmp_path: Path, name: str, sim: RunningSim, url: str, **changes: Any) -> Site:
    directory = tmp_path / name
    directory.mkdir()
    bind = {"bind": f"127.0.0.1:{free_port()}"}
    return site(directory, [scanner_yaml("a", sim)], store=url, http=bind, **changes)


async def asked(place: Site, page: str) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.get(f"http://{place.config['http']['bind']}/{page}")


async def role(place: Site) -> str:
    reason: str = (await asked(place, "health")).json()["components"]["role"]["reason"]
    return reason


async def until(what: Callable[[], Awaitable[bool]], within: float = 30.0) -> float:
    """Returns once it is so, with the seconds that it took."""
    began = trio.current_time()
    with trio.fail_after(within):
        while not await what():  # noqa: ASYNC110 - another process
            await trio.sleep(0.1)
    return trio.current_time() - began


async def run(place: Site, *words: str, code: int = 0) -> str:
    done = await trio.run_process(
        place.argv(*words),
        env=place.environ,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return (done.stdout if code == 0 else done.stderr).decode()


async def leads(place: Site) -> float:
    """Returns once it leads, with the seconds that it took."""

    async def is_so() -> bool:
        try:
            return await role(place) == "leader"
        except (httpx.HTTPError, KeyError):
            return False

    return await until(is_so, within=2 * TAKE_OVER)


async def launched(sim: RunningSim) -> bool:
    return sim.nessus.ledger.launches() > 0


async def says(place: Site, words: str) -> bool:
    return words in await role(place)


def log_of(place: Site) -> list[dict[str, Any]]:
    text = (place.directory / "daemon.log").read_text()
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


async def test_a_second_daemon_waits_answers_reads_and_takes_over(
    tmp_path: Path, cluster: postgres.Cluster
) -> None:
    url = cluster.url(cluster.database().rsplit("=", 1)[1])
    async with simulators(SimOptions(seed=3, scans_take=8.0, export_takes=0.05)) as (sim,):
        one, two = (machine(tmp_path, each, sim, url) for each in "ab")
        async with daemon(one) as leader, client(one, "--no-start") as tools:
            assert await role(one) == "leader"
            task_id = (await tools.call("submit_scan", targets=["192.0.2.1"], name="x"))["task_id"]
            async with daemon(two, waits=True):
                health = await asked(two, "health")
                assert health.status_code == 200
                assert await role(two) == f"standby: the daemon on {socket.gethostname()} leads"
                assert (await asked(two, "ready")).status_code == 503
                assert "nessus_sched_leader 0.0" in (await asked(two, "metrics")).text
                assert "nessus_sched_leader 1.0" in (await asked(one, "metrics")).text
                assert (
                    json.loads(await run(two, "tasks", "--json"))["tasks"][0]["task_id"] == task_id
                )
                refusal = await run(two, "submit", "192.0.2.2", code=1)
                assert f"the daemon on {socket.gethostname()} leads" in refusal
                await until(partial(launched, sim))
                async with client(two, "--no-start") as waiter:
                    shown = await waiter.call("get_scan_status", task_id="x")
                    assert shown["task_id"] == task_id
                    leader.send_signal(signal.SIGKILL)
                    assert await leads(two) < TAKE_OVER
                    # The same client goes on with the new leader, which has adopted the scan.
                    assert (await settled(waiter, task_id))["status"] == "completed"
                    assert sim.nessus.ledger.launches() == 1
                    again = await waiter.call("submit_scan", targets=["192.0.2.2"])
                assert "nessus_sched_leader 1.0" in (await asked(two, "metrics")).text
                async with daemon(one, waits=True):
                    assert (await role(one)).startswith("standby")
                    assert json.loads(await run(one, "status", again["task_id"], "--json"))
        assert "ok:" in await run(two, "journal", "verify")


def imported(place: Site) -> dict[str, int]:
    """The tasks whose findings are on this machine; importing again changes the number."""
    path = Path(place.config["state_directory"]) / "findings.db"
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT task_id, scan FROM scans WHERE ready"))


async def test_results_are_read_while_it_waits_and_are_there_when_it_leads(
    tmp_path: Path, cluster: postgres.Cluster
) -> None:
    url = cluster.url(cluster.database().rsplit("=", 1)[1])
    async with simulators(SimOptions(seed=3, scans_take=0.2, export_takes=0.05)) as (sim,):
        one, two = (machine(tmp_path, each, sim, url) for each in "ab")
        async with daemon(one) as leader:
            async with client(one, "--no-start") as tools:
                tasks = [
                    (await tools.call("submit_scan", targets=[f"192.0.2.{number}"]))["task_id"]
                    for number in (1, 2, 3)
                ]
                for task_id in tasks:
                    assert (await settled(tools, task_id))["status"] == "completed"
                expected = await tools.call("get_scan_results", task_id=tasks[0], profile="full")
            async with daemon(two, waits=True), client(two, "--no-start") as waiter:

                async def all_read() -> bool:
                    found = (await asked(two, "health")).json()["components"]["findings"]
                    return "reports are read as of" in found["reason"]

                await until(all_read)
                before = imported(two)
                assert before.keys() == set(tasks)
                shown = await waiter.call("get_scan_results", task_id=tasks[0], profile="full")
                assert "This daemon is on standby" in shown["notes"][0]
                assert without_ledger(shown) == without_ledger(expected)
                listed = await run(two, "results", "show", tasks[1])
                assert "192.0.2.2" in listed
                leader.send_signal(signal.SIGKILL)
                assert await leads(two) < TAKE_OVER
                again = await waiter.call("get_scan_results", task_id=tasks[0], profile="full")
                assert without_ledger(again) == without_ledger(expected)
                assert "This daemon is on standby" not in str(again["notes"])
                new = await waiter.call("submit_scan", targets=["192.0.2.4"])
                assert (await settled(waiter, new["task_id"]))["status"] == "completed"
                assert {**before, new["task_id"]: imported(two)[new["task_id"]]} == imported(two)


def without_ledger(page: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows without what the ledger knows, of which a copy may lack the latest scan."""
    return [
        {name: row[name] for name in ("host", "port", "plugin_id", "severity")}
        for row in page["findings"]
    ]


async def test_a_stopped_leader_is_replaced_and_ends_when_it_wakes(
    tmp_path: Path, cluster: postgres.Cluster
) -> None:
    url = cluster.url(cluster.database().rsplit("=", 1)[1])
    async with simulators(SimOptions(seed=3, scans_take=1.0, export_takes=0.05)) as (sim,):
        one, two = (machine(tmp_path, each, sim, url) for each in "ab")
        async with daemon(one) as leader, daemon(two, waits=True):
            leader.send_signal(signal.SIGSTOP)
            assert await leads(two) < TAKE_OVER
            leader.send_signal(signal.SIGCONT)
            with trio.fail_after(20):
                assert await leader.wait() == 75
            assert [e["event"] for e in log_of(one)].count("taken_over") == 1
            assert "Traceback" not in (one.directory / "daemon.log").read_text()
            async with client(two, "--no-start") as tools:
                done = await tools.call("submit_scan", targets=["192.0.2.1"])
                assert (await settled(tools, done["task_id"]))["status"] == "completed"


async def test_clients_find_the_leader_on_another_machine(
    tmp_path: Path, cluster: postgres.Cluster
) -> None:
    url = cluster.url(cluster.database().rsplit("=", 1)[1])
    places = ["ssh://nobody.example.com", "ssh://a.example.com", "ssh://b.example.com"]
    ssh = fake_ssh(tmp_path)
    async with simulators(SimOptions(seed=3, scans_take=1.0, export_takes=0.05)) as (sim,):
        one, two = (machine(tmp_path, each, sim, url, leaders=places) for each in "ab")
        one.more = two.more = {"NESSUS_SCHED_SSH": str(ssh)}
        async with daemon(one) as leader, daemon(two, waits=True):
            told = await run(two, "submit", "192.0.2.1", "--json")
            task_id = json.loads(told)["task_id"]
            by_ssh = one.directory / "ssh.log"
            assert by_ssh.read_text().split() == ["nessus-sched", "mcp", "--leading"]
            async with client(two) as tools:
                assert (await settled(tools, task_id))["status"] == "completed"
                leader.send_signal(signal.SIGTERM)
                assert await leads(two) < TAKE_OVER
                again = await tools.call("submit_scan", targets=["192.0.2.2"])
                assert (await settled(tools, again["task_id"]))["status"] == "completed"
            # From a third machine, which has no configuration.
            third = Site(directory=tmp_path / "c", config={})
            third.directory.mkdir()
            listed = await trio.run_process(
                [sys.executable, "-m", "nessus_sched", "tasks", "--json"],
                env={
                    **third.environ,
                    "NESSUS_SCHED_SSH": str(ssh),
                    "NESSUS_SCHED_SOCKET": ",".join(places),
                    "HOME": str(third.directory),
                },
                capture_stdout=True,
            )
            assert len(json.loads(listed.stdout)["tasks"]) == 2


def fake_ssh(tmp_path: Path) -> Path:
    """Runs the command for the machine of that name, and notes it there."""
    script = tmp_path / "ssh"
    script.write_text(
        f"""#!/bin/sh
while [ "${{1#-}}" != "$1" ]; do [ "$1" = -o ] && shift; shift; done
at={tmp_path}/${{1%.example.com}}; shift
[ -d $at ] || exit 255
echo "$*" > $at/ssh.log; shift
export NESSUS_SCHED_CONFIG=$at/config.yaml XDG_RUNTIME_DIR=$at/run
exec {sys.executable} -m nessus_sched "$@"
"""
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


async def test_another_configuration_neither_waits_nor_leads(
    tmp_path: Path, cluster: postgres.Cluster
) -> None:
    url = cluster.url(cluster.database().rsplit("=", 1)[1])
    async with simulators(SimOptions(seed=3)) as (sim,):
        one, two = (machine(tmp_path, each, sim, url) for each in "ab")
        two.config["targets"] = {"allow": ["192.0.2.0/25"]}
        two.write()
        async with daemon(one):
            said = await run(two, "serve", code=78)
            assert "has another configuration (targets)" in said
            assert "Traceback" not in said
            two.config["targets"] = one.config["targets"]
            two.write()
            # It could not lead, so it does not wait either.
            findings = Path(two.config["state_directory"]) / "findings.db"
            with closing(sqlite3.connect(findings)) as connection:
                connection.executescript(
                    f"PRAGMA application_id = {SCHEMA.application_id};"
                    f"PRAGMA user_version = {SCHEMA.version + 1};"
                )
            assert "newer" in await run(two, "serve", code=78)
            findings.unlink()
            async with daemon(two, waits=True) as process:
                one.config["targets"] = {"allow": ["198.51.100.0/24"]}
                one.write()
                await run(one, "reload")
                await until(partial(says, two, "differs (targets)"))
                two.config["targets"] = one.config["targets"]
                two.write()
                process.send_signal(signal.SIGHUP)
                await until(partial(says, two, "standby: the daemon on"))


async def test_a_database_that_comes_up_later_is_waited_for(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="needs the extra nessus-sched[postgres]")
    try:
        with postgres.running() as cluster:
            url = cluster.url(cluster.database().rsplit("=", 1)[1])
            cluster.stop()
            async with simulators(SimOptions(seed=3)) as (sim,):
                one, two = (machine(tmp_path, each, sim, url) for each in "ab")
                two.config["targets"] = {"allow": ["192.0.2.0/25"]}
                two.write()
                async with daemon(one, waits=True), daemon(two, waits=True) as other:
                    assert (await asked(one, "health")).status_code == 503
                    other.send_signal(signal.SIGSTOP)
                    await trio.to_thread.run_sync(cluster.start)
                    await leads(one)
                    other.send_signal(signal.SIGCONT)
                    with trio.fail_after(20):
                        assert await other.wait() == 78
                    said = (two.directory / "daemon.log").read_text()
                    assert "has another configuration (targets)" in said
                    assert "Traceback" not in said
    except LookupError as error:
        pytest.skip(str(error))
