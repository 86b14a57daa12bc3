"""Host names that cannot be looked up when their task is to run."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from nessus_sched.core.states import TaskState
from support.fake_scanner import FakeScanner
from support.world import config_of, error_kind, scanner_settings, virtual_now, world

HOUR = 3600.0


@pytest.mark.parametrize(
    "silence",
    [
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        TimeoutError("the name servers did not answer in time"),
    ],
)
async def test_name_servers_that_do_not_answer_use_up_no_attempt(
    tmp_path: Path, autojump_clock: MockClock, silence: OSError
) -> None:
    trouble = list[OSError]()

    def look_up(_name: str) -> Sequence[str]:
        if trouble:
            raise trouble[0]
        return ("192.0.2.5",)

    scanner = FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a", 1))
    async with world(config, {"a": scanner}, resolve=look_up) as w:
        running = await w.running("192.0.2.1")
        task = await w.submit("web.example.com")
        trouble.append(silence)
        await w.settled(running.task_id)
        await trio.sleep(3 * HOUR)
        waits = await w.task(task.task_id)
        assert (waits.failures, error_kind(waits)) == (0, "name_servers_silent")
        other = await w.submit("192.0.2.2")
        assert (await w.settled(other.task_id)).state is TaskState.COMPLETED
        trouble.clear()
        assert (await w.settled(task.task_id, within=HOUR)).state is TaskState.COMPLETED


async def test_a_name_that_is_gone_uses_up_the_attempts(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    gone = list[OSError]()

    def look_up(_name: str) -> Sequence[str]:
        if gone:
            raise gone[0]
        return ("192.0.2.5",)

    scanner = FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a", 1))
    async with world(config, {"a": scanner}, resolve=look_up) as w:
        running = await w.running("192.0.2.1")
        task = await w.submit("web.example.com")
        gone.append(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
        await w.settled(running.task_id)
        dead = await w.settled(task.task_id, within=HOUR)
        assert (dead.state, error_kind(dead)) == (TaskState.DEAD, "name_not_resolved")
