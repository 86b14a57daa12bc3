"""The README's first scanning program, typed as a newcomer types it: one page, from nothing to a
weekly scan with a mail when something critical is new."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
from aiosmtpd.controller import Controller

from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.serve import RunningSim
from support.mail_server import MailServer, free_port, login_with
from support.processes import environment, simulators

README = Path(__file__).parents[2] / "README.md"
PASSWORD = "p@ss:w/rd"
QUICK = "http: {bind: null}\npolling: {fastest: 0.2s, slowest: 1s}\n"
"""The status page's usual port may be taken here, and simulated scans take a second."""
IN_A_TERMINAL = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"


def section() -> Sequence[tuple[str, str]]:
    """The blocks of the section with their languages, in order."""
    text = README.read_text(encoding="utf-8")
    (found,) = re.findall(r"^## A first scanning program\n(.*?)^## ", text, re.M | re.S)
    blocks: list[tuple[str, str]] = re.findall(r"^```(\w*)\n(.*?)^```$", found, re.M | re.S)
    return blocks


@attrs.frozen
class Newcomer:
    """Somebody with an empty home directory and the program on the PATH."""

    home: Path

    @property
    def file(self) -> Path:
        return self.home / ".config" / "nessus-sched" / "config.yaml"

    @property
    def environ(self) -> dict[str, str]:
        # For root, who would otherwise change the configuration of this machine.
        path = f"{self.home}/bin:{os.environ['PATH']}"
        return environment(
            self.home, HOME=str(self.home), PATH=path, NESSUS_SCHED_CONFIG=str(self.file)
        )

    def install(self) -> None:
        program = self.home / "bin" / "nessus-sched"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nessus_sched "$@"\n')
        program.chmod(0o755)

    async def types(self, line: str) -> str:
        with trio.fail_after(90):
            done = await trio.run_process(
                ["sh", "-c", line], cwd=self.home, env=self.environ, check=False,
                capture_stdout=True, stderr=subprocess.STDOUT,
            )  # fmt: skip
        output = done.stdout.decode()
        assert done.returncode == 0, f"{line}\n{output}"
        return output

    async def answers(self, line: str, sim: RunningSim) -> None:
        """Types `config init` in a terminal and answers its questions in turn."""
        state = f"{line.split('#')[0]} --output {self.file} --state-directory {self.home}/state"
        process = await trio.lowlevel.open_process(
            [sys.executable, "-c", IN_A_TERMINAL, "sh", "-c", state],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.environ,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        seen = ""
        with trio.fail_after(60):
            for question, answer in (
                ("URL of the scanner", sim.url),
                ("Is it the scanner's?", "y"),
                ("api-keys or session", ""),
                ("Access key", sim.access_key),
                ("Secret key", sim.secret_key),
                ("Networks that may be scanned", "192.0.2.0/24"),
            ):
                while not re.search(f"{re.escape(question)}[^\n]*: $", seen):
                    piece = await process.stdout.receive_some()
                    assert piece, seen
                    seen += piece.decode()
                await process.stdin.send_all(f"{answer}\n".encode())
                seen = ""
            async for piece in process.stdout:
                seen += piece.decode()
            assert await process.wait() == 0, seen
        with self.file.open("a") as file:
            file.write(QUICK)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            with (self.home / "daemon.log").open("wb") as log:
                run = partial(
                    trio.run_process, ["nessus-sched", "serve"], env=self.environ,
                    stdout=log, stderr=log,
                )  # fmt: skip
                process: trio.Process = await nursery.start(run)
                with trio.fail_after(60):
                    while b'"started"' not in (self.home / "daemon.log").read_bytes():  # noqa: ASYNC110
                        await trio.sleep(0.05)
                yield
                process.send_signal(signal.SIGINT)


@pytest.fixture
def mail() -> Iterator[tuple[MailServer, int]]:
    handler, port = MailServer(), free_port()
    controller = Controller(
        handler, hostname="127.0.0.1", port=port, auth_require_tls=False,
        authenticator=login_with(PASSWORD),
    )  # fmt: skip
    controller.start()
    yield handler, port
    controller.stop()


@pytest.mark.slow
async def test_from_nothing_to_a_mail_when_something_critical_is_new(
    tmp_path: Path, mail: tuple[MailServer, int]
) -> None:
    handler, port = mail
    me = Newcomer(tmp_path)
    me.install()
    (_, first), (_, use), (language, sink), (_, tell) = section()
    assert language == "yaml"
    init, doctor, serve = first.splitlines()
    assert serve.startswith("nessus-sched serve")
    async with simulators(SimOptions(seed=1, scans_take=1.0)) as (sim,):
        await me.answers(init, sim)
        await me.types(doctor)
        async with me.serving():
            said = {line.split()[1]: await me.types(line) for line in use.splitlines()}
            assert "completed" in said["submit"]
            assert "critical" in said["findings"]
            assert "weekly" in said["plan"]
            assert list(tmp_path.glob("management-*.html"))
            mailbox = "@mail.example.com?"
            assert sink.count("mailtos://") == sink.count(mailbox) == 1
            mine = sink.replace("mailtos://", "mailto://")
            mine = mine.replace(mailbox, f"@127.0.0.1:{port}?")
            with me.file.open("a") as file:
                file.write(mine)
            (me.file.parent / "mail.secret").write_text(PASSWORD + "\n")
            for line in tell.splitlines():
                await me.types(line)
            # The network changes before the next Monday.
            sim.nessus.options = attrs.evolve(sim.nessus.options, drift=1.0)
            for line in tell.splitlines()[-2:]:
                await me.types(line)
            with trio.fail_after(30):
                while len(handler.received) < 3:  # noqa: ASYNC110 - no event
                    await trio.sleep(0.05)
    sample, first_scan, news = (message["Subject"] for message in handler.received)
    assert "test of route urgent" in sample
    assert "First scan of" in first_scan
    assert re.search(r"\d+ new \(\d+ critical\)", news), news
