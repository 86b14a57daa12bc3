"""Scanners that run all that they can, for us and for others."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.scanner import ScanStatus
from nessus_sched.core.states import TaskState
from support.world import one_scanner, seen


@pytest.mark.slow
async def test_a_full_scanner_makes_the_task_wait_and_costs_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, 2) as (w, scanner):
        scanner.max_scans = 1
        scanner.add_foreign("someone's", 3600)
        task = await w.submit()
        await trio.sleep(600)
        waiting = await w.queries.task(task.task_id)
        assert waiting.task.state is TaskState.QUEUED
        assert waiting.task.failures == 0
        assert waiting.standing.wait_reason is not None
        assert waiting.standing.wait_reason.code is WaitCode.SCANNER_HELD
        assert scanner.requests["launch"] < 15
        done = await w.settled(task.task_id)
        assert done.state is TaskState.COMPLETED
        assert not scanner.touched_foreign
        assert len(scanner.scans) == 2, "every scan that could not be launched was removed"


async def test_the_scanners_own_limit_is_respected_when_it_tells_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, 3) as (w, scanner):
        scanner.max_scans = 2
        scanner.info_answer = attrs.evolve(scanner.info_answer, max_scans=2)
        scanner.add_foreign("someone's", 3600)
        await trio.sleep(120)
        for n in range(1, 4):
            await w.submit(f"192.0.2.{n}")
        await trio.sleep(600)
        assert scanner.most_running == 1
        assert scanner.requests["launch"] == 1


async def test_it_looks_before_it_launches_where_the_scanner_has_a_limit_of_its_own(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Someone has filled the scanner since the latest poll."""
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.max_scans = 1
        scanner.info_answer = attrs.evolve(scanner.info_answer, max_scans=1)
        await seen(lambda: scanner.requests["list_scans"] == 1)
        await trio.sleep(30)
        scanner.add_foreign("someone's", 300.0)
        polls = scanner.requests["list_scans"]
        task = await w.submit()
        await trio.sleep(5)
        assert scanner.requests["list_scans"] == polls + 1
        assert (await w.task(task.task_id)).state is TaskState.QUEUED
        assert not scanner.requests["create_scan"]
        done = await w.settled(task.task_id)
        assert (done.state, done.attempt) == (TaskState.COMPLETED, 1)


@pytest.mark.parametrize("max_scans", [None, 4])
async def test_it_does_not_look_when_that_would_tell_nothing_new(
    tmp_path: Path, autojump_clock: MockClock, max_scans: int | None
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.info_answer = attrs.evolve(scanner.info_answer, max_scans=max_scans)
        await seen(lambda: scanner.requests["list_scans"] == 1)
        await trio.sleep(1 if max_scans else 30)
        polls = scanner.requests["list_scans"]
        polls_at_launch: list[int] = []
        scanner.on_launch = lambda _scan: polls_at_launch.append(scanner.requests["list_scans"])
        await w.running()
        assert polls_at_launch == [polls]


async def test_a_scan_that_waits_on_the_scanner_says_so(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.on_launch = lambda scan: scanner.set_status(scan, ScanStatus.PENDING)
        task = await w.running()
        await trio.sleep(60)
        shown = (await w.task(task.task_id)).last_error
        assert shown is not None
        assert (shown.kind, shown.transient) == ("scan_pending", True)
        assert "waits on the scanner" in shown.message
        scanner.set_status(scanner.scans[1], ScanStatus.RUNNING)
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        assert (await w.events(task)).count("scan_pending") == 1
