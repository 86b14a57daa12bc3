"""Scans that were created and never launched leave as soon as their scanner answers."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.schema import RetentionSettings
from nessus_sched.core.scanner import NotOurs, Refused, ScannerError, ScanStatus
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.task import Task
from nessus_sched.scheduler.driver.remote_cleanup import AT_ONCE
from nessus_sched.store.tasks.store import TaskStore
from support.fake_scanner import FakeScan, FakeScanner, fails, unreachable
from support.meddling import sweep
from support.seals import marker
from support.trouble import Effect, Trouble, lost
from support.world import World, config_of, one_scanner, scanner_settings, seen, virtual_now, world


def add_empty(scanner: FakeScanner, task: Task, attempt: int) -> FakeScan:
    scan = scanner.add_foreign(f"left {marker(task.task_id, attempt)}", 1.0)
    scan.ours, scan.foreign, scan.status = True, False, ScanStatus.EMPTY
    return scan


def add_unknown(scanner: FakeScanner) -> FakeScan:
    """With a marker, in our folder, of a task that was never ours."""
    scan = scanner.add_foreign("another daemon's [ns:t-23456789abcdef.1]", 1.0)
    scan.ours, scan.status = True, ScanStatus.EMPTY
    return scan


async def doubted(w: World, scanner: FakeScanner) -> Task:
    """A running task; the answer to its first request to create a scan was lost."""
    fails(scanner, "create_scan", lost(Effect.NONE))
    return await w.running()


def goes_down_at_the_launch(scanner: FakeScanner) -> None:
    """The scan is created, and then there is no connection any more."""

    def fault(request: str) -> Trouble | None:
        if request != "launch":
            return None
        scanner.down = unreachable()
        return Trouble(error=unreachable())

    scanner.fault = fault


@pytest.mark.parametrize("canceled", [False, True])
async def test_a_scan_given_up_while_its_scanner_was_down_goes_when_it_is_back(
    tmp_path: Path, autojump_clock: MockClock, canceled: bool
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        goes_down_at_the_launch(scanner)
        task = await w.submit()
        await w.until(task.task_id, TaskState.LAUNCHING)
        await w.until(task.task_id, TaskState.QUEUED)
        assert len(scanner.scans) == 1
        if canceled:
            await w.service.cancel(task.task_id, actor="me")
        scanner.down, scanner.fault = None, lambda _request: None
        await seen(lambda: len(scanner.deleted) == 1)
        await trio.sleep(5)
        assert {scan.name for scan in scanner.scans.values()} == (
            set() if canceled else {f"{task.task_id} {marker(task.task_id, 2)}"}
        )


async def test_what_an_earlier_life_left_goes_with_the_first_look(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a"))
    async with world(config, {"a": scanner}) as w:
        task = await doubted(w, scanner)
        await w.settled(task.task_id)
    left = add_empty(scanner, task, 1)
    async with world(config, {"a": scanner}):
        await trio.sleep(1)
        assert scanner.deleted == [left.name]


@pytest.mark.parametrize("read", ["get", "journal_of"])
async def test_a_store_that_cannot_be_read_delays_it(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    async def unavailable(*_arguments: object) -> None:
        raise StoreUnavailable("the database does not answer")

    scanner = FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a"))
    async with world(config, {"a": scanner}) as w:
        task = await doubted(w, scanner)
        await w.settled(task.task_id)
    left = add_empty(scanner, task, 1)
    async with world(config, {"a": scanner}) as w:
        with monkeypatch.context() as patched:
            patched.setattr(TaskStore, read, unavailable)
            await trio.sleep(120)
        assert not scanner.deleted
        await trio.sleep(120)
        assert scanner.deleted == [left.name]
        assert (await w.task(task.task_id)).state is TaskState.COMPLETED


async def test_what_waits_for_its_launch_is_let_alone(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The scan is there, its answer still on its way: every look in between finds it."""
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.fault = lambda request: (
            lost(Effect.DONE, takes=300.0) if request == "create_scan" else None
        )
        task = await w.submit()
        await seen(lambda: scanner.requests["create_scan"] == 1)
        double = add_empty(scanner, task, 1)
        await trio.sleep(200)
        assert (await w.task(task.task_id)).state is TaskState.LAUNCHING
        assert double.scan_id in scanner.scans


