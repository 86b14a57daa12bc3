"""What the daemon does at signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from nessus_sched.daemon.lifecycle import obey_signals


@pytest.fixture(autouse=True)
def hangup() -> Iterator[None]:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


async def test_a_reload_that_hangs_does_not_hold_up_the_stop() -> None:
    """As while a database does not answer."""
    begun, stopped = trio.Event(), list[str]()

    async def reload() -> None:
        begun.set()
        await trio.sleep_forever()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(obey_signals, stopped.append, reload)
            await wait_all_tasks_blocked()  # else the signal ends the process
            os.kill(os.getpid(), signal.SIGHUP)
            await begun.wait()
            os.kill(os.getpid(), signal.SIGTERM)
    assert stopped == ["SIGTERM"]


async def test_of_many_reloads_that_are_asked_for_during_one_the_last_is_made() -> None:
    begun, ends, reloads = trio.Event(), trio.Event(), list[int]()

    async def reload() -> None:
        begun.set()
        await ends.wait()
        reloads.append(1)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(obey_signals, lambda _name: None, reload)
            await wait_all_tasks_blocked()
            os.kill(os.getpid(), signal.SIGHUP)
            await begun.wait()
            for _ in range(5):
                os.kill(os.getpid(), signal.SIGHUP)
                await trio.sleep(0.01)
            ends.set()
            while len(reloads) < 2:
                await trio.lowlevel.checkpoint()
            os.kill(os.getpid(), signal.SIGTERM)
    assert len(reloads) == 2
