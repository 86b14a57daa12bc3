"""A scanner that is lost in mid-scan does not hold its tasks for ever."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.scanner import Refused, RemoteScan, ScannerError, ScanOrder, ScanStatus
from nessus_sched.core.states import TaskState
from support.fake_scanner import FakeScanner, fails, unreachable
from support.trouble import Effect, Trouble, lost
from support.world import (
    config_of,
    error_kind,
    one_scanner,
    scanner_settings,
    seen,
    virtual_now,
    world,
)

HOUR, DAY = 3600.0, 86400.0


def endless(_order: ScanOrder) -> float:
    return 100 * DAY


@pytest.mark.slow
async def test_a_running_task_says_that_there_is_no_contact(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running()
        scanner.down = unreachable()
        await trio.sleep(3 * HOUR + 300)
        reason = (await w.queries.task(task.task_id)).standing.wait_reason
        assert reason is not None
        assert reason.code is WaitCode.NO_CONTACT
        assert "no contact with scanner a for 3 h" in reason.text
        scanner.down = None
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED


async def test_an_abandoned_scan_counts_as_running_until_it_has_stopped(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now(), duration=endless)
    async with world(config_of(tmp_path, scanner_settings("a", 1)), {"a": scanner}) as w:
        task = await w.running("192.0.2.1")
        other = await w.submit("192.0.2.2")
        scanner.down = unreachable()
        await w.service.cancel(task.task_id, actor="me")
        await w.settled(task.task_id, within=HOUR)
        fails(scanner, "stop", *[Trouble(error=unreachable())] * 3)
        scanner.down = None
        await w.until(other.task_id, TaskState.RUNNING, within=HOUR)
        assert scanner.requests["stop"] == 4
        assert scanner.most_running == 1


@pytest.mark.slow
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("why", ["cancel", "max_runtime", "discard"])
async def test_what_should_end_ends_without_its_scanner_which_is_cleaned_up_later(
    tmp_path: Path, autojump_clock: MockClock, why: str, again: bool
) -> None:
    scanner = FakeScanner(virtual_now(), duration=endless)
    config = config_of(tmp_path, scanner_settings("a", 1))
    async with world(config, {"a": scanner}) as w:
        task = await w.running("192.0.2.1", max_runtime=HOUR)
        other = await w.submit("192.0.2.2")
        scanner.down = unreachable()
        if why != "max_runtime":
            await w.service.cancel(task.task_id, actor="me", discard=why == "discard")
        done = await w.settled(task.task_id, within=2 * HOUR)
        ends = TaskState.TIMED_OUT if why == "max_runtime" else TaskState.CANCELED
        assert done.state is ends
        assert [each.scanner_instance for each in done.owed] == ["a"]
        assert w.queries.scanners()[0].owed == 1
        if not again:
            await trio.sleep(DAY)
            assert (await w.task(other.task_id)).state is TaskState.QUEUED
            scanner.down = None
            await w.until(other.task_id, TaskState.RUNNING, within=HOUR)
    async with world(config, {"a": scanner}) as w:
        if again:
            assert w.queries.scanners()[0].owed == 1
            await trio.sleep(DAY)
            scanner.down = None
            await w.until(other.task_id, TaskState.RUNNING, within=HOUR)
        await trio.sleep(HOUR)
        done = await w.task(task.task_id)
        assert (done.state, done.owed) == (ends, ())
        assert w.queries.scanners()[0].owed == 0
        assert (done.partial is None) is (why == "discard")
        assert scanner.most_running == 1, "the lost scan kept its slot until it was stopped"
        assert (1 in scanner.scans) is (why != "discard")


async def test_a_scanner_that_is_removed_while_it_is_lost_frees_its_task(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    a, b = FakeScanner(virtual_now(), duration=endless), FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a", 1), scanner_settings("b", 1))
    async with world(config, {"a": a, "b": b}) as w:
        task = await w.running("192.0.2.1", scanner_instance="a")
        a.down = unreachable()
        await trio.sleep(60)
        await w.fleet.apply(attrs.evolve(config, scanners=config.scanners[1:]))
        done = await w.settled(task.task_id, within=HOUR)
        assert (done.state, error_kind(done)) == (TaskState.DEAD, "scanner_removed")
        await trio.sleep(60)
        assert list(w.fleet.drivers) == ["b"]
        await w.fleet.apply(config)
        a.down = None
        await trio.sleep(HOUR)
        done = await w.task(task.task_id)
        assert not done.owed
        assert done.partial is not None
        assert a.scans[1].status is ScanStatus.STOPPED


@pytest.mark.slow
async def test_others_wait_for_the_targets_of_a_lost_scan_but_not_for_ever(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    a, b = FakeScanner(virtual_now(), duration=endless), FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a", 1), scanner_settings("b", 1))
    async with world(config, {"a": a, "b": b}) as w:
        task = await w.running("192.0.2.1", scanner_instance="a")
        a.down = unreachable()
        await w.service.cancel(task.task_id, actor="me")
        other = await w.submit("192.0.2.0/28")
        await w.settled(task.task_id, within=HOUR)
        await trio.sleep(HOUR / 2)
        reason = (await w.queries.task(other.task_id)).standing.wait_reason
        assert reason is not None
        assert (reason.code, reason.blocker) == (WaitCode.OVERLAP, task.task_id)
        assert "lost" in reason.text
        assert (await w.settled(other.task_id, within=HOUR)).state is TaskState.COMPLETED


async def test_the_targets_are_free_as_soon_as_the_scan_was_stopped(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    a, b = FakeScanner(virtual_now(), duration=endless), FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a", 1), scanner_settings("b", 1))
    async with world(config, {"a": a, "b": b}) as w:
        task = await w.running("192.0.2.1", scanner_instance="a")
        a.down = unreachable()
        await w.service.cancel(task.task_id, actor="me")
        other = await w.submit("192.0.2.1", scanner_instance="b")
        await w.settled(task.task_id, within=HOUR)
        a.down = None
        assert (await w.settled(other.task_id, within=HOUR / 2)).state is TaskState.COMPLETED
        assert a.scans[1].status is ScanStatus.STOPPED


@pytest.mark.parametrize("takes", [600.0, 100 * DAY])
async def test_a_launch_in_doubt_on_a_lost_scanner_goes_elsewhere(
    tmp_path: Path, autojump_clock: MockClock, takes: float
) -> None:
    """The lost scan may have ended meanwhile, with as many finished hosts as the other."""
    a, b = FakeScanner(virtual_now(), duration=lambda _order: takes), FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a", 1), scanner_settings("b", 1))
    async with world(config, {"a": a, "b": b}) as w:
        blocker = await w.running("192.0.2.9", scanner_instance="b")
        a.fault = lambda request: lost(Effect.DONE) if request == "launch" else None
        task = await w.submit("192.0.2.1")
        await seen(lambda: bool(a.launches))
        a.down = unreachable()
        await w.settled(blocker.task_id)
        done = await w.settled(task.task_id, within=3 * HOUR)
        assert (done.state, done.scanner_instance, done.attempt) == (TaskState.COMPLETED, "b", 2)
        assert done.failures == 0
        a.down, a.fault = None, lambda _request: None
        await trio.sleep(HOUR)
        done = await w.task(task.task_id)
        assert not done.owed
        assert done.partial is None, "the whole results are kept"
        assert not a.active()


async def test_an_abandoned_scan_with_a_status_that_is_not_known_counts_and_is_stopped(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A newer version of the scanner may have another word for what it does."""
    scanner = FakeScanner(virtual_now(), duration=endless)
    async with world(config_of(tmp_path, scanner_settings("a", 1)), {"a": scanner}) as w:
        task = await w.running("192.0.2.1")
        other = await w.submit("192.0.2.2")
        scanner.down = unreachable()
        await w.service.cancel(task.task_id, actor="me")
        await w.settled(task.task_id, within=HOUR)
        scanner.scans[1].status = ScanStatus.UNKNOWN
        scanner.down = None
        await trio.sleep(HOUR)
        assert scanner.requests["stop"] > 1
        assert (await w.task(other.task_id)).state is TaskState.QUEUED
        scanner.set_status(scanner.scans[1], ScanStatus.STOPPED)
        await w.until(other.task_id, TaskState.RUNNING, within=HOUR)


