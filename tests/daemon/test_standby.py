"""A daemon that waits: what it serves, and when it leads. The store is an SQLite file here."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio

from nessus_sched.config.loading import load
from nessus_sched.core.leading.leader import Daemon, Leader
from nessus_sched.core.masking import Masker
from nessus_sched.core.store_errors import (
    AlreadyRunning,
    OtherConfiguration,
    StoreUnavailable,
    StoreUnreachable,
)
from nessus_sched.daemon.standby import standing_by
from nessus_sched.daemon.standby.answers import READS, who
from nessus_sched.daemon.standby.identity import OWN, digests_of, identity
from support.mcp_wire import request, until
from support.stored import START
from support.waiting import WEST, Waiting, made, waiting, written


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing_by, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(standing_by, "COUNT_EVERY", 0.05)


@pytest.fixture(autouse=True)
def hangup() -> Iterator[None]:
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def role(found: Waiting) -> tuple[str, str]:
    component = found.standby.health().components["role"]
    return component.status.value, component.reason


async def test_tasks_are_read_and_everything_else_is_refused(tmp_path: Path) -> None:
    async with waiting(tmp_path) as found:
        listed = await found.ask("list_tasks")
        assert len(listed["structuredContent"]["tasks"]) == 2
        by_name = await found.ask("get_scan_status", task_id="scan 2")
        assert by_name["structuredContent"]["task_id"] == "t00000002"
        for tool, arguments in (
            ("submit_scan", {"targets": ["192.0.2.1"]}),
            ("cancel_scan", {"task_id": "t00000001"}),
            ("get_queue_status", {}),
            ("search_findings", {}),
        ):
            refused = await found.ask(tool, **arguments)
            assert refused["isError"]
            error = refused["_meta"]["nessus-sched/error"]
            assert error["code"] == "not_leading"
            assert "the daemon on west leads" in error["message"]


async def test_every_tool_is_listed_so_that_clients_need_not_list_them_again(
    tmp_path: Path,
) -> None:
    from nessus_sched.api.tools import ALL_TOOLS, OPERATORS, TOOLS

    async with waiting(tmp_path) as found:
        stream, lines = await found.connect()
        async with stream:
            await stream.send_all(request(1, "tools/list"))
            names = {each["name"] for each in (await lines.next())["result"]["tools"]}
    assert names == {tool.name for tool in TOOLS}
    reading = [tool for tool in (*ALL_TOOLS, *OPERATORS) if tool.name in READS]
    assert {tool.name for tool in reading} == READS
    assert not any(tool.writes for tool in reading)


async def test_roles_limit_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roles = [{"name": "r", "users": ["*"], "targets": ["198.51.100.0/24"]}]
    async with waiting(tmp_path, roles=roles) as found:
        assert len((await found.ask("list_tasks"))["structuredContent"]["tasks"]) == 2
        own = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: own + 1)
        if own == 0:
            from nessus_sched.ipc import listener

            monkeypatch.setattr(
                listener, "peer_of", lambda _s: attrs.evolve(listener.self_peer(), uid=1234)
            )
        assert (await found.ask("list_tasks"))["structuredContent"]["tasks"] == []


async def test_health_says_who_leads_and_why_it_would_not(tmp_path: Path) -> None:
    async with waiting(tmp_path) as found:
        wishes = found.wishes
        assert role(found) == ("ok", "standby: the daemon on west leads")
        wishes.differs = ("roles", "scanners")
        status, reason = role(found)
        assert status == "degraded"
        assert "differs (roles, scanners) from that of the daemon on west" in reason
        wishes.differs = ()
        wishes.leader = attrs.evolve(WEST, released=True)
        assert role(found)[1] == "standby: no daemon leads at the moment"
        wishes.fails = StoreUnavailable("the database is away")
        await until(lambda: found.standby.trouble is not None)
        assert found.standby.health().status.value == "failed"
        assert found.standby.health().components["store"].reason == "the database is away"
        wishes.fails = None
        await until(lambda: found.standby.trouble is None)
        assert found.standby.health().status.value == "ok"


async def test_pages_of_a_daemon_that_waits(tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        bind = f"127.0.0.1:{sock.getsockname()[1]}"
    url = f"http://{bind}"
    async with waiting(tmp_path, http={"bind": bind}) as found, httpx.AsyncClient() as http:
        answers = {page: await http.get(f"{url}/{page}") for page in ("health", "ready", "")}
        assert (await http.get(f"{url}/live")).status_code == 200
        assert "nessus_sched_leader 0.0" in (await http.get(f"{url}/metrics")).text
        found.wishes.fails = StoreUnavailable("away")
        await until(lambda: found.standby.trouble is not None)
        assert (await http.get(f"{url}/health")).status_code == 503
    assert answers["health"].status_code == 200
    assert answers["health"].json()["components"]["role"]["reason"].startswith("standby")
    assert answers["ready"].status_code == 503
    assert answers[""].status_code == 404


async def test_it_leads_once_it_can_and_closes_what_it_served(tmp_path: Path) -> None:
    async with waiting(tmp_path) as found:
        stream, _ = await found.connect()
        found.wishes.leads = True
        await until(lambda: found.ended == [True])
        assert not found.wishes.closed  # the session is the leader's now
        async with stream:
            assert await stream.receive_some() == b""
    assert signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, set())


async def test_clients_look_again_when_another_daemon_leads(tmp_path: Path) -> None:
    async with waiting(tmp_path) as found:
        stream, _ = await found.connect()
        seen = found.wishes.looks
        await until(lambda: found.wishes.looks > seen + 3)
        found.wishes.leader = attrs.evolve(WEST, since=START + 5)
        async with stream:
            assert await stream.receive_some() == b""
        await found.ask("list_tasks")


async def test_a_signal_ends_it_without_leading(tmp_path: Path) -> None:
    async with waiting(tmp_path) as found:
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: found.ended == [False])
    assert found.wishes.closed


async def test_a_new_configuration_is_the_one_to_lead_with(tmp_path: Path) -> None:
    async with waiting(tmp_path) as found:
        before = found.wishes.daemon
        written(tmp_path, targets={"allow": ["198.51.100.0/24"]})
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: found.wishes.daemon is not before)
        assert found.standby.config.targets.allow == ("198.51.100.0/24",)
        assert found.wishes.daemon.sections == digests_of(found.standby.config)
        (tmp_path / "config.yaml").write_text("nonsense: 1")
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: found.standby.rejected is not None)
        assert found.standby.config.targets.allow == ("198.51.100.0/24",)
        assert found.standby.health().components["config"].status.value == "degraded"


@attrs.define
class SlowMirror:
    """A ledger whose copying takes until the test says so."""

    begun: threading.Event = attrs.field(factory=threading.Event)
    goes_on: threading.Event = attrs.field(factory=threading.Event)
    done: bool = False

    def push(self) -> int:
        raise AssertionError("only the leader pushes")

    def catch_up(self) -> bool:
        self.begun.set()
        self.goes_on.wait(30)
        self.done = True
        return True


async def test_a_stop_does_not_wait_for_a_database_that_does_not_answer(tmp_path: Path) -> None:
    found, mirror = await made(tmp_path), SlowMirror()
    found.standby.mirror = mirror
    silent = threading.Event()
    async with waiting(tmp_path, found) as found:
        await trio.to_thread.run_sync(mirror.begun.wait)
        found.wishes.blocks = silent
        await until(lambda: found.standby._session.locked())
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: found.ended == [False])
        assert not mirror.done
    assert not found.wishes.closed  # a thread still uses it
    silent.set()
    mirror.goes_on.set()


async def test_the_ledger_is_whole_before_the_daemon_leads(tmp_path: Path) -> None:
    found, mirror = await made(tmp_path), SlowMirror()
    found.standby.mirror = mirror
    async with waiting(tmp_path, found) as found:
        await trio.to_thread.run_sync(mirror.begun.wait)
        found.wishes.leads = True
        await until(lambda: found.standby.leads)
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert found.ended == []
        mirror.goes_on.set()
        await until(lambda: found.ended == [True])
        assert mirror.done


@pytest.mark.parametrize(
    "fails",
    [StoreUnavailable("away"), OtherConfiguration("west", ["scanners"], leads=True)],
    ids=["store", "configuration"],
)
async def test_what_keeps_it_from_waiting_ends_it(tmp_path: Path, fails: Exception) -> None:
    found = await made(tmp_path)
    found.wishes.fails = fails
    with pytest.raises(type(fails)):
        await found.standby.run()


async def test_a_database_that_is_away_at_the_start_is_waited_for(tmp_path: Path) -> None:
    found = await made(tmp_path)
    found.wishes.fails, found.wishes.leader = StoreUnreachable("connection refused"), None
    async with waiting(tmp_path, found):
        assert found.standby.health().status.value == "failed"
        found.wishes.fails, found.wishes.leads = None, True
        await until(lambda: found.ended == [True])
    found.standby.waits = False
    found.wishes.fails = StoreUnreachable("connection refused")
    with pytest.raises(StoreUnreachable):
        await found.standby.run()


async def test_one_that_a_client_started_does_not_wait(tmp_path: Path) -> None:
    found = await made(tmp_path)
    found.standby.waits = False
    with pytest.raises(AlreadyRunning, match="the daemon on west leads"):
        await found.standby.run()
    found.wishes.leads = True
    assert await found.standby.run()


def test_sections_of_one_machine_need_not_agree_and_secrets_do_not_count(tmp_path: Path) -> None:
    def digests(**changes: Any) -> dict[str, str]:
        return digests_of(load(written(tmp_path, **changes), environ={}))

    def scanner(**changes: Any) -> dict[str, Any]:
        keys = {"access_key": "a" * 64, "secret_key": changes.pop("secret", "b" * 64)}
        plain = {"id": "a", "url": "https://192.0.2.1:8834", "auth": {"api_keys": keys}}
        return {"scanners": [{**plain, **changes}]}

    plain = digests(**scanner())
    assert not OWN & plain.keys()
    assert digests(**scanner(secret="c" * 64)) == plain
    assert digests(**scanner(), http={"bind": None}, log={"level": "debug"}) == plain
    other = digests(**scanner(max_concurrent_scans=7))
    assert Daemon(host="", sections=plain).differs_in(Daemon(host="", sections=other)) == (
        "scanners",
    )


def test_a_daemon_is_known_by_its_host_and_socket(tmp_path: Path) -> None:
    file = written(tmp_path)
    found = identity(load(file, environ={}), file, {})
    assert found.addresses == (str(tmp_path / "s.sock"),)
    assert found.host == os.uname().nodename
    assert who(Leader(daemon=found, since=0.0, released=False)).startswith("the daemon on ")
    assert Masker()(who(None)) == "no daemon leads at the moment"
