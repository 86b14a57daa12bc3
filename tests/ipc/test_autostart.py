"""Meeting points, and relays that start the daemon that is not there."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.ipc import discovery
from nessus_sched.ipc.autostart import DaemonStarter
from support.mcp_wire import LineBuffer, opened, request, until, works

LIB = Path(__file__).parents[1] / "lib"
ENV = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(LIB)}

RELAY = """
import os, sys
from nessus_sched.ipc.relay import Relay
from nessus_sched.ipc.autostart import DaemonStarter
from nessus_sched.ipc import relay
path, base, *argv = sys.argv[1:]
relay.LATER_WAIT = float(os.environ.get("LATER_WAIT", relay.LATER_WAIT))
sys.exit(Relay([path], DaemonStarter(argv, base), "no daemon").run())
"""


def test_a_configuration_has_one_name_however_it_is_reached(tmp_path: Path) -> None:
    config, link = tmp_path / "a.yaml", tmp_path / "b.yaml"
    config.touch()
    link.symlink_to(config)
    assert discovery.config_key(str(config)) == discovery.config_key(str(link))
    assert discovery.config_key(str(config)) != discovery.config_key(str(tmp_path / "c.yaml"))
    assert len(discovery.config_key(str(config))) == 16


def test_the_daemon_is_looked_for_where_it_published_itself(tmp_path: Path) -> None:
    config, environ = str(tmp_path / "c.yaml"), {"XDG_RUNTIME_DIR": str(tmp_path)}
    links = discovery.create_links(config, str(tmp_path / "real.sock"), environ)
    assert discovery.candidate_sockets(config, environ)[0] in links
    assert Path(links[0]).readlink() == tmp_path / "real.sock"
    assert stat.S_IMODE((tmp_path / "nessus-sched").stat().st_mode) == 0o700
    again = discovery.create_links(config, str(tmp_path / "other.sock"), environ)
    discovery.remove_links(links, str(tmp_path / "real.sock"))  # no longer ours
    assert Path(again[0]).readlink() == tmp_path / "other.sock"
    discovery.remove_links(again, str(tmp_path / "other.sock"))
    assert not Path(again[0]).is_symlink()


def test_a_system_service_is_found_by_other_users(tmp_path: Path) -> None:
    system = tmp_path / "run"
    system.mkdir()
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "RUNTIME_DIRECTORY": str(system)}
    assert discovery.default_socket("c.yaml", environ) == f"{system}/mcp.sock"
    links = discovery.create_links("c.yaml", f"{system}/mcp.sock", environ)
    assert f"{system}/{discovery.config_key('c.yaml')}.sock" in links
    assert discovery.candidate_sockets(None, environ) == list(discovery.SYSTEM_SOCKETS)
    assert set(discovery.SYSTEM_SOCKETS) < set(
        discovery.candidate_sockets(discovery.SYSTEM_CONFIG, environ)
    )


def test_a_daemon_that_listens_at_the_meeting_point_needs_no_link(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    path = discovery.default_socket("c.yaml", environ)
    assert discovery.create_links("c.yaml", path, environ) == []
    assert discovery.candidate_sockets("c.yaml", environ)[0] == path


@pytest.mark.parametrize("mode", [0o777, 0o750])
def test_a_directory_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    directory = tmp_path / "nessus-sched"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(discovery.UnsafeDirectory, match="mode 0700"):
        discovery.user_directory({"XDG_RUNTIME_DIR": str(tmp_path)})


def test_which_configuration_is_meant(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    file = tmp_path / "nessus-sched" / "config.yaml"
    if not Path(discovery.SYSTEM_CONFIG).exists():
        assert discovery.default_config(environ) is None
    file.parent.mkdir()
    file.touch()
    assert discovery.default_config(environ) == str(file)
    assert discovery.default_config({**environ, "NESSUS_SCHED_CONFIG": "x"}) == "x"


@asynccontextmanager
async def relay(tmp_path: Path, *argv: str) -> AsyncIterator[trio.Process]:
    command = [sys.executable, "-c", RELAY, str(tmp_path / "s"), str(tmp_path / "base"), *argv]
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENV
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        await process.wait()
        await pipes(process).aclose()


def pipes(process: trio.Process) -> trio.StapledStream[Any, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    return trio.StapledStream(process.stdin, process.stdout)


# Like a daemon: the second finds the place taken, and says so and ends.
DAEMON = """
import fcntl, os, sys
path = sys.argv[1]
lock = os.open(path + ".lock", os.O_CREAT | os.O_RDWR)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit("the state directory is in use")
with open(path + ".pids", "a") as pids:
    pids.write(f"{os.getpid()}\\n")
