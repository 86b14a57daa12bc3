"""The wall clock is set by hours, both ways: nothing waits longer or ends sooner for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import attrs
import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.schema import PollingSettings, RetentionSettings
from nessus_sched.core.scanner import ScanStatus
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Priority
from support.fake_scanner import FakeScanner, unreachable
from support.meddling import sweep
from support.trouble import Trouble
from support.world import World, config_of, scanner_settings, virtual_now, world

HOUR = 3600.0
POLL = 30.0


@attrs.define
class Wall:
    """A clock on the wall that someone sets."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return virtual_now()() + self.ahead


@asynccontextmanager
async def stepped(
    directory: Path, wall: Wall, scanner: FakeScanner, limit: int = 1
) -> AsyncIterator[World]:
    config = config_of(
        directory,
        scanner_settings("a", limit),
        polling=PollingSettings(fastest=5.0, slowest=POLL),
        retention=RetentionSettings(completed=48 * HOUR),
    )
    async with world(config, {"a": scanner}, wall=wall, clock_checks=15) as w:
        yield w


async def a_day(directory: Path, *, steps: bool, busy: bool) -> list[float]:
    """When scans were launched, in seconds since the beginning."""
    wall, scanner, random = Wall(), FakeScanner(virtual_now()), Random(7)
    began, launches = trio.current_time(), []
    scanner.on_launch = lambda _scan: launches.append(trio.current_time() - began)
    directory.mkdir()
    async with stepped(directory, wall, scanner) as w, trio.open_nursery() as nursery:

        async def sets_the_clock() -> None:
            while steps:
                await trio.sleep(random.uniform(600, 3 * HOUR))
                wall.ahead += random.choice([-1, 1]) * random.uniform(HOUR, 30 * HOUR)
            await trio.sleep_forever()

        nursery.start_soon(sets_the_clock)
        await trio.sleep(60)
        tasks = []
        for number in range(12):
            priority = list(Priority)[number % 3]
            tasks.append(await w.submit(f"192.0.2.{number + 1}", priority=priority))
            await trio.sleep(300 if busy else 2 * HOUR)
            if number == 6:
                scanner.down = unreachable()
                await trio.sleep(20 * 60)
                scanner.down = None
            if number == 8:
                scanner.restart()
        for task in tasks:
            done = await w.settled(task.task_id)
            assert done.state is TaskState.COMPLETED
        nursery.cancel_scope.cancel()
    return launches


@pytest.mark.slow
@pytest.mark.parametrize("busy", [False, True])
async def test_a_day_with_a_clock_that_is_set_is_a_day_like_any_other(
    tmp_path: Path, autojump_clock: MockClock, busy: bool
) -> None:
    expected = await a_day(tmp_path / "without", steps=False, busy=busy)
    found = await a_day(tmp_path / "with", steps=True, busy=busy)
    assert len(found) == len(expected) >= 12
    for one, other in zip(found, expected, strict=True):
        assert abs(one - other) <= POLL


@pytest.mark.slow
@pytest.mark.parametrize("by", [-30 * HOUR, 30 * HOUR])
async def test_a_retry_waits_no_longer_and_no_scan_is_stopped(
    tmp_path: Path, autojump_clock: MockClock, by: float
) -> None:
    wall, scanner = Wall(), FakeScanner(virtual_now(), duration=lambda _order: 3 * HOUR)
    async with stepped(tmp_path, wall, scanner) as w:
        task = await w.running()
        wall.ahead += by
        await trio.sleep(HOUR)
        assert (await w.task(task.task_id)).state is TaskState.RUNNING
        scanner.restart()
        await w.until(task.task_id, TaskState.RETRY_WAIT)
        wall.ahead -= 2 * by
        await w.until(task.task_id, TaskState.RUNNING, within=120)
        await w.service.pause(task.task_id, actor="me")
        await w.until(task.task_id, TaskState.PAUSED)
        wall.ahead += by
        await trio.sleep(600)
        await w.service.resume(task.task_id, actor="me")
        running = await w.until(task.task_id, TaskState.RUNNING)
        assert 590 < running.paused_for < 700
        assert running.entered[TaskState.RUNNING] == pytest.approx(wall(), abs=60)


