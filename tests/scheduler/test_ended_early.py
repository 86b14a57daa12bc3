"""What a scan found is kept however it ends."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.schema import RetentionSettings, SchedulingSettings
from nessus_sched.core.scanner import BadExport, ScanStatus
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task
from support.fake_scanner import FakeScanner
from support.meddling import sweep
from support.trouble import Trouble
from support.world import World, config_of, one_scanner, scanner_settings, virtual_now, world

ONCE = SchedulingSettings(backoff_base=10.0, backoff_max=120.0, max_attempts=1)


def finished(task: Task) -> int:
    """How many of the ten hosts the results that are kept have finished."""
    assert task.summary is not None
    assert task.export_file is not None
    hosts: int = task.summary["tenths"]
    return hosts


async def canceled(w: World, _scanner: FakeScanner, task: Task) -> None:
    await w.service.cancel(task.task_id, actor="me")


async def stopped(_w: World, scanner: FakeScanner, _task: Task) -> None:
    scanner.set_status(scanner.scans[1], ScanStatus.STOPPED)


async def aborted(_w: World, scanner: FakeScanner, _task: Task) -> None:
    scanner.restart()


async def overdue(_w: World, _scanner: FakeScanner, _task: Task) -> None:
    await trio.sleep(100)


@pytest.mark.parametrize(
    ("ends", "state", "reason"),
    [
        (canceled, TaskState.CANCELED, "canceled"),
        (stopped, TaskState.CANCELED, "stopped on the scanner by someone else"),
        (aborted, TaskState.DEAD, "aborted"),
        (overdue, TaskState.TIMED_OUT, "maximum runtime"),
    ],
)
async def test_partial_results_are_kept_and_say_so(
    tmp_path: Path, autojump_clock: MockClock, ends: object, state: TaskState, reason: str
) -> None:
    async with one_scanner(tmp_path, scheduling=ONCE) as (w, scanner):
        task = await w.running(max_runtime=400.0)
        await trio.sleep(310)
        assert callable(ends)
        await ends(w, scanner, task)
        done = await w.settled(task.task_id, within=300)
        assert done.state is state
        assert done.partial is not None
        assert reason in done.partial
        assert finished(done) in range(5, 8)
        assert not done.owed


async def test_a_pause_does_not_count_as_runtime(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path, scheduling=ONCE) as (w, _scanner):
        task = await w.running(max_runtime=1000.0)
        await trio.sleep(300)
        await w.service.pause(task.task_id, actor="me")
        await trio.sleep(2000)
        await w.service.resume(task.task_id, actor="me")
        done = await w.settled(task.task_id, within=600)
        assert (done.state, finished(done)) == (TaskState.COMPLETED, 10)


async def test_what_is_to_be_discarded_is_not_fetched(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running()
        await w.service.cancel(task.task_id, actor="me", discard=True)
        done = await w.settled(task.task_id, within=120)
        assert (done.state, done.summary, done.partial) == (TaskState.CANCELED, None, None)
        assert not scanner.requests["export"]


async def test_the_slot_is_free_while_partial_results_are_fetched(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        slow = Trouble(error=BadExport("slow"), takes=300.0)
        scanner.fault = lambda request: slow if request == "export" else None
        task, other = await w.running("192.0.2.1"), await w.submit("192.0.2.1")
        await w.service.cancel(task.task_id, actor="me")
        await w.until(other.task_id, TaskState.RUNNING, within=120)
        assert (await w.task(task.task_id)).state is TaskState.EXPORTING


@pytest.mark.parametrize("takes", [0.025, 3600.0])
async def test_a_task_ends_though_its_partial_results_cannot_be_fetched(
    tmp_path: Path, autojump_clock: MockClock, takes: float
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        broken = Trouble(error=BadExport("a truncated report"), takes=takes)
        scanner.fault = lambda request: broken if request == "export" else None
        task = await w.running()
        await w.service.cancel(task.task_id, actor="me")
        done = await w.settled(task.task_id, within=900)
        assert (done.state, done.summary) == (TaskState.CANCELED, None)
        scanner.fault = lambda _request: None
        await trio.sleep(7200)
        done = await w.task(task.task_id)
        assert not done.owed
        # Failed for good, or merely late.
        assert (done.summary is None) is (takes < 1)


async def test_a_retry_does_not_lose_what_the_first_attempt_found(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running()
        await trio.sleep(400)
        scanner.restart()
        waits = await w.until(task.task_id, TaskState.RETRY_WAIT)
        assert finished(waits) == 6
        again = await w.until(task.task_id, TaskState.RUNNING)
        assert (again.attempt, finished(again)) == (2, 6)
        await trio.sleep(60)
        await w.service.cancel(task.task_id, actor="me")
        done = await w.settled(task.task_id)
        assert finished(done) == 6, "the second attempt has finished less"


async def test_whole_results_take_the_place_of_partial_ones(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running()
        await trio.sleep(400)
        scanner.restart()
        done = await w.settled(task.task_id)
        assert (done.state, done.partial, finished(done)) == (TaskState.COMPLETED, None, 10)


async def test_a_cancel_during_the_export_keeps_the_report_that_there_is(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        slow = Trouble(error=BadExport("slow"), takes=7200.0)
        scanner.fault = lambda request: slow if request == "export" else None
        task = await w.submit()
        await w.until(task.task_id, TaskState.EXPORTING)
        scanner.fault = lambda _request: None
        await w.service.cancel(task.task_id, actor="me")
        assert (await w.settled(task.task_id, within=1)).state is TaskState.CANCELED
        await trio.sleep(600)
        assert finished(await w.task(task.task_id)) == 10


async def test_a_restart_of_the_daemon_goes_on_fetching_partial_results(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a", 1))
    slow = Trouble(error=BadExport("slow"), takes=7200.0)
    scanner.fault = lambda request: slow if request == "export" else None
    async with world(config, {"a": scanner}) as w:
        task = await w.running()
        await trio.sleep(310)
        scanner.set_status(scanner.scans[1], ScanStatus.STOPPED)
        await w.until(task.task_id, TaskState.EXPORTING)
    scanner.fault = lambda _request: None
    async with world(config, {"a": scanner}) as w:
        done = await w.settled(task.task_id, within=300)
        assert (done.state, finished(done)) == (TaskState.CANCELED, 5)


async def test_a_scan_is_not_removed_from_its_scanner_before_it_was_read(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    at_once = RetentionSettings(remote_scans=0.0)
    async with one_scanner(tmp_path, retention=at_once) as (w, scanner):
        slow = Trouble(error=BadExport("slow"), takes=7200.0)
        scanner.fault = lambda request: slow if request == "export" else None
        task = await w.running()
        await w.service.cancel(task.task_id, actor="me")
        await w.settled(task.task_id)
        await sweep(w)
        assert scanner.scans
        scanner.fault = lambda _request: None
        await trio.sleep(10000)
        assert (await w.task(task.task_id)).partial
        await sweep(w)
        assert not scanner.scans
