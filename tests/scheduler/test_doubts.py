"""Answers that are lost, and what is on the scanner then: no attempt is launched twice."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.schema import PollingSettings
from nessus_sched.core.scanner import (
    NotFound,
    Refused,
    ScannerError,
    ScanStatus,
    TransientError,
)
from nessus_sched.core.states import TaskState
from support.fake_scanner import FakeScan, fails, unreachable
from support.seals import marker
from support.trouble import Effect, Trouble, lost
from support.world import error_kind, one_scanner, seen


@pytest.mark.slow
@pytest.mark.parametrize("effect", list(Effect))
@pytest.mark.parametrize("request_", ["create_scan", "launch"])
@pytest.mark.parametrize("delay", [1.0, 60.0])
async def test_a_lost_answer_never_makes_two_scans_of_one_attempt(
    tmp_path: Path, autojump_clock: MockClock, request_: str, effect: Effect, delay: float
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.duration = lambda _order: 20.0
        fails(scanner, request_, lost(effect, delay=delay))
        task = await w.submit()
        done = await w.settled(task.task_id)
        await trio.sleep(600)
        assert done.state is TaskState.COMPLETED
        assert list(scanner.launches.values()) == [1]
        assert not scanner.active()
        assert sum(scan.runs for scan in scanner.scans.values()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("effect", list(Effect))
@pytest.mark.parametrize("listed", [True, False])
async def test_a_launch_answered_with_not_found_never_makes_two_scans_of_one_attempt(
    tmp_path: Path, autojump_clock: MockClock, effect: Effect, listed: bool
) -> None:
    """As by a proxy before the scanner."""
    async with one_scanner(tmp_path) as (w, scanner):
        fails(scanner, "launch", Trouble(error=NotFound("404"), effect=effect, delay=2.0))
        fault, failed = scanner.fault, list[str]()
        if not listed:

            def then(request: str) -> Trouble | None:
                if request == "list_scans" and scanner.requests["launch"] and not failed:
                    failed.append(request)
                    return Trouble(error=unreachable())
                return fault(request)

            scanner.fault = then
        task = await w.submit()
        done = await w.settled(task.task_id)
        await trio.sleep(600)
        assert bool(failed) is not listed
        assert (done.state, done.attempt) == (TaskState.COMPLETED, 1)
        assert list(scanner.launches.values()) == [1]
        assert sum(scan.runs for scan in scanner.scans.values()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("answered", [True, False])
async def test_what_a_scan_was_asked_to_do_is_known_only_if_its_creation_was_answered(
    tmp_path: Path, autojump_clock: MockClock, answered: bool
) -> None:
    """The first scan of the attempt is deleted before its launch; a second one takes its place."""
    async with one_scanner(tmp_path) as (w, scanner):
        creations = [None, None if answered else lost(Effect.DONE)]

        def fault(request: str) -> Trouble | None:
            if request == "launch" and len(creations) == 1:
                for scan in list(scanner.scans.values()):
                    scanner.remove(scan)
            return creations.pop(0) if request == "create_scan" and creations else None

        scanner.fault = fault
        task = await w.submit()
        done = await w.settled(task.task_id)
        assert (done.state, done.attempt) == (TaskState.COMPLETED, 1)
        assert "scan_vanished" in await w.events(task)
        assert (done.asked is not None) is answered


async def test_a_request_that_is_slow_on_its_way_is_waited_for(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        fails(scanner, "create_scan", lost(Effect.LATE, delay=4.0))
        await w.settled((await w.submit()).task_id)
        assert (scanner.requests["create_scan"], len(scanner.scans)) == (1, 1)


async def test_of_two_scans_with_one_marker_the_launched_one_counts_and_the_other_goes(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, polling=PollingSettings()) as (w, scanner):
        troubles = {
            "create_scan": [lost(Effect.LATE, delay=8.0)],
            "launch": [lost(Effect.DONE, takes=5.0)],
        }
        scanner.fault = lambda request: next(iter(troubles.pop(request, [])), None)
        task = await w.submit()
        done = await w.settled(task.task_id)
        assert (done.state, done.attempt) == (TaskState.COMPLETED, 1)
        name = f"{task.task_id} {marker(task.task_id, 1)}"
        assert [(scan.runs, scan.name) for scan in scanner.scans.values()] == [(1, name)]
        assert scanner.deleted == [name]


async def test_a_scan_deleted_while_its_launch_was_in_doubt_is_not_launched_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):

        def deleted(scan: FakeScan) -> None:
            scanner.remove(scan)
            scanner.on_launch = lambda _scan: None

        scanner.on_launch = deleted
        fails(scanner, "launch", lost(Effect.DONE))
        task = await w.submit()
        done = await w.settled(task.task_id)
        assert (done.state, done.attempt, done.failures) == (TaskState.COMPLETED, 2, 1)
        assert set(scanner.launches.values()) == {1}


async def test_a_launch_that_the_scanner_forgot_is_noticed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running()
        scanner.set_status(scanner.scans[1], ScanStatus.EMPTY)
        done = await w.settled(task.task_id)
        assert (done.state, done.attempt) == (TaskState.COMPLETED, 2)
        assert "retry_scheduled" in await w.events(task)
        assert 1 not in scanner.scans


async def test_a_scan_that_never_started_is_tried_again_though_the_answer_to_its_deletion_is_lost(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        fails(scanner, "delete", lost(Effect.DONE))
        task = await w.running()
        scanner.set_status(scanner.scans[1], ScanStatus.EMPTY)
        done = await w.settled(task.task_id)
        assert (done.state, done.attempt) == (TaskState.COMPLETED, 2)
        assert "retry_scheduled" in await w.events(task)


async def test_a_withdrawal_whose_answer_is_lost_costs_no_attempt(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, polling=PollingSettings()) as (w, scanner):
        troubles = {"launch": [lost(Effect.NONE)], "delete": [lost(Effect.DONE)]}
        scanner.fault = lambda request: next(iter(troubles.pop(request, [])), None)
        task = await w.submit()
        done = await w.settled(task.task_id)
        assert (done.state, done.attempt, done.failures) == (TaskState.COMPLETED, 1, 0)
        assert "scan_withdrawn" in await w.events(task)


async def test_somebody_elses_copy_is_not_taken_for_ours(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        fails(scanner, "create_scan", lost(Effect.NONE))
        task = await w.submit()
        copy = scanner.add_foreign(f"copy of {marker(task.task_id, 1)}", 60.0)
        done = await w.settled(task.task_id)
        assert (done.state, done.attempt) == (TaskState.COMPLETED, 1)
        assert done.nessus_scan_id != copy.scan_id
        assert not scanner.touched_foreign


async def test_a_scan_that_starts_before_it_is_withdrawn_is_stopped_by_a_cancel(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.on_launch = lambda scan: scanner.set_status(scan, ScanStatus.EMPTY)
        troubles = {"launch": lost(Effect.DONE)}

        def fault(request: str) -> Trouble | None:
            if request == "delete":
                scanner.set_status(scanner.scans[1], ScanStatus.RUNNING)
            return troubles.pop(request, None)

        scanner.fault = fault
        task = await w.submit()
        await seen(lambda: scanner.requests["launch"] == 1)
        await w.service.cancel(task.task_id, actor="me")
        assert (await w.settled(task.task_id)).state is TaskState.CANCELED
        assert scanner.requests["launch"] == 1
        assert not scanner.active()


async def test_a_scan_that_can_never_be_withdrawn_costs_an_attempt_and_no_more(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        launches = [lost(Effect.NONE)]

        def fault(request: str) -> Trouble | None:
            if request == "delete":
                return Trouble(error=Refused("never"))
            return launches.pop() if request == "launch" and launches else None

        scanner.fault = fault
        task = await w.submit()
        done = await w.settled(task.task_id, within=3600)
        assert (done.state, done.attempt, error_kind(done)) == (
            TaskState.COMPLETED,
            2,
            "launch_in_doubt",
        )


@pytest.mark.sampled(2)
@pytest.mark.parametrize("request_", ["create_scan", "launch"])
@pytest.mark.parametrize("error", [Refused("not for you"), TransientError("500")])
async def test_a_scanner_that_never_shows_a_scan_in_doubt_holds_no_slot_for_ever(
    tmp_path: Path, autojump_clock: MockClock, request_: str, error: ScannerError
) -> None:
    """It lists its scans all the while."""
    async with one_scanner(tmp_path) as (w, scanner):
        doubts = [lost(Effect.DONE)]

        def fault(request: str) -> Trouble | None:
            if request == "details" and len(scanner.scans) == 1:
                return Trouble(error=error)
            return doubts.pop() if request == request_ and doubts else None

        scanner.fault = fault
        task = await w.submit()
        await trio.sleep(2 * 3600)
        done = await w.settled(task.task_id, within=6 * 3600)
        assert done.state is TaskState.COMPLETED
        assert set(scanner.launches.values()) == {1}
        await trio.sleep(3600)
        assert not (await w.task(task.task_id)).owed
        assert not scanner.active()


@pytest.mark.parametrize("wrong_by", [-86400.0, 86400.0])
async def test_an_adopted_scan_counts_its_runtime_by_our_clock(
    tmp_path: Path, autojump_clock: MockClock, wrong_by: float
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):

        def launched(scan: FakeScan) -> None:
            scan.started_at = w.context.now() + wrong_by

        scanner.on_launch = launched
        fails(scanner, "launch", lost(Effect.DONE))
        task = await w.running()
        assert "adopted" in await w.events(task)
        assert task.launched_at is not None
        assert task.entered[TaskState.LAUNCHING] <= task.launched_at <= w.context.now()


@pytest.mark.slow
async def test_an_overdue_scan_is_stopped_only_when_its_scanner_answers(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.duration = lambda _order: 1e5
        task = await w.running(max_runtime=600.0)
        await trio.sleep(60)
        scanner.down = unreachable()
        await trio.sleep(6000)
        assert (await w.task(task.task_id)).state is TaskState.TIMED_OUT
        assert "stop" not in scanner.requests
        scanner.down = None
        await seen(lambda: not scanner.active())
        await trio.sleep(600)
        assert scanner.requests["stop"] == 1
