"""A task whose submitter paused it is never launched until it is resumed."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import RequestedState
from nessus_sched.scheduler.errors import NotPossible
from support.fake_scanner import FakeScanner, unreachable
from support.trouble import Effect, lost
from support.world import World, config_of, one_scanner, scanner_settings, seen, virtual_now, world

DAY = 86400.0


async def is_held(w: World, task_id: str) -> bool:
    """It says that it waits because it is paused."""
    reason = (await w.queries.task(task_id)).standing.wait_reason
    return reason is not None and reason.code is WaitCode.PAUSED


@pytest.mark.slow
async def test_a_paused_scan_that_its_scanner_aborts_waits_for_the_resume(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running("192.0.2.1")
        await w.service.pause(task.task_id, actor="me")
        await w.until(task.task_id, TaskState.PAUSED)
        scanner.restart()
        await w.until(task.task_id, TaskState.RETRY_WAIT)
        other = await w.submit("192.0.2.1")
        assert (await w.settled(other.task_id)).state is TaskState.COMPLETED, "it claims nothing"
        await trio.sleep(DAY)
        assert await is_held(w, task.task_id)
        assert scanner.launches.total() == 2
        await w.service.resume(task.task_id, actor="me")
        done = await w.settled(task.task_id, within=3600)
        assert (done.state, done.attempt) == (TaskState.COMPLETED, 2)


async def test_a_task_resumed_before_its_next_attempt_is_due_waits_for_that(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running()
        scanner.restart()
        waits = await w.until(task.task_id, TaskState.RETRY_WAIT)
        await w.service.pause(task.task_id, actor="me")
        await w.service.resume(task.task_id, actor="me")
        assert waits.retry_at is not None
        launched = await w.until(task.task_id, TaskState.RUNNING)
        assert launched.launched_at is not None
        assert waits.retry_at <= launched.launched_at < waits.retry_at + 60
        assert (await w.settled(task.task_id)).attempt == 2


@pytest.mark.slow
async def test_a_queued_task_can_be_paused(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        first, second = await w.running("192.0.2.1"), await w.submit("192.0.2.2")
        third = await w.submit("192.0.2.2")
        for _ in range(2):
            view = await w.service.pause(second.task_id, actor="me")
            assert (view.task.state, view.task.desired) == (TaskState.QUEUED, RequestedState.PAUSE)
        await w.settled(first.task_id)
        assert (await w.settled(third.task_id)).state is TaskState.COMPLETED
        await trio.sleep(DAY)
        assert await is_held(w, second.task_id)
        assert (await w.events(second)).count("pause_requested") == 1
        await w.service.resume(second.task_id, actor="me")
        await w.settled(second.task_id, within=3600)
        assert scanner.launches.total() == 3


@pytest.mark.slow
async def test_a_paused_task_that_waits_can_be_canceled(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        await w.running("192.0.2.1")
        task = await w.submit("192.0.2.2")
        await w.service.pause(task.task_id, actor="me")
        with trio.fail_after(60):
            view = await w.service.cancel(task.task_id, actor="me")
        assert view.task.state is TaskState.CANCELED
        with pytest.raises(NotPossible, match="canceled and cannot be resumed"):
            await w.service.resume(task.task_id, actor="me")
        await trio.sleep(DAY)
        assert scanner.launches.total() == 1


@pytest.mark.slow
@pytest.mark.parametrize("request_", ["list_scans", "create_scan"])
async def test_a_task_paused_while_it_is_launched_goes_back_to_the_queue(
    tmp_path: Path, autojump_clock: MockClock, request_: str
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.submit()
        if request_ == "create_scan":
            await w.until(task.task_id, TaskState.LAUNCHING)
            await seen(lambda: scanner.requests["create_scan"] > 0)
        await w.service.pause(task.task_id, actor="me")
        await trio.sleep(DAY)
        assert await is_held(w, task.task_id)
        assert not scanner.launches
        assert not scanner.scans, "what was created is removed"
        await w.service.resume(task.task_id, actor="me")
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED


async def test_a_pause_while_a_launch_is_in_doubt_pauses_what_was_launched(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.fault = lambda request: lost(Effect.DONE) if request == "launch" else None
        task = await w.submit()
        await seen(lambda: bool(scanner.launches))
        scanner.down = unreachable()
        await w.service.pause(task.task_id, actor="me")
        scanner.down, scanner.fault = None, lambda _request: None
        await w.until(task.task_id, TaskState.PAUSED, within=600)
        assert scanner.launches.total() == 1


@pytest.mark.slow
@pytest.mark.parametrize("state", [TaskState.QUEUED, TaskState.RETRY_WAIT])
async def test_a_paused_task_stays_so_when_the_daemon_is_started_again(
    tmp_path: Path, autojump_clock: MockClock, state: TaskState
) -> None:
    scanner = FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a", 1))
    async with world(config, {"a": scanner}) as w:
        task = await w.running("192.0.2.1")
        if state is TaskState.QUEUED:
            task = await w.submit("192.0.2.2")
        await w.service.pause(task.task_id, actor="me")
        if state is TaskState.RETRY_WAIT:
            await w.until(task.task_id, TaskState.PAUSED)
            scanner.restart()
            await w.until(task.task_id, state)
    launched = scanner.launches.total()
    async with world(config, {"a": scanner}) as w:
        await trio.sleep(DAY)
        assert (await w.task(task.task_id)).state is state
        assert await is_held(w, task.task_id)
        assert scanner.launches.total() == launched
        await w.service.resume(task.task_id, actor="me")
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
