"""Pause, resume and cancel in every state a task can be in."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.schema import PollingSettings, SchedulingSettings
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.scanner import BadExport, ScanStatus
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import RequestedState, Task
from nessus_sched.scheduler.errors import NotPossible, UnknownTask
from nessus_sched.store.tasks.store import TaskStore
from support.fake_scanner import FakeScan, FakeScanner, unreachable
from support.trouble import Effect, Trouble, lost
from support.world import config_of, one_scanner, scanner_settings, seen, virtual_now, world

# Cancel.


async def test_a_queued_task_is_canceled_at_once_and_never_launched(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        first, second = await w.running("192.0.2.1"), await w.submit("192.0.2.2")
        view = await w.service.cancel(second.task_id, actor="me")
        assert view.task.state is TaskState.CANCELED
        await w.settled(first.task_id)
        await trio.sleep(3600)
        assert scanner.requests["create_scan"] == 1
        entry = (await w.queries.history(second.task_id))[-1].entry
        assert (entry.event, entry.actor) == ("canceled", "me")


@pytest.mark.parametrize("request_", ["create_scan", "launch"])
async def test_a_cancel_while_launching_leaves_nothing_behind(
    tmp_path: Path, autojump_clock: MockClock, request_: str
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.submit()
        await w.until(task.task_id, TaskState.LAUNCHING)
        await seen(lambda: scanner.requests[request_] > 0)
        await w.service.cancel(task.task_id, actor="me")
        assert (await w.settled(task.task_id, within=120)).state is TaskState.CANCELED
        assert not scanner.active()


async def test_a_cancel_while_a_launch_is_in_doubt_waits_for_certainty(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, polling=PollingSettings()) as (w, scanner):
        scanner.fault = lambda request: lost(Effect.DONE) if request == "launch" else None
        task = await w.submit()
        await seen(lambda: bool(scanner.launches))
        scanner.down = unreachable()
        await w.service.cancel(task.task_id, actor="me")
        await trio.sleep(200)
        assert (await w.task(task.task_id)).state is TaskState.LAUNCHING
        scanner.down, scanner.fault = None, lambda _request: None
        assert (await w.settled(task.task_id)).state is TaskState.CANCELED
        assert not scanner.active()
        assert "adopted" in await w.events(task)


async def test_a_running_scan_is_stopped_and_its_slot_comes_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task, waiting = await w.running("192.0.2.1"), await w.submit("192.0.2.2")
        await w.service.cancel(task.task_id, actor="me")
        assert (await w.settled(task.task_id, within=60)).state is TaskState.CANCELED
        assert scanner.scans[1].status is ScanStatus.STOPPED
        assert (await w.settled(waiting.task_id)).state is TaskState.COMPLETED


async def test_a_paused_scan_can_be_canceled(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, _scanner):
        task = await w.running()
        await w.service.pause(task.task_id, actor="me")
        await w.until(task.task_id, TaskState.PAUSED, within=60)
        await w.service.cancel(task.task_id, actor="me")
        assert (await w.settled(task.task_id, within=60)).state is TaskState.CANCELED


async def test_a_cancel_interrupts_an_export(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        slow = Trouble(error=BadExport("never told"), takes=7200.0)
        scanner.fault = lambda request: slow if request == "export" else None
        task = await w.submit()
        await w.until(task.task_id, TaskState.EXPORTING)
        await w.service.cancel(task.task_id, actor="me")
        assert (await w.settled(task.task_id, within=1)).state is TaskState.CANCELED


async def test_a_task_that_waits_for_its_next_attempt_can_be_canceled(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running()
        scanner.restart()
        await w.until(task.task_id, TaskState.RETRY_WAIT, within=120)
        view = await w.service.cancel(task.task_id, actor="me")
        assert view.task.state is TaskState.CANCELED
        await trio.sleep(3600)
        assert scanner.launches.total() == 1


async def test_a_cancel_waits_for_a_scanner_that_is_down(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running()
        scanner.down = unreachable()
        view = await w.service.cancel(task.task_id, actor="me")
        assert (view.task.state, view.task.desired) == (TaskState.RUNNING, RequestedState.CANCEL)
        await trio.sleep(1800)
        before = scanner.requests["stop"]
        assert before <= 1, "a scanner that is down is not asked again and again"
        scanner.down = None
        # Meanwhile the scan has come to its end by itself.
        assert (await w.settled(task.task_id)).state is TaskState.CANCELED


async def test_canceling_twice_is_fine_and_too_late_is_told(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, _scanner):
        task, other = await w.running("192.0.2.1"), await w.submit("192.0.2.2")
        for _ in range(2):
            await w.service.cancel(task.task_id, actor="me")
        await w.settled(task.task_id)
        assert (await w.service.cancel(task.task_id, actor="me")).task.state is TaskState.CANCELED
        await w.settled(other.task_id)
        with pytest.raises(NotPossible, match="already completed"):
            await w.service.cancel(other.task_id, actor="me")
        with pytest.raises(UnknownTask):
            await w.service.cancel("t-nosuchtask", actor="me")


@pytest.mark.slow
@pytest.mark.parametrize("lag", [0.0, 0.1])
async def test_cancels_at_every_moment_of_a_life_are_obeyed(
    tmp_path: Path, autojump_clock: MockClock, lag: float
) -> None:
    """One task after the other, each canceled a little later in its life than the last; the
    first attempt of each is aborted."""
    scheduling = SchedulingSettings(backoff_base=0.5, backoff_max=0.5)
    async with one_scanner(tmp_path, scheduling=scheduling) as (w, scanner):
        slowed_down(w.store, lag)
        scanner.duration = lambda _order: 1.0
        scanner.on_launch = aborts_first_attempts
        for step in range(100):
            task = await w.submit()
            await trio.sleep(step * 0.067)
            try:
                await w.service.cancel(task.task_id, actor="me")
            except NotPossible:
                assert (await w.task(task.task_id)).state is TaskState.COMPLETED
                continue
            assert (await w.settled(task.task_id, within=120)).state is TaskState.CANCELED
        assert not scanner.active()
        assert not w.context.pool.statistics(w.context.now()).scanners[0].slots.active


async def test_a_cancel_whose_caller_goes_away_loses_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, _scanner):
        await w.running()
        waiting = await w.submit("192.0.2.2")
        slowed_down(w.store, 1.0)
        with trio.move_on_after(2.5):
            await w.service.cancel(waiting.task_id, actor="me")
        assert (await w.settled(waiting.task_id)).state is TaskState.CANCELED


async def test_a_cancel_of_a_task_that_is_just_being_taken_is_obeyed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, _scanner):
        await w.operator.pause_all("keep", actor="op")
        task = await w.submit()
        await trio.sleep(1)
        slowed_down(w.store, 2.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(w.service.cancel, task.task_id, actor="me"))
            await trio.sleep(1)
            await w.operator.resume_all(actor="op")
        assert (await w.settled(task.task_id)).state is TaskState.CANCELED


def slowed_down(store: TaskStore, seconds: float) -> None:
    """Lets changes take a while to be written, and what was read a while to be here."""
    get, record = store.get, store.record

    async def late(task_id: str) -> Task | None:
        task = await get(task_id)
        await trio.sleep(seconds)
        return task

    async def slowly(task: Task, entry: JournalEntry) -> None:
        await trio.sleep(seconds)
        await record(task, entry)

    store.get, store.record = late, slowly  # type: ignore[method-assign]


def aborts_first_attempts(scan: FakeScan) -> None:
    if scan.name.endswith(".1]"):
        scan.status = ScanStatus.ABORTED


# Pause and resume.


@pytest.mark.slow
async def test_a_paused_scan_keeps_its_slot_until_it_is_resumed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task, waiting = await w.running("192.0.2.1"), await w.submit("192.0.2.2")
        await w.service.pause(task.task_id, actor="me")
        await w.until(task.task_id, TaskState.PAUSED, within=60)
        await trio.sleep(86400)
        assert (await w.task(waiting.task_id)).state is TaskState.QUEUED
        await w.service.resume(task.task_id, actor="me")
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        assert (await w.settled(waiting.task_id)).state is TaskState.COMPLETED
        told = await w.events(task)
        assert [each for each in told if "pause" in each or "resume" in each] == [
            "pause_requested",
            "paused",
            "resumed",
        ]
        assert scanner.most_running == 1


async def test_a_change_of_mind_before_the_scanner_obeyed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.lag = 20.0
        task = await w.running()
        await w.service.pause(task.task_id, actor="me")
        await trio.sleep(1)
        await w.service.resume(task.task_id, actor="me")
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        assert not {"paused_on_scanner", "resumed_on_scanner"} & set(await w.events(task))


@pytest.mark.parametrize(("effect", "sent"), [(Effect.DONE, 1), (Effect.NONE, 2)])
async def test_a_pause_whose_answer_was_lost_is_sent_again_only_if_need_be(
    tmp_path: Path, autojump_clock: MockClock, effect: Effect, sent: int
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        troubles = iter([lost(effect)])
        scanner.fault = lambda request: next(troubles, None) if request == "pause" else None
        task = await w.running()
        await w.service.pause(task.task_id, actor="me")
        await w.until(task.task_id, TaskState.PAUSED, within=120)
        assert scanner.requests["pause"] == sent


async def test_what_cannot_be_paused_says_so(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running("192.0.2.1")
        await w.service.resume(task.task_id, actor="me")
        assert "run_requested" not in await w.events(task), "it runs already"
        await w.service.cancel(task.task_id, actor="me")
        with pytest.raises(NotPossible):
            await w.service.pause(task.task_id, actor="me")
        await w.settled(task.task_id)
        with pytest.raises(NotPossible, match="canceled and cannot be resumed"):
            await w.service.resume(task.task_id, actor="me")
        assert scanner.requests["pause"] == 0


# The longest a scan may run.


async def test_a_scan_is_stopped_at_its_maximum_runtime(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.duration = lambda _order: 86400.0
        started = trio.current_time()
        task = await w.submit(max_runtime=1800.0)
        done = await w.settled(task.task_id)
        assert done.state is TaskState.TIMED_OUT
        assert done.last_error is not None
        assert done.last_error.kind == "max_runtime"
        assert 1800 <= trio.current_time() - started < 1900


@pytest.mark.slow
async def test_the_time_it_was_paused_does_not_count(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.duration = lambda _order: 1700.0
        task = await w.submit(max_runtime=1800.0)
        await w.until(task.task_id, TaskState.RUNNING)
        await w.service.pause(task.task_id, actor="me")
        await w.until(task.task_id, TaskState.PAUSED)
        await trio.sleep(5000)
        await w.service.resume(task.task_id, actor="me")
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED


async def test_the_runtime_counts_through_restarts(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now(), duration=lambda _order: 86400.0)
    config = config_of(tmp_path, scanner_settings("a"))
    started = trio.current_time()
    async with world(config, {"a": scanner}) as w:
        task = await w.submit(max_runtime=1800.0)
        await w.until(task.task_id, TaskState.RUNNING)
        await trio.sleep(600)
    await trio.sleep(600)
    async with world(config, {"a": scanner}) as w:
        assert (await w.settled(task.task_id)).state is TaskState.TIMED_OUT
    assert trio.current_time() - started < 1900


async def test_a_scan_that_ends_while_it_is_being_stopped_is_completed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.lag = 30.0
        scanner.duration = lambda _order: 1815.0
        task = await w.submit(max_runtime=1800.0)
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED


@pytest.mark.slow
@pytest.mark.parametrize("canceled", [False, True])
async def test_a_scanner_that_does_not_stop_a_scan_does_not_hold_it_up(
    tmp_path: Path, autojump_clock: MockClock, canceled: bool
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.lag = 1e9
        scanner.duration = lambda _order: 1e9
        task = await w.submit(max_runtime=None if canceled else 1800.0)
        await w.until(task.task_id, TaskState.RUNNING)
        if canceled:
            await w.service.cancel(task.task_id, actor="me")
        done = await w.settled(task.task_id, within=3 * 3600)
        assert done.state is (TaskState.CANCELED if canceled else TaskState.TIMED_OUT)
        assert done.last_error is not None
        assert "but has not done so" in done.last_error.message
        assert scanner.requests["stop"] < 150


async def test_a_cancel_before_the_scan_is_created_creates_none(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The look for the scan of a life that has ended finds nothing; the cancel came meanwhile."""
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.fault = lambda request: lost(Effect.NONE) if request == "create_scan" else None
        task = await w.submit()
        await seen(lambda: scanner.requests["create_scan"] == 1)
        await w.service.cancel(task.task_id, actor="me")
        scanner.fault = lambda _request: None
        assert (await w.settled(task.task_id)).state is TaskState.CANCELED
        assert scanner.requests["create_scan"] == 1


async def test_a_cancel_while_the_scan_is_created_launches_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.latency = 10.0
        task = await w.submit()
        await seen(lambda: scanner.requests["create_scan"] == 1)
        await w.service.cancel(task.task_id, actor="me")
        assert (await w.settled(task.task_id)).state is TaskState.CANCELED
        assert not scanner.launches
