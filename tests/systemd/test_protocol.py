"""What systemd and the daemon say to each other, with systemd's part played here."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from nessus_sched.mcp.client import connected
from support import postgres
from support.processes import START, Site, daemon, site

WATCHDOG = 1.0
_AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""
"""The first passed socket is file descriptor 3, and the process is named (sd_listen_fds(3))."""


@attrs.frozen(kw_only=True)
class Service:
    """A daemon that was started as systemd does, with the socket of its clients."""

    process: trio.Process
    notices: trio.socket.SocketType
    clients: Path

    async def hear(self, word: str) -> str:
        """The next message that begins with `word`; what comes before is not looked at."""
        with trio.fail_after(START):
            while True:
                said = (await self.notices.recv(4096)).decode()
                if said.startswith(word):
                    return said


@asynccontextmanager
async def started(place: Site) -> AsyncIterator[Service]:
    notify, clients = place.directory / "notify", place.directory / "clients.sock"
    notices = trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    await notices.bind(str(notify))
    environ = {
        **place.environ,
        "NOTIFY_SOCKET": str(notify),
        "WATCHDOG_USEC": str(round(WATCHDOG * 1e6)),
        "LISTEN_FDS": "1",
    }
    with notices, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(clients))
        listening.listen()
        number = listening.fileno()
        process = await trio.lowlevel.open_process(
            [sys.executable, "-c", _AS_SYSTEMD, str(number), *place.argv("serve")],
            env=environ,
            pass_fds=(number,),
            stderr=-3,
        )
        try:
            yield Service(process=process, notices=notices, clients=clients)
        finally:
            process.kill()
            await process.wait()


@pytest.mark.slow
async def test_a_life_as_a_service(tmp_path: Path) -> None:
    place = site(tmp_path, [])
    async with started(place) as service:
        await service.hear("READY=1")
        with (tmp_path / "client.log").open("w") as errors:
            argv = place.argv("mcp", "--socket", str(service.clients))
            async with connected(argv, place.environ, errors) as tools:
                assert "submit_scan" in await tools.names()
        service.process.send_signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in await service.hear("RELOADING=1")
        await service.hear("READY=1")
        await service.hear("WATCHDOG=1")
        service.process.send_signal(signal.SIGTERM)
        await service.hear("STOPPING=1")
        assert await service.process.wait() == 0
        assert service.clients.is_socket()  # it is systemd's to remove


@pytest.mark.slow
async def test_a_service_that_waits_turns_away_clients_of_its_socket_until_it_leads(
    tmp_path: Path, cluster: postgres.Cluster
) -> None:
    url = cluster.url(cluster.database().rsplit("=", 1)[1])
    for name in "ab":
        (tmp_path / name).mkdir()
    one, two = (site(tmp_path / name, [], store=url) for name in "ab")
    async with daemon(one) as leader, started(two) as service:
        assert "waits: the daemon on" in await service.hear("STATUS=")
        await service.hear("WATCHDOG=1")
        stream = await trio.open_unix_socket(str(service.clients))
        async with stream:
            line = json.loads(await stream.receive_some())
        assert line["error"]["data"] == {"closing": True, "standby": True}
        assert "the daemon on" in line["error"]["message"]
        argv = two.argv("mcp", "--socket", str(service.clients), "--socket", str(one.socket))
        with (tmp_path / "client.log").open("w") as errors:
            async with connected(argv, two.environ, errors) as tools:
                assert (await tools.call("list_scanners"))["scanners"] == []
                leader.kill()
                await service.hear("READY=1")  # now as the leader
                with trio.fail_after(START):
                    assert (await tools.call("list_scanners"))["scanners"] == []


@pytest.mark.slow
async def test_a_stopped_daemon_is_not_heard(tmp_path: Path) -> None:
    async with started(site(tmp_path, [])) as service:
        await service.hear("WATCHDOG=1")
        os.kill(service.process.pid, signal.SIGSTOP)
        with trio.move_on_after(WATCHDOG / 2):
            while True:
                await service.hear("WATCHDOG=1")  # it was on its way
        with trio.move_on_after(2 * WATCHDOG) as silence:
            await service.hear("WATCHDOG=1")
        assert silence.cancelled_caught