os.execv(sys.executable, [sys.executable, "-m", "support.mcp_daemon", path])
"""


# Exits with code 0 on SIGTERM, as the daemon does.
STOPPABLE = """
import os, runpy, signal, sys
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
with open(sys.argv[1] + ".pids", "a") as pids:
    pids.write(f"{os.getpid()}\\n")
runpy.run_module("support.mcp_daemon", run_name="__main__", alter_sys=True)
"""


def kill_daemons(tmp_path: Path) -> int:
    pids = [int(line) for line in (tmp_path / "s.pids").read_text().split()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return len(pids)


@pytest.mark.slow
async def test_three_relays_at_once_start_one_daemon_and_it_outlives_them(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", DAEMON, str(tmp_path / "s"))
    try:
        async with (
            relay(tmp_path, *argv) as first,
            relay(tmp_path, *argv) as second,
            relay(tmp_path, *argv) as third,
        ):
            third.kill()
            for process in (first, second):
                lines = await opened(pipes(process))
                assert await works(pipes(process), lines)
            await pipes(first).send_stream.aclose()
            assert await first.wait() == 0
            lines = await opened(pipes(second))
        async with relay(tmp_path, "/bin/false") as later:
            assert await works(pipes(later), await opened(pipes(later)))
    finally:
        assert kill_daemons(tmp_path) >= 1


async def test_a_daemon_that_cannot_start_says_why(tmp_path: Path) -> None:
    failing = """import sys
sys.stderr.write('{"event": "noise"}\\nconfig.yaml, line 3: no such key\\n')
sys.exit('config.yaml, line 5: no such scanner')
"""
    async with relay(tmp_path, sys.executable, "-c", failing) as process:
        lines = LineBuffer(pipes(process))
        started = trio.current_time()
        await pipes(process).send_all(request(1, "initialize"))
        answer = await lines.next()
        assert answer["error"]["message"] == (
            "The nessus-sched daemon could not start: config.yaml, line 3: no such key; "
            "config.yaml, line 5: no such scanner"
        )
        assert trio.current_time() - started < 10
    assert not list(tmp_path.glob("*.log"))


@pytest.mark.slow
async def test_a_daemon_that_was_stopped_is_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENV, "LATER_WAIT", "0.2")
    async with relay(tmp_path, sys.executable, "-c", STOPPABLE, str(tmp_path / "s")) as process:
        lines = await opened(pipes(process))
        assert await works(pipes(process), lines)
        (pid,) = (tmp_path / "s.pids").read_text().split()
        os.kill(int(pid), signal.SIGTERM)
        await until(lambda: not _command(pid))
        await pipes(process).send_all(request(1, "tools/list"))
        answer = await lines.next()
        assert "was stopped" in answer["error"]["message"]
        assert "nessus-sched serve" in answer["error"]["message"]
    assert (tmp_path / "s.pids").read_text().split() == [pid]


@pytest.mark.slow
async def test_a_daemon_that_crashed_is_started_again(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", STOPPABLE, str(tmp_path / "s"))
    try:
        async with relay(tmp_path, *argv) as process:
            lines = await opened(pipes(process))
            (pid,) = (tmp_path / "s.pids").read_text().split()
            os.kill(int(pid), signal.SIGKILL)
            await until(lambda: not _command(pid))
            await pipes(process).send_all(request(1, "tools/list"))
            assert "result" in await lines.next()
    finally:
        os.kill(int((tmp_path / "s.pids").read_text().split()[-1]), signal.SIGKILL)


async def test_a_starter_holds_the_lock_only_while_it_starts(tmp_path: Path) -> None:
    base = str(tmp_path / "base")
    first = DaemonStarter([sys.executable, "-c", "import time; time.sleep(60)"], base)
    second = DaemonStarter(["/bin/true"], base)
    first.start()
    second.start()
    assert first.running
    assert not second.running
    first.done()
    assert (tmp_path / "base.log").exists()
    second.start()
    assert second.running
    await until(lambda: second.failure() is not None)
    (pid,) = (
        int(entry)
        for entry in os.listdir("/proc")
        if entry.isdigit() and _parent(entry) == os.getpid() and b"sleep(60)" in _command(entry)
    )
    assert os.getsid(pid) == pid  # detached: a signal to our group does not reach it
    os.kill(pid, signal.SIGKILL)
    await until(lambda: _ended(first))


def _ended(starter: DaemonStarter) -> bool:
    starter.reap()
    return not starter.running


def _parent(pid: str) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return 0


def _command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
