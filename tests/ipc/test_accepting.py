"""Accepting connections when file descriptors run out."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
import trio
from trio.testing import MockClock

from nessus_sched.ipc.accepting import PatientListener


class Inner:
    """Raises or returns what it is given, and then waits for a client that never comes."""

    def __init__(self, outcomes: Iterator[int | str]) -> None:
        self._outcomes = outcomes

    async def accept(self) -> Any:
        await trio.lowlevel.checkpoint()
        outcome = next(self._outcomes, None)
        if outcome is None:
            await trio.sleep_forever()
        if isinstance(outcome, int):
            raise OSError(outcome, os.strerror(outcome))
        return outcome


def patient(*outcomes: int | str) -> Any:
    inner: Any = Inner(iter(outcomes))
    return PatientListener(inner, "socket")


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
async def test_a_shortage_is_logged_twice(autojump_clock: MockClock, error: int) -> None:
    listener = patient(*[error] * 100, "client")
    with structlog.testing.capture_logs() as logs:
        assert await listener.accept() == "client"
        assert trio.current_time() == pytest.approx(10)
        with trio.move_on_after(3600):
            await listener.accept()
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("accept_failing", "error"),
        ("accept_recovered", "info"),
    ]
    assert logs[0]["error"] == os.strerror(error)
    assert logs[1]["failures"] == 100
    assert logs[1]["seconds"] == pytest.approx(9.9 + 10)
    assert {line["listener"] for line in logs} == {"socket"}


async def test_clients_admitted_one_by_one_do_not_end_a_shortage(autojump_clock: MockClock) -> None:
    listener = patient(*(errno.EMFILE, "client") * 50)
    with structlog.testing.capture_logs() as logs:
        for _ in range(50):
            assert await listener.accept() == "client"
        with trio.move_on_after(3600):
            await listener.accept()
    assert [line.get("failures") for line in logs] == [None, 50]


async def test_the_next_shortage_is_logged_again(autojump_clock: MockClock) -> None:
    listener = patient(errno.EMFILE, "client", "client", errno.EMFILE, "client")
    with structlog.testing.capture_logs() as logs:
        await listener.accept()
        await trio.sleep(60)
        await listener.accept()
        await listener.accept()
        with trio.move_on_after(60):
            await listener.accept()
    assert [line.get("failures") for line in logs] == [None, 1, None, 1]


async def test_other_errors_are_raised(autojump_clock: MockClock) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        await patient(errno.EBADF).accept()
