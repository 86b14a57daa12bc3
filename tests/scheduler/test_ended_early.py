"""What a scan found is kept however it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.schema import RetentionSettings, SchedulingSettings
from nessus_sched.core.scanner import BadExport, ScanStatus
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import OnEarlyEnd, Splitting, Task
from nessus_sched.scheduler.driver.failures import MAX_LINKS
from support.fake_scanner import FakeScanner, hosts_of
from support.meddling import sweep
from support.trouble import Trouble
from support.world import World, config_of, one_scanner, scanner_settings, virtual_now, world

TEN = "192.0.2.1-192.0.2.10"
ONCE = SchedulingSettings(backoff_base=10.0, backoff_max=120.0, max_attempts=1)


def finished(task: Task) -> int:
    """How many of the ten hosts the results that are kept have finished."""
    assert task.summary is not None
    assert task.export_file is not None
    hosts: int = task.summary["hosts_finished"]
    return hosts


async def canceled(w: World, _scanner: FakeScanner, task: Task) -> None:
    await w.service.cancel(task.task_id, actor="me")


async def stopped(_w: World, scanner: FakeScanner, _task: Task) -> None:
    scanner.set_status(scanner.scans[1], ScanStatus.STOPPED)


async def aborted(_w: World, scanner: FakeScanner, _task: Task) -> None:
    scanner.restart()


async def overdue(_w: World, _scanner: FakeScanner, _task: Task) -> None:
    await trio.sleep(100)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ends", "state", "reason"),
    [
        (canceled, TaskState.CANCELED, "canceled"),
        (stopped, TaskState.PARTIAL, "stopped on the scanner by someone else"),
        (overdue, TaskState.PARTIAL, "maximum runtime"),
    ],
)
async def test_partial_results_are_kept_and_say_so(
    tmp_path: Path, autojump_clock: MockClock, ends: object, state: TaskState, reason: str
) -> None:
    async with one_scanner(tmp_path, scheduling=ONCE) as (w, scanner):
        task = await w.running(TEN, max_runtime=400.0)
        await trio.sleep(310)
        assert callable(ends)
        await ends(w, scanner, task)
        done = await w.settled(task.task_id, within=300)
        assert done.state is state
        assert done.partial is not None
        assert reason in done.partial
        assert finished(done) in range(5, 8)
        assert done.summary is not None
        assert done.summary["coverage"]["not_reached"] == 10 - finished(done)
        assert done.summary["coverage"]["not_reached_targets"] == list(done.remaining or ())
        assert not done.owed


@pytest.mark.slow
async def test_a_pause_does_not_count_as_runtime(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path, scheduling=ONCE) as (w, _scanner):
        task = await w.running(TEN, max_runtime=1000.0)
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
        task = await w.running(TEN)
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


@pytest.mark.slow
@pytest.mark.parametrize("takes", [0.025, 3600.0])
async def test_a_task_ends_though_its_partial_results_cannot_be_fetched(
    tmp_path: Path, autojump_clock: MockClock, takes: float
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        broken = Trouble(error=BadExport("a truncated report"), takes=takes)
        scanner.fault = lambda request: broken if request == "export" else None
        task = await w.running(TEN)
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
        task = await w.running(TEN)
        await trio.sleep(400)
        scanner.restart()
        waits = await w.until(task.task_id, TaskState.RETRY_WAIT)
        assert finished(waits) == 6
        again = await w.until(task.task_id, TaskState.RUNNING)
        assert (again.attempt, finished(again), again.failures) == (2, 6, 0)
        assert scanner.orders[2].targets == ("192.0.2.7-192.0.2.10",)
        await trio.sleep(320)
        await w.service.cancel(task.task_id, actor="me")
        done = await w.settled(task.task_id)
        assert (done.state, finished(done)) == (TaskState.CANCELED, 8)


async def test_what_remains_is_scanned_after_an_abort(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running(TEN)
        await trio.sleep(400)
        scanner.restart()
        done = await w.settled(task.task_id)
        assert (done.state, done.partial, finished(done)) == (TaskState.COMPLETED, None, 10)
        assert [(each.attempt, each.whole) for each in done.reports] == [(1, False), (2, True)]
        assert done.remaining == ()


@pytest.mark.slow
@pytest.mark.parametrize("ends", [stopped, overdue])
async def test_a_submitter_may_want_the_rest_scanned_whatever_ended_the_scan(
    tmp_path: Path, autojump_clock: MockClock, ends: Any
) -> None:
    async with one_scanner(tmp_path, scheduling=ONCE) as (w, scanner):
        scanner.duration = lambda order: 60.0 * len(hosts_of(order))
        task = await w.running(TEN, max_runtime=400.0, on_early_end=OnEarlyEnd.ROLL)
        await trio.sleep(310)
        await ends(w, scanner, task)
        done = await w.settled(task.task_id)
        assert (done.state, done.partial, finished(done)) == (TaskState.COMPLETED, None, 10)


async def test_a_submitter_may_want_nothing_of_a_scan_that_ends_early(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, scheduling=ONCE) as (w, scanner):
        task = await w.running(TEN, on_early_end=OnEarlyEnd.DISCARD)
        await trio.sleep(310)
        await stopped(w, scanner, task)
        done = await w.settled(task.task_id)
        assert (done.state, done.summary) == (TaskState.CANCELED, None)
        assert not scanner.requests["export"]


async def test_a_chain_ends_when_its_scans_finish_nothing_more(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    twice = attrs.evolve(ONCE, max_attempts=2)
    async with one_scanner(tmp_path, scheduling=twice) as (w, scanner):
        task = await w.running(TEN)
        await trio.sleep(310)
        scanner.restart()
        for _ in range(2):
            await w.until(task.task_id, TaskState.RETRY_WAIT)
            await w.until(task.task_id, TaskState.RUNNING)
            scanner.restart()
        done = await w.settled(task.task_id)
        assert (done.state, finished(done)) == (TaskState.PARTIAL, 5)
        assert done.remaining == ("192.0.2.6-192.0.2.10",)
        assert done.attempt == 3
        await w.service.retry_dead(task.task_id, actor="op")
        again = await w.settled(task.task_id)
        assert (again.state, again.partial, finished(again)) == (TaskState.COMPLETED, None, 10)


async def test_a_chain_has_an_end(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running("192.0.2.0/24", split=Splitting.NEVER)
        links = MAX_LINKS + w.context.config.scheduling.max_attempts
        for _ in range(links):
            await w.until(task.task_id, TaskState.RUNNING)
            await trio.sleep(30)
            scanner.restart()
        done = await w.settled(task.task_id)
        assert (done.state, len(done.reports)) == (TaskState.PARTIAL, links)


async def test_an_abort_after_the_last_host_is_an_end(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running(TEN)
        scan = scanner.scans[1]
        await trio.sleep(310)
        scan.left = 0.0
        scanner.set_status(scan, ScanStatus.STOPPED)
        done = await w.settled(task.task_id)
        assert (done.state, done.partial, finished(done)) == (TaskState.COMPLETED, None, 10)


async def test_a_cancel_during_the_export_keeps_the_report_that_there_is(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        slow = Trouble(error=BadExport("slow"), takes=7200.0)
        scanner.fault = lambda request: slow if request == "export" else None
        task = await w.submit(TEN)
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
        task = await w.running(TEN)
        await trio.sleep(310)
        scanner.set_status(scanner.scans[1], ScanStatus.STOPPED)
        await w.until(task.task_id, TaskState.EXPORTING)
    scanner.fault = lambda _request: None
    async with world(config, {"a": scanner}) as w:
        done = await w.settled(task.task_id, within=300)
        assert (done.state, finished(done)) == (TaskState.PARTIAL, 5)


@pytest.mark.slow
async def test_a_scan_is_not_removed_from_its_scanner_before_it_was_read(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    at_once = RetentionSettings(remote_scans=0.0)
    async with one_scanner(tmp_path, retention=at_once) as (w, scanner):
        slow = Trouble(error=BadExport("slow"), takes=7200.0)
        scanner.fault = lambda request: slow if request == "export" else None
        task = await w.running(TEN)
        await w.service.cancel(task.task_id, actor="me")
        await w.settled(task.task_id)
        await sweep(w)
        assert scanner.scans
        scanner.fault = lambda _request: None
        await trio.sleep(10000)
        assert (await w.task(task.task_id)).partial
        await sweep(w)
        assert not scanner.scans
