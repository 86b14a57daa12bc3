"""Scanners that fail, are full, are down, are meddled with; and what becomes of the tasks."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.schema import SchedulingSettings
from nessus_sched.core.pool.breaker import BreakerState
from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.scanner import (
    BadExport,
    BadOrder,
    CertificateMismatch,
    ExportNotAllowed,
    LoginRefused,
    NotFound,
    NotOurs,
    Refused,
    ScannerError,
    ScannerInfo,
    TransientError,
)
from nessus_sched.core.states import TaskState
from support.fake_scanner import FakeScanner, fails, unreachable
from support.seals import marked
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

TWICE = SchedulingSettings(backoff_base=10.0, backoff_max=120.0, max_attempts=2)


# Attempts.


async def test_an_aborted_scan_is_tried_again_and_again_and_then_dead(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, scheduling=TWICE) as (w, scanner):
        task = await w.running()
        scanner.restart()
        waiting = await w.until(task.task_id, TaskState.RETRY_WAIT)
        assert waiting.retry_at is not None
        assert 5 <= waiting.retry_at - w.context.now() <= 10
        assert not w.queries.statistics().scanners[0].slots.active, "it waits without a slot"
        again = await w.until(task.task_id, TaskState.RUNNING)
        assert (again.attempt, again.failures) == (2, 1)
        scanner.restart()
        dead = await w.settled(task.task_id)
        assert (dead.state, error_kind(dead), dead.failures) == (TaskState.DEAD, "scan_aborted", 2)
        attempts = [marked(name) for name in sorted(scanner.launches)]
        assert attempts == [(task.task_id, 1), (task.task_id, 2)]


async def test_a_dead_letter_gets_all_its_attempts_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, scheduling=TWICE) as (w, scanner):
        task = await w.running()
        for _ in range(2):
            await w.until(task.task_id, TaskState.RUNNING)
            scanner.restart()
            await trio.sleep(60)
        assert (await w.task(task.task_id)).state is TaskState.DEAD
        view = await w.service.retry_dead(task.task_id, actor="op")
        assert (view.task.state, view.task.failures) == (TaskState.QUEUED, 0)
        await w.until(task.task_id, TaskState.RUNNING)
        scanner.restart()
        await w.until(task.task_id, TaskState.RETRY_WAIT)
        done = await w.settled(task.task_id)
        assert (done.state, done.attempt) == (TaskState.COMPLETED, 4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ("create_scan", BadOrder("no scan can be made of it")),
        ("create_scan", Refused("a bad setting")),
        ("create_scan", NotFound("no such template")),
        ("launch", NotOurs("someone moved it")),
    ],
)
async def test_a_refusal_that_will_not_pass_makes_a_dead_letter_at_once(
    tmp_path: Path, autojump_clock: MockClock, request_: str, error: ScannerError
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        fails(scanner, request_, *[Trouble(error=error)] * 10)
        task = await w.submit()
        dead = await w.settled(task.task_id)
        assert (dead.state, error_kind(dead)) == (TaskState.DEAD, error.kind)
        assert scanner.requests[request_] == 1
        with trio.fail_after(150):
            await seen(lambda: not scanner.scans)


async def test_a_scanner_that_answers_and_fails_costs_an_attempt_only_after_a_while(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, scheduling=TWICE) as (w, scanner):
        broken = Trouble(error=TransientError("500"))
        fails(scanner, "create_scan", *[broken] * 3)
        task = await w.submit()
        done = await w.settled(task.task_id)
        assert (done.state, done.attempt, done.failures) == (TaskState.COMPLETED, 1, 0)
        fails(scanner, "create_scan", *[broken] * 1000)
        task = await w.submit()
        dead = await w.settled(task.task_id)
        assert (dead.state, dead.attempt) == (TaskState.DEAD, 2)


async def test_retry_after_is_honored(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        # `Trouble` raises a fresh error of the kind; Retry-After rides on this one.
        class SlowDown(TransientError):
            def __init__(self, message: str) -> None:
                super().__init__(message, retry_after=300.0)

        fails(scanner, "create_scan", Trouble(error=SlowDown("429")))
        started = trio.current_time()
        task = await w.submit()
        await w.until(task.task_id, TaskState.RUNNING)
        assert 300 <= trio.current_time() - started < 400


# Scanners that are down.


@pytest.mark.slow
async def test_a_scanner_that_is_down_at_start_delays_only_its_own_tasks(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanners = {name: FakeScanner(virtual_now()) for name in "ab"}
    scanners["a"].down = unreachable()
    config = config_of(tmp_path, scanner_settings("a", 2), scanner_settings("b", 2))
    async with world(config, scanners) as w:
        own = await w.submit("192.0.2.1", scanner_instance="a")
        others = [await w.submit(f"192.0.2.{n}") for n in range(2, 6)]
        for task in others:
            done = await w.settled(task.task_id, within=1300)
            assert (done.state, done.scanner_instance) == (TaskState.COMPLETED, "b")
        standing = (await w.queries.task(own.task_id)).standing
        assert standing.wait_reason is not None
        assert standing.wait_reason.code is WaitCode.SCANNER_DOWN
        assert "no connection" in standing.wait_reason.text
        scanners["a"].down = None
        assert (await w.settled(own.task_id, within=2000)).state is TaskState.COMPLETED


@pytest.mark.slow
async def test_unpinned_work_moves_on_when_its_scanner_goes_down(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanners = {name: FakeScanner(virtual_now()) for name in "ab"}
    config = config_of(tmp_path, scanner_settings("a"), scanner_settings("b"))
    async with world(config, scanners) as w:
        await trio.sleep(1)
        running = [await w.running(f"192.0.2.{n}") for n in (1, 2)]
        scanners["a"].down = unreachable()
        waiting = [await w.submit(f"192.0.2.{n}") for n in (3, 4)]
        for task in waiting:
            done = await w.settled(task.task_id, within=2500)
            assert done.scanner_instance == "b"
        on_a = next(task for task in running if task.scanner_instance == "a")
        assert (await w.task(on_a.task_id)).state is TaskState.RUNNING
        scanners["a"].down = None
        done = await w.settled(on_a.task_id, within=1000)
        assert done.state is TaskState.COMPLETED, "running scans are watched again"
        assert scanners["a"].launches.total() == 1


@pytest.mark.slow
async def test_a_dead_scanner_costs_one_probe_per_open_period(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, 3) as (w, scanner):
        running = [await w.running(f"192.0.2.{n}") for n in (1, 2)]
        await w.submit("192.0.2.3")
        scanner.down = unreachable()
        await w.service.cancel(running[0].task_id, actor="me")
        await trio.sleep(300)
        assert w.context.pool.breaker("a").state is BreakerState.OPEN
        before = scanner.requests.total()
        await trio.sleep(6 * 3600)
        probes = scanner.requests.total() - before
        assert 20 <= probes <= 32, "every 15 minutes, after the first few"
        scanner.down = None
        await trio.sleep(1000)
        assert w.context.pool.breaker("a").state is BreakerState.CLOSED


@pytest.mark.slow
@pytest.mark.parametrize("error", [LoginRefused("wrong password"), CertificateMismatch("other")])
async def test_a_refused_login_costs_no_task_its_life(
    tmp_path: Path, autojump_clock: MockClock, error: ScannerError
) -> None:
    async with one_scanner(tmp_path, 2) as (w, scanner):
        running = await w.running("192.0.2.1")
        scanner.down = error
        task = await w.submit("192.0.2.2")
        await w.service.cancel(running.task_id, actor="me")
        await trio.sleep(300)
        assert w.context.pool.breaker("a").openings == 1
        view = w.queries.scanners()[0]
        assert view.trouble == str(error)
        assert (await w.task(task.task_id)).state is TaskState.QUEUED
        scanner.down = None
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        assert (await w.settled(running.task_id)).state is TaskState.CANCELED


async def test_a_login_refused_in_the_midst_of_a_launch_leaves_no_scan_behind(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.on_launch = lambda _scan: setattr(scanner, "down", LoginRefused("expired"))
        fails(scanner, "launch", lost(Effect.DONE))
        task = await w.submit()
        await trio.sleep(300)
        assert (await w.task(task.task_id)).state is TaskState.LAUNCHING
        scanner.down = None
        done = await w.settled(task.task_id)
        assert (done.state, done.attempt) == (TaskState.COMPLETED, 1)


@pytest.mark.slow
async def test_a_scanner_that_loads_its_plugins_is_not_in_trouble(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now())
    scanner.info_answer = ScannerInfo(ready=False, loading_percent=40)
    async with world(config_of(tmp_path, scanner_settings("a")), {"a": scanner}) as w:
        task = await w.submit()
        await trio.sleep(1800)
        view = w.queries.scanners()[0]
        assert view.trouble == "the scanner is loading its plugins (40 %)"
        assert view.statistics.breaker.openings == 0
        assert scanner.requests.total() < 1200
        assert scanner.requests["create_scan"] == 0
        scanner.info_answer = ScannerInfo(ready=True)
        started = trio.current_time()
        await w.until(task.task_id, TaskState.RUNNING)
        assert trio.current_time() - started < 70


@pytest.mark.slow
async def test_loading_after_an_outage_is_not_asked_for_without_pause(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.down = unreachable()
        await trio.sleep(1800)
        scanner.down = None
        scanner.restart(loading=1800)
        before = scanner.requests.total()
        await trio.sleep(2400)
        assert scanner.requests.total() - before < 1300
        assert (await w.running()).state is TaskState.RUNNING


# Exports.


async def test_a_report_that_comes_broken_is_fetched_again_without_a_new_scan(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        bad = Trouble(error=BadExport("truncated"))
        fails(scanner, "export", bad, bad, Trouble(error=Refused("409: still running")))
        task = await w.submit()
        done = await w.settled(task.task_id)
        assert done.state is TaskState.COMPLETED
        assert scanner.launches.total() == 1
        fails(scanner, "export", *[bad] * 100)
        task = await w.submit()
        dead = await w.settled(task.task_id)
        assert (dead.state, error_kind(dead)) == (TaskState.DEAD, "bad_export")
        assert scanner.requests["export"] == 4 + 8


async def test_a_scanner_that_may_not_export_is_asked_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        refusal = Trouble(error=ExportNotAllowed("trial mode"))
        fails(scanner, "export", *[refusal] * 100)
        dead = await w.settled((await w.submit()).task_id)
        assert (dead.state, error_kind(dead)) == (TaskState.DEAD, "export_not_allowed")
        assert scanner.requests["export"] == 1
        task = await w.running("192.0.2.2")
        await w.service.cancel(task.task_id, actor="me")
        done = await w.settled(task.task_id)
        assert (done.state, done.summary) == (TaskState.CANCELED, None)
        assert scanner.requests["export"] == 2


@pytest.mark.slow
async def test_an_outage_while_exporting_delays_the_report_only(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        fails(scanner, "export", Trouble(error=BadExport("cut off")))
        task, waiting = await w.running("192.0.2.1"), await w.submit("192.0.2.2")
        await w.until(task.task_id, TaskState.EXPORTING)
        scanner.down = unreachable()
        await trio.sleep(6 * 3600)
        assert (await w.task(task.task_id)).state is TaskState.EXPORTING
        scanner.down = None
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        assert (await w.settled(waiting.task_id)).state is TaskState.COMPLETED


async def test_a_scan_deleted_before_its_export_is_told(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        fails(scanner, "export", Trouble(error=BadExport("cut off")))
        task = await w.submit()
        await w.until(task.task_id, TaskState.EXPORTING)
        scanner.remove(scanner.scans[1])
        dead = await w.settled(task.task_id)
        assert (dead.state, error_kind(dead)) == (TaskState.DEAD, "scan_vanished")