async def test_one_list_without_an_abandoned_scan_does_not_free_its_slot(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """As of a scanner that has just been restarted."""
    scanner = FakeScanner(virtual_now(), duration=endless)
    async with world(config_of(tmp_path, scanner_settings("a", 1)), {"a": scanner}) as w:
        task = await w.running("192.0.2.1")
        other = await w.submit("192.0.2.2")
        scanner.down = unreachable()
        await w.service.cancel(task.task_id, actor="me")
        await w.settled(task.task_id, within=HOUR)
        (number, scan), *_ = scanner.scans.items()
        hidden = {number: scan}
        listed = scanner.list_scans

        async def nothing() -> Sequence[RemoteScan]:
            scanner.list_scans = listed  # type: ignore[method-assign]
            return [each for each in await listed() if each.scan_id not in hidden]

        scanner.list_scans = nothing  # type: ignore[method-assign]
        scanner.down = None
        await w.until(other.task_id, TaskState.RUNNING, within=HOUR)
        assert scan.status is ScanStatus.STOPPED
        assert scanner.most_running == 1


@pytest.mark.parametrize("error", [None, Refused("not for you")])
async def test_a_scan_that_is_never_listed_again_gives_its_slot_back(
    tmp_path: Path, autojump_clock: MockClock, error: ScannerError | None
) -> None:
    """As with a login that may not see it any more."""
    scanner = FakeScanner(virtual_now(), duration=endless)
    async with world(config_of(tmp_path, scanner_settings("a", 1)), {"a": scanner}) as w:
        task = await w.running("192.0.2.1")
        other = await w.submit("192.0.2.2")
        scanner.down = unreachable()
        await w.service.cancel(task.task_id, actor="me")
        await w.settled(task.task_id, within=HOUR)
        listed = scanner.list_scans

        async def without_it() -> Sequence[RemoteScan]:
            return [each for each in await listed() if each.scan_id != 1]

        scanner.list_scans = without_it  # type: ignore[method-assign]
        if error is not None:
            fails(scanner, "details", *[Trouble(error=error)] * 1000)
        scanner.down = None
        await w.until(other.task_id, TaskState.RUNNING, within=HOUR)
        assert not (await w.task(task.task_id)).owed
