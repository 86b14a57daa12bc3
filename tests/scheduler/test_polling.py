"""How a scanner is kept in contact with: when it is asked, and what its answers change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.schema import PollingSettings
from nessus_sched.core.pool.breaker import BreakerState
from nessus_sched.core.scanner import LoginRefused, NoCapacity, ScannerError, TransientError
from nessus_sched.core.states import TaskState
from support.fake_scanner import FakeScanner, unreachable
from support.trouble import Trouble
from support.world import (
    World,
    config_of,
    one_scanner,
    scanner_settings,
    seen,
    virtual_now,
    world,
)


async def test_a_scanner_that_has_not_answered_yet_gets_no_work_that_others_can_do(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanners = {name: FakeScanner(virtual_now()) for name in "ab"}
    scanners["a"].latency = 1200.0
    config = config_of(tmp_path, scanner_settings("a"), scanner_settings("b"))
    async with world(config, scanners) as w:
        tasks = [await w.submit(f"192.0.2.{n}") for n in (1, 2)]
        for task in tasks:
            await w.until(task.task_id, TaskState.RUNNING, within=10)


@pytest.mark.slow
async def test_one_launch_after_the_other_does_not_put_off_the_next_look(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, 100) as (w, scanner):
        scanner.duration = lambda order: 5.0 if "192.0.2.1" in order.targets else 600.0
        first = await w.submit("192.0.2.1")
        for n in range(2, 62):
            await w.submit(f"192.0.2.{n}")
            await trio.sleep(0.5)
        assert (await w.task(first.task_id)).state is TaskState.COMPLETED


LATE = Trouble(error=LoginRefused("old password"), takes=20.0)


@pytest.mark.parametrize(
    ("latency", "trouble"), [(0.05, None), (20.0, None), (0.05, LATE)], ids=["well", "late", "bad"]
)
async def test_a_scanner_behind_a_changed_connection_is_asked_what_it_is(
    latency: float, trouble: Trouble | None, tmp_path: Path, autojump_clock: MockClock
) -> None:
    old, new = FakeScanner(virtual_now(), latency=latency), FakeScanner(virtual_now())
    old.fault = lambda _request: trouble
    new.info_answer = attrs.evolve(new.info_answer, version="10.9.0")
    async with moved_after(5, tmp_path, {"a": old}, new) as w:
        await trio.sleep(60)
        (scanner,) = w.queries.scanners()
        assert (scanner.info, scanner.trouble) == (new.info_answer, None)


async def test_nothing_starts_over_a_changed_connection_before_it_has_answered(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    new = FakeScanner(virtual_now())
    new.down = LoginRefused("wrong password")
    async with moved_after(5, tmp_path, {"a": FakeScanner(virtual_now())}, new) as w:
        task = await w.submit()
        await trio.sleep(5)
        assert w.queries.scanners()[0].trouble == "wrong password"
        assert (await w.task(task.task_id)).attempt == 0


async def test_until_a_changed_connection_answers_work_goes_to_others(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanners = {name: FakeScanner(virtual_now()) for name in "ab"}
    async with moved_after(5, tmp_path, scanners, FakeScanner(virtual_now(), latency=1200.0)) as w:
        for task in [await w.submit(f"192.0.2.{n}") for n in (1, 2)]:
            await w.until(task.task_id, TaskState.RUNNING, within=10)


@asynccontextmanager
async def moved_after(
    seconds: float, directory: Path, scanners: dict[str, FakeScanner], new: FakeScanner
) -> AsyncIterator[World]:
    """A world in which the URL of scanner `a` is changed by then, and leads to `new`."""
    config = config_of(directory, *map(scanner_settings, scanners))
    async with world(config, scanners) as w:
        await trio.sleep(seconds)
        scanners["a"] = new
        moved = attrs.evolve(config.scanners[0], url="https://192.0.2.200:8834")
        await w.fleet.apply(attrs.evolve(config, scanners=(moved, *config.scanners[1:])))
        yield w


async def test_a_refused_login_is_not_tried_again_and_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Else the account would be locked: the breaker opens at once."""
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.down = LoginRefused("wrong password")
        await trio.sleep(1)
        assert w.context.pool.breaker("a").state is BreakerState.OPEN
        assert scanner.requests["list_scans"] == 1


async def test_the_probe_of_an_open_breaker_comes_when_it_is_due(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    polling = PollingSettings(probe=100.0, probe_max=100.0)
    async with one_scanner(tmp_path, polling=polling) as (w, scanner):
        scanner.down = LoginRefused("wrong password")
        await trio.sleep(99)
        scanner.down = None
        await trio.sleep(3)
        assert w.queries.scanners()[0].trouble is None


async def test_to_be_told_to_slow_down_is_an_answer(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.down = unreachable()
        await seen(lambda: w.context.pool.breaker("a").state is BreakerState.OPEN)
        scanner.down = NoCapacity("slow down")
        await trio.sleep(100)
        assert w.context.pool.breaker("a").state is BreakerState.CLOSED


async def test_a_full_scanner_is_left_alone_as_long_as_it_asks(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    class Full(NoCapacity):
        def __init__(self, message: str) -> None:
            super().__init__(message, retry_after=500.0)

    async with one_scanner(tmp_path) as (w, scanner):
        full: list[ScannerError] = [Full("full")]
        scanner.fault = lambda request: (
            Trouble(error=full.pop()) if request == "launch" and full else None
        )
        task = await w.submit()
        await w.until(task.task_id, TaskState.RUNNING)
        assert 500 <= trio.current_time() < 600


async def test_since_when_a_scanner_is_down_or_well(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        now = virtual_now()
        await trio.sleep(1000)
        assert w.queries.scanners()[0].since < now() - 990
        scanner.down = TransientError("the scanner answered 500")
        await trio.sleep(1000)
        down_since = w.queries.scanners()[0].since
        assert now() - 1000 < down_since < now() - 900
        scanner.down = None
        await trio.sleep(950)
        assert down_since + 1000 < w.queries.scanners()[0].since < now()