@pytest.mark.parametrize("by", [-30 * HOUR, 30 * HOUR])
async def test_a_clock_that_is_set_while_we_are_down_changes_no_deadline(
    tmp_path: Path, autojump_clock: MockClock, by: float
) -> None:
    wall, scanner = Wall(), FakeScanner(virtual_now(), duration=lambda _order: 3 * HOUR)
    async with stepped(tmp_path, wall, scanner, limit=2) as w:
        task = await w.running(max_runtime=2 * HOUR)
        waits = await w.running("192.0.2.2")
        scanner.restart()
        await w.until(waits.task_id, TaskState.RETRY_WAIT)
        task = await w.until(task.task_id, TaskState.RUNNING)
    wall.ahead += by
    scanner.clock_ahead = -wall.ahead
    async with stepped(tmp_path, wall, scanner, limit=2) as w:
        await w.until(waits.task_id, TaskState.RUNNING, within=150)
        await trio.sleep(HOUR)
        assert (await w.task(task.task_id)).state is TaskState.RUNNING
        ended = await w.settled(task.task_id, within=2 * HOUR)
        assert ended.state is TaskState.TIMED_OUT


async def test_people_are_shown_the_time_as_it_was_set(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    wall, scanner = Wall(-50_000 * HOUR), FakeScanner(virtual_now())
    async with stepped(tmp_path, wall, scanner) as w:
        await w.running()
        await w.submit("192.0.2.2", scanner_instance="a")
        wall.ahead = 0.0
        await trio.sleep(100)
        [view] = w.queries.scanners()
        assert view.since == pytest.approx(wall() - 100, abs=30)
        assert view.reached_at == pytest.approx(wall(), abs=POLL)
        assert view.statistics.queue.oldest == pytest.approx(wall() - 100, abs=30)


async def test_a_clock_that_is_set_forward_deletes_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    wall, scanner = Wall(), FakeScanner(virtual_now())
    async with stepped(tmp_path, wall, scanner) as w:
        done = await w.settled((await w.submit()).task_id)
        wall.ahead += 10_000 * HOUR
        await sweep(w)
        assert (await w.task(done.task_id)).state is TaskState.COMPLETED
        assert scanner.scans


async def test_a_scan_that_was_never_launched_goes_although_its_task_ended_in_the_future(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    wall, scanner = Wall(20 * HOUR), FakeScanner(virtual_now())

    def goes_down(request: str) -> Trouble | None:
        if request != "launch":
            return None
        scanner.down = unreachable()
        return Trouble(error=unreachable())

    scanner.fault = goes_down
    async with stepped(tmp_path, wall, scanner) as w:
        task = await w.submit()
        await w.until(task.task_id, TaskState.LAUNCHING)
        await w.until(task.task_id, TaskState.QUEUED)
        await w.service.cancel(task.task_id, actor="me")
        assert [scan.status for scan in scanner.scans.values()] == [ScanStatus.EMPTY]
        wall.ahead, scanner.down = 0.0, None
        await trio.sleep(900)
        assert not scanner.scans


@pytest.mark.parametrize("restart", [False, True])
async def test_a_task_that_was_paused_keeps_its_place_after_the_clock_was_set(
    tmp_path: Path, autojump_clock: MockClock, restart: bool
) -> None:
    wall, scanner, launched = Wall(), FakeScanner(virtual_now()), list[str]()
    scanner.on_launch = lambda scan: launched.append(scan.name)

    async with stepped(tmp_path, wall, scanner) as w:
        busy = await w.running()
        first = await w.submit("192.0.2.1")
        if restart:
            wall.ahead -= 30 * HOUR
            await trio.sleep(10 * POLL)
        paused, last = await w.submit("192.0.2.2"), await w.submit("192.0.2.3")
        await w.service.pause(paused.task_id, actor="test")
        if not restart:
            wall.ahead += 30 * HOUR
            await trio.sleep(10 * POLL)
            await w.service.resume(paused.task_id, actor="test")
            await w.settled(last.task_id)
    if restart:
        async with stepped(tmp_path, wall, scanner) as w:
            await w.service.resume(paused.task_id, actor="test")
            await w.settled(last.task_id)
    for task, name in zip((busy, first, paused, last), launched, strict=True):
        assert task.task_id in name, launched
