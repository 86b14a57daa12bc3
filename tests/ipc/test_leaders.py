"""Clients look for the daemon that leads at several sockets and hosts."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from nessus_sched.cli.main import cli
from nessus_sched.ipc import discovery, leaders
from nessus_sched.ipc.framing import closing_line
from nessus_sched.ipc.listener import unix_listener
from support.mcp_app import App
from support.mcp_daemon import daemon
from support.mcp_wire import INITIALIZE, LineBuffer, call, notification, opened, request, works

BARE = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[1] / "lib")}
WAITS = closing_line("this daemon waits: the daemon on west leads", standby=True)


@asynccontextmanager
async def relay(
    *places: Path | str, environ: Mapping[str, str] | None = None
) -> AsyncIterator[trio.StapledStream[trio.abc.SendStream, trio.abc.ReceiveStream]]:
    words = [word for each in places for word in ("--socket", str(each))]
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "nessus_sched", "mcp", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**BARE, **(environ or {})},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield trio.StapledStream(process.stdin, process.stdout)
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def says_only(path: Path, said: bytes) -> AsyncIterator[list[bytes]]:
    """Something that takes connections, says that, and closes them; with what it was sent."""
    got: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            if said:
                await stream.send_all(said)
            with trio.move_on_after(0.05):
                got.append(bytes(await stream.receive_some()))

    async with unix_listener(path) as listener, trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield got
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("said", [WAITS, b""], ids=["it waits", "a forwarded socket"])
async def test_a_place_without_a_leader_is_passed_by(tmp_path: Path, said: bytes) -> None:
    first, second, app = tmp_path / "a.sock", tmp_path / "b.sock", App()
    with trio.fail_after(30):
        async with says_only(first, said), daemon(second, app), relay(first, second) as stream:
            lines = await opened(stream)
            assert await works(stream, lines)


async def test_what_was_sent_to_a_daemon_that_waits_is_sent_to_the_leader(tmp_path: Path) -> None:
    """Also a request that must not be sent twice: the first daemon has not read it."""
    first, second = tmp_path / "a.sock", tmp_path / "b.sock"
    everything = request(0, "initialize", **INITIALIZE)
    everything += notification("notifications/initialized") + call(5, "echo", text="x")
    with trio.fail_after(30):
        async with (
            says_only(first, WAITS) as got,
            daemon(second, App()),
            relay(first, second) as stream,
        ):
            await stream.send_all(everything)
            lines = LineBuffer(stream)
            assert (await lines.next())["id"] == 0
            answer = await lines.next()
            assert (answer["id"], "result" in answer) == (5, True)
    assert got == [everything]


async def test_one_that_waits_answers_where_none_leads(tmp_path: Path) -> None:
    path, app = tmp_path / "a.sock", App()
    with trio.fail_after(30):
        async with daemon(tmp_path / "a.standby", app), relay(path, tmp_path / "b.sock") as stream:
            lines = await opened(stream)
            assert await works(stream, lines)


async def test_a_leader_comes_before_one_that_waits(tmp_path: Path) -> None:
    waiting, leading = App(), App()
    with trio.fail_after(30):
        async with (
            daemon(tmp_path / "a.standby", waiting) as other,
            daemon(tmp_path / "b.sock", leading) as found,
            relay(tmp_path / "a.sock", tmp_path / "b.sock") as stream,
        ):
            assert await works(stream, await opened(stream))
            assert (other.statistics().total, found.statistics().total) == (0, 1)


def test_the_list_of_a_daemon_is_read_beside_its_socket(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    (here,) = discovery.meeting_points("c.yaml", environ)
    elsewhere = ["ssh://west.example.com", "/run/east.sock"]
    before = leaders.places("c.yaml", (), environ)
    assert before[0] == here
    assert before[-1].endswith(".standby")
    leaders.write_list(elsewhere, [here])
    found = leaders.places("c.yaml", (), environ)
    assert [each for each in found if each not in before] == elsewhere
    assert found[0] == here
    assert found.index(elsewhere[1]) < found.index(discovery.standby_of(here))
    leaders.write_list([], [here])
    assert leaders.places("c.yaml", (), environ) == before
    leaders.write_list([], [here])


def test_places_that_are_named_are_the_only_ones() -> None:
    named = ["/a.sock", "ssh://west.example.com"]
    assert leaders.places("c.yaml", named, {}) == [*named, "/a.standby"]
    environ = {leaders.VARIABLE: ",".join(named)}
    assert leaders.places(None, (), environ) == [*named, "/a.standby"]


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs the command here; `down.example.com` cannot be reached."""
    script = tmp_path / "ssh"
    script.write_text(
        f"""#!/bin/sh
while [ "${{1#-}}" != "$1" ]; do [ "$1" = -o ] && shift; shift; done
[ $1 = down.example.com ] && exit 255
[ $1 = login.example.com ] && {{ echo Password:; exit 0; }}
shift; [ $1 = nessus-sched ] || exit 1; shift
exec {sys.executable} -m nessus_sched "$@" --socket {tmp_path}/far.sock
"""
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("NESSUS_SCHED_SSH", str(script))
    return script


async def test_a_host_is_reached_by_ssh(tmp_path: Path, ssh: Path) -> None:
    environ = {"NESSUS_SCHED_SSH": str(ssh)}
    with trio.fail_after(60):
        places = ("ssh://down.example.com", "ssh://west.example.com")
        async with daemon(tmp_path / "far.sock", App()), relay(*places, environ=environ) as stream:
            lines = await opened(stream)
            assert await works(stream, lines)
            await stream.send_all(call(2, "echo", text="x" * 900, times=5))
            assert len((await lines.next())["result"]["structuredContent"]["text"]) == 4500


@pytest.mark.parametrize("host", ["west.example.com", "down.example.com", "login.example.com"])
async def test_nothing_is_sent_to_a_host_where_none_leads(
    tmp_path: Path, ssh: Path, host: str
) -> None:
    async with says_only(tmp_path / "far.standby", b"") as got:
        with pytest.raises(OSError, match=r".+"):
            await trio.to_thread.run_sync(leaders.dial, f"ssh://{host}", 1.0)
    assert got == []


def test_an_option_is_not_a_host(tmp_path: Path, ssh: Path) -> None:
    ssh.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    with pytest.raises(OSError, match="is not a host"):
        leaders.dial("ssh://-oProxyCommand=x", 1.0)
    assert not (tmp_path / "ran").exists()


async def test_the_far_end_closes_with_the_daemon(tmp_path: Path, ssh: Path) -> None:
    async with daemon(tmp_path / "far.sock", App()):
        sock = await trio.to_thread.run_sync(leaders.dial, "ssh://west.example.com", 10.0)
    with sock:
        assert await trio.to_thread.run_sync(sock.recv, 10) == b""


async def test_a_command_passes_by_who_does_not_lead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "a.sock", tmp_path / "b.sock"
    run = CliRunner()

    def tasks(*places: Path) -> tuple[int, str]:
        monkeypatch.setenv(leaders.VARIABLE, ",".join(map(str, places)))
        done = run.invoke(cli, ["pause-all"])
        return done.exit_code, done.output

    async with says_only(first, WAITS), says_only(second, b""):
        code, output = await trio.to_thread.run_sync(tasks, first, second)
        assert code == 3
        assert "this daemon waits: the daemon on west leads" in output
        async with daemon(tmp_path / "c.sock", App()):
            code, output = await trio.to_thread.run_sync(tasks, first, second, tmp_path / "c.sock")
        assert "does not know" in output  # the test's daemon has other operations


def test_the_socket_of_systemd_stays_open() -> None:
    """It is listened to once while the daemon waits, and again when it leads."""
    from nessus_sched.ipc.listener import inherited_listener

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()

        async def twice() -> None:
            for _ in range(2):
                async with inherited_listener(sock.fileno()):
                    pass

        trio.run(twice)
        os.fstat(sock.fileno())
