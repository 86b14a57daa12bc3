"""The daemon on a machine of its own, under a supervisor that always restarts it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from failover.network import Network
from failover.processes import ended, send, start
from support.processes import environment

RESTART: Final = 1.0
"""Seconds until it is started again, as in our systemd unit."""
PORT: Final = 9834
_CRASHES: Final = ('"event": "crashed"', "Traceback (most recent call last)")
_ERROR: Final = re.compile(r"^[ |]*([\w.]*[A-Z]\w+: .{1,200})", re.MULTILINE)
_ANSWER: Final = 1.0
_ON_ITS_OWN: Final = 'echo "$0" > /proc/sys/kernel/hostname && exec "$@"'


@attrs.define
class Supervised:
    """`faulty`: arguments of a program that breaks a promise on purpose, to try the judge."""

    node: str
    directory: Path
    config: dict[str, Any]
    clock: Path
    """A library that moves the wall clock by what `ahead` says."""
    uptime: int
    """Seconds that its steady clocks are ahead of the other machine's."""
    faulty: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    stopped: bool = False
    """By SIGSTOP."""
    held: trio.Event | None = None
    """It is not started again before this is set: the machine is gone."""
    ends: Counter[str] = attrs.field(factory=Counter)
    """How its processes ended, by exit code or signal."""

    @property
    def socket(self) -> Path:
        return self.directory / "mcp.sock"

    @property
    def file(self) -> Path:
        return self.directory / "config.yaml"

    @property
    def log(self) -> Path:
        return self.directory / "daemon.log"

    @property
    def ahead(self) -> Path:
        return self.directory / "ahead"

    def write(self) -> None:
        self.directory.mkdir(exist_ok=True)
        self.ahead.write_text("0")
        own = {
            "http": {"bind": f"127.0.0.1:{PORT}"},
            "socket": {"path": str(self.socket)},
            "log": {"format": "json"},
        }
        self.file.write_text(json.dumps({**own, **self.config}))

    async def supervise(self, network: Network) -> None:
        """Until canceled; then it is killed."""
        try:
            while True:
                self.process = self._start(network)
                code = await ended(self.process)
                self.ends[signal.Signals(-code).name if code < 0 else f"exit {code}"] += 1
                await trio.sleep(RESTART)
                if self.held is not None:
                    await self.held.wait()
        finally:
            self.kill()

    def kill(self) -> None:
        if self.process is not None:
            send(self.process, signal.SIGKILL)
            self.stopped = False

    def stop(self) -> None:
        if self.process is not None:
            send(self.process, signal.SIGSTOP)
            self.stopped = True

    def go_on(self) -> None:
        if self.process is not None:
            send(self.process, signal.SIGCONT)
            self.stopped = False

    def set_clock(self, ahead: int) -> None:
        """The wall clock's error in seconds. Replaced at once, as it is read at any time."""
        new = self.ahead.with_suffix(".new")
        new.write_text(str(ahead))
        new.replace(self.ahead)

    async def ready(self, network: Network) -> bool:
        """Whether it says that it leads and takes work."""
        if self.stopped or self.process is None or self.process.poll() is not None:
            return False
        return await status_of(network, self.node, "/ready") == 200

    def crashes(self) -> list[str]:
        """Bugs by its log, without their tracebacks."""
        if not self.log.exists():
            return []
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            if any(sign in line for sign in _CRASHES):
                errors = _ERROR.findall(line.replace("\\n", "\n"))
                found.append(f"{self.node} crashed: {'; '.join(dict.fromkeys(errors))}")
        return found

    def command(self, network: Network, *words: str) -> list[str]:
        """The command line on its machine."""
        program = [sys.executable, "-m", "nessus_sched", *words, "--config", str(self.file)]
        return [*network.inside(self.node), *program]

    def _start(self, network: Network) -> subprocess.Popen[bytes]:
        clocks = [f"--boottime={self.uptime}", f"--monotonic={self.uptime}"]
        alone = ["unshare", "--uts", "--time", *clocks, "--", "sh", "-c", _ON_ITS_OWN, self.node]
        program = self.faulty or ("-m", "nessus_sched")
        argv = [sys.executable, *program, "serve", "--config", str(self.file)]
        return start([*network.inside(self.node), *alone, *argv], self.log, environ=self._environ())

    def _environ(self) -> Mapping[str, str]:
        library = {"LD_PRELOAD": str(self.clock), "STEPPED_CLOCK": str(self.ahead)}
        found = environment(self.directory, **library)
        # As this process is, so is the daemon: it may be run from a checkout.
        return {**found, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}


async def status_of(network: Network, node: str, path: str) -> int | None:
    """The HTTP status of a page, as someone on that machine sees it; None without an answer."""
    connection = trio.socket.from_stdlib_socket(network.socket_in(node))
    with connection, trio.move_on_after(_ANSWER):
        try:
            await connection.connect(("127.0.0.1", PORT))
            stream = trio.SocketStream(connection)
            await stream.send_all(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            answer = await stream.receive_some()
            return int(answer.split()[1]) if answer else None
        except (OSError, trio.BrokenResourceError):
            return None
    return None


async def build_clock(directory: Path) -> Path:
    """The library for `Supervised.clock`. Needs a C compiler."""
    source = Path(__file__).parents[1] / "support" / "stepped_clock.c"
    library = directory / "stepped_clock.so"
    await trio.run_process(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"])
    return library