async def test_a_scan_of_an_attempt_yet_to_come_and_those_of_others_are_let_alone(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        await w.running()
        waiting = await w.submit("192.0.2.2")
        kept = [add_empty(scanner, waiting, 1), add_unknown(scanner)]
        await trio.sleep(300)
        assert (await w.task(waiting.task_id)).state is TaskState.QUEUED
        assert all(scan.scan_id in scanner.scans for scan in kept)
        assert not scanner.deleted


async def test_a_double_that_appears_while_its_twin_runs_goes(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await doubted(w, scanner)
        double = add_empty(scanner, task, 1)
        await seen(lambda: double.scan_id not in scanner.scans)
        done = await w.settled(task.task_id)
        assert done.state is TaskState.COMPLETED
        assert set(scanner.scans) == {done.nessus_scan_id}


async def test_a_copy_that_a_person_made_is_let_alone(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """It has the name of the original, and so its marker, and lies in the same folder."""
    kept = RetentionSettings(remote_scans=0.0)
    async with one_scanner(tmp_path, retention=kept) as (w, scanner):
        task = await w.running()
        copies = [add_empty(scanner, task, 1), add_empty(scanner, task, 1)]
        scanner.set_status(copies[1], ScanStatus.COMPLETED)
        done = await w.settled(task.task_id)
        assert done.nessus_scan_id not in {copy.scan_id for copy in copies}
        await trio.sleep(300)
        assert await sweep(w) == 1, "the original is no longer needed"
        assert set(scanner.scans) == {copy.scan_id for copy in copies}


@pytest.mark.slow
async def test_a_double_goes_also_when_little_or_nothing_remains_of_its_task(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The double was to scan all of it."""
    async with one_scanner(tmp_path) as (w, scanner):
        fails(scanner, "create_scan", lost(Effect.NONE))
        task = await w.running("192.0.2.1-192.0.2.4")
        await trio.sleep(150)
        scanner.restart()  # aborts the scan
        await w.until(task.task_id, TaskState.RETRY_WAIT)
        early = add_empty(scanner, task, 1)
        early.targets = "192.0.2.1-192.0.2.4"
        await seen(lambda: early.scan_id not in scanner.scans)
        done = await w.settled(task.task_id)
        assert (done.state, done.remaining) == (TaskState.COMPLETED, ())
        late = add_empty(scanner, task, 1)
        late.targets = early.targets
        await seen(lambda: late.scan_id not in scanner.scans)


async def test_a_double_with_other_targets_is_let_alone(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await doubted(w, scanner)
        double = add_empty(scanner, task, 1)
        double.targets = "192.0.2.1,192.0.2.9"
        await w.settled(task.task_id)
        await trio.sleep(300)
        assert double.scan_id in scanner.scans


@pytest.mark.parametrize("error", [Refused("not now"), NotOurs("moved meanwhile")])
async def test_one_that_cannot_be_deleted_is_tried_once_a_minute_and_holds_up_no_other(
    tmp_path: Path, autojump_clock: MockClock, error: ScannerError
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await doubted(w, scanner)
        stuck, other = add_empty(scanner, task, 1), add_empty(scanner, task, 1)
        refused = Trouble(error=error)

        def fault(request: str) -> Trouble | None:
            return refused if request == "delete" and scanner.requests["delete"] != 2 else None

        scanner.fault = fault
        await trio.sleep(299)
        assert stuck.scan_id in scanner.scans
        assert other.scan_id not in scanner.scans
        assert 3 <= scanner.requests["delete"] <= 6


@pytest.mark.slow
async def test_many_go_in_portions_and_none_is_tried_when_the_scanner_fails(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await doubted(w, scanner)
        scanner.fault = lambda request: (
            Trouble(error=unreachable()) if request == "delete" else None
        )
        for _ in range(AT_ONCE + 1):
            add_empty(scanner, task, 1)
        await seen(lambda: scanner.requests["delete"] > 0)
        await trio.sleep(30)
        assert scanner.requests["delete"] == 1
        scanner.fault = lambda _request: None
        await seen(lambda: len(scanner.deleted) == AT_ONCE)
        await trio.sleep(30)
        assert len(scanner.deleted) == AT_ONCE
        await seen(lambda: len(scanner.scans) == 1)


async def test_a_task_that_was_sent_back_may_go_to_another_scanner(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanners = {name: FakeScanner(virtual_now()) for name in "ab"}
    config = config_of(tmp_path, scanner_settings("a", 1), scanner_settings("b", 1))
    async with world(config, scanners) as w:
        blocker = await w.running("192.0.2.9", scanner_instance="b")
        goes_down_at_the_launch(scanners["a"])
        task = await w.submit()
        await w.until(task.task_id, TaskState.LAUNCHING)
        sent_back = await w.until(task.task_id, TaskState.QUEUED)
        assert sent_back.scanner_instance is None
        done = await w.settled(task.task_id)
        assert (done.state, done.scanner_instance) == (TaskState.COMPLETED, "b")
        assert (await w.task(blocker.task_id)).state is TaskState.COMPLETED


@pytest.mark.parametrize("again", [False, True])
async def test_a_scan_that_was_given_up_is_stopped_though_its_task_was_purged(
    tmp_path: Path, autojump_clock: MockClock, again: bool
) -> None:
    """Else it would run beside as many others as the limit allows."""
    scanner = FakeScanner(virtual_now(), duration=lambda _order: 10 * 86400.0)
    config = config_of(tmp_path, scanner_settings("a", 1))
    async with world(config, {"a": scanner}) as w:
        task = await w.running()
        scanner.down = unreachable()
        await w.service.cancel(task.task_id, actor="me")
        await w.settled(task.task_id)
        assert await w.service.purge([task.task_id], actor="me") == [task.task_id]
        if not again:
            scanner.down = None
            await seen(lambda: not scanner.active())
    async with world(config, {"a": scanner}) as w:
        scanner.down = None
        await trio.sleep(600)
        await sweep(w)
        assert not scanner.active()
        await trio.sleep(60)
        await sweep(w)
        assert not scanner.scans
