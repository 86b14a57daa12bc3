"""Scanners that fail, are full, are down, are meddled with; and what becomes of the tasks."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.schema import SchedulingSettings
from nessus_sched.core.breaker import BreakerState
from nessus_sched.core.reasons import WaitCode
from nessus_sched.core.scanner import (
    BadExport,
    CertificateMismatch,
    LicenseLimit,
    LoginRefused,
    NotFound,
    Refused,
    ScannerError,
    ScannerInfo,
    ScanStatus,
    TransientError,
)
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task, marker
from support.fake_scanner import FakeScan, FakeScanner, unreachable
from support.trouble import Effect, Trouble, lost
from support.world import (
    World,
    config_of,
    one_scanner,
    scanner_settings,
    seen,
    virtual_now,
    world,
)

TWICE = SchedulingSettings(backoff_base=10.0, backoff_max=120.0, max_attempts=2)


def kind(task: Task) -> str:
    assert task.last_error is not None
    return task.last_error.kind


def fails(scanner: FakeScanner, request: str, *troubles: Trouble) -> None:
    """The next requests of that name meet these troubles, one after the other."""
    left = list(troubles)

    def fault(name: str) -> Trouble | None:
        return left.pop(0) if name == request and left else None

    scanner.fault = fault


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
        assert not w.service.statistics().scanners[0].slots.active, "it waits without a slot"
        again = await w.until(task.task_id, TaskState.RUNNING)
        assert (again.attempt, again.failures) == (2, 1)
        scanner.restart()
        dead = await w.settled(task.task_id)
        assert (dead.state, kind(dead), dead.failures) == (TaskState.DEAD, "scan_aborted", 2)
        names = sorted(scanner.launches)
        assert [name.rpartition(".")[2] for name in names] == ["1]", "2]"]


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


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ("create_scan", LicenseLimit("the licence has expired")),
        ("create_scan", NotFound("no such template")),
        ("launch", Refused("no right to launch")),
    ],
)
async def test_a_refusal_that_will_not_pass_makes_a_dead_letter_at_once(
    tmp_path: Path, autojump_clock: MockClock, request_: str, error: ScannerError
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        fails(scanner, request_, *[Trouble(error=error)] * 10)
        task = await w.submit()
        dead = await w.settled(task.task_id)
        assert (dead.state, kind(dead)) == (TaskState.DEAD, error.kind)
        assert scanner.requests[request_] == 1
        with trio.fail_after(120):
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


# Lost answers.


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
    async with one_scanner(tmp_path) as (w, scanner):
        troubles = {
            "create_scan": [lost(Effect.LATE, delay=8.0)],
            "launch": [lost(Effect.DONE, takes=5.0)],
        }
        scanner.fault = lambda request: next(iter(troubles.pop(request, [])), None)
        task = await w.submit()
        done = await w.settled(task.task_id)
        assert (done.state, done.attempt) == (TaskState.COMPLETED, 1)
        name = f"{task.task_id} [ns:{task.task_id}.1]"
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


# Full scanners and foreign scans.


async def test_a_full_scanner_makes_the_task_wait_and_costs_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, 2) as (w, scanner):
        scanner.max_scans = 1
        scanner.add_foreign("somebody's", 3600)
        task = await w.submit()
        await trio.sleep(600)
        waiting = await w.service.task(task.task_id)
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
        scanner.add_foreign("somebody's", 3600)
        await trio.sleep(120)
        for n in range(1, 4):
            await w.submit(f"192.0.2.{n}")
        await trio.sleep(600)
        assert scanner.most_running == 1
        assert scanner.requests["launch"] == 1


async def test_retry_after_is_honoured(tmp_path: Path, autojump_clock: MockClock) -> None:
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
        standing = (await w.service.task(own.task_id)).standing
        assert standing.wait_reason is not None
        assert standing.wait_reason.code is WaitCode.SCANNER_DOWN
        assert "no connection" in standing.wait_reason.text
        scanners["a"].down = None
        assert (await w.settled(own.task_id, within=2000)).state is TaskState.COMPLETED


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
        view = w.service.scanners()[0]
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


async def test_a_scanner_that_loads_its_plugins_is_not_in_trouble(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now())
    scanner.info_answer = ScannerInfo(ready=False, loading_percent=40)
    async with world(config_of(tmp_path, scanner_settings("a")), {"a": scanner}) as w:
        task = await w.submit()
        await trio.sleep(1800)
        view = w.service.scanners()[0]
        assert view.trouble == "the scanner is loading its plugins (40 %)"
        assert view.statistics.breaker.openings == 0
        assert scanner.requests.total() < 1200
        assert scanner.requests["create_scan"] == 0
        scanner.info_answer = ScannerInfo(ready=True)
        started = trio.current_time()
        await w.until(task.task_id, TaskState.RUNNING)
        assert trio.current_time() - started < 70


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
        assert (dead.state, kind(dead)) == (TaskState.DEAD, "bad_export")
        assert scanner.requests["export"] == 4 + 8


async def test_an_outage_while_exporting_delays_the_report_only(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        fails(scanner, "export", Trouble(error=BadExport("cut off")))
        task, waiting = await w.running("192.0.2.1"), await w.submit("192.0.2.2")
        await w.until(task.task_id, TaskState.EXPORTING)
        scanner.down = unreachable()
        await trio.sleep(86400)
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
        assert (dead.state, kind(dead)) == (TaskState.DEAD, "scan_vanished")


# A person at the scanner.


async def test_a_person_pauses_and_resumes(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running()
        scanner.set_status(scanner.scans[1], ScanStatus.PAUSED)
        await w.until(task.task_id, TaskState.PAUSED, within=120)
        await trio.sleep(3600)
        assert scanner.requests["resume"] == 0, "the person knows why"
        scanner.set_status(scanner.scans[1], ScanStatus.RUNNING)
        await w.until(task.task_id, TaskState.RUNNING, within=120)
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        told = await w.events(task)
        assert "paused_on_scanner" in told
        assert "resumed_on_scanner" in told


async def test_a_person_stops_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running()
        scanner.set_status(scanner.scans[1], ScanStatus.STOPPED)
        done = await w.settled(task.task_id, within=120)
        assert (done.state, kind(done)) == (TaskState.CANCELED, "stopped_on_scanner")


async def test_a_person_deletes_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task, waiting = await w.running("192.0.2.1"), await w.submit("192.0.2.2")
        scanner.remove(scanner.scans[1])
        dead = await w.settled(task.task_id, within=120)
        assert (dead.state, kind(dead)) == (TaskState.DEAD, "scan_vanished")
        assert (await w.settled(waiting.task_id)).state is TaskState.COMPLETED


async def renamed(w: World, scanner: FakeScanner) -> Task:
    task = await w.running()
    scanner.rename(scanner.scans[1], "my own now")
    await trio.sleep(120)
    assert "scan_disowned" in await w.events(task)
    return task


async def test_a_person_renames_it_and_its_results_still_come(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await renamed(w, scanner)
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        assert (await w.events(task)).count("scan_disowned") == 1


async def test_a_renamed_scan_is_left_alone_by_cancel_and_pause(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await renamed(w, scanner)
        await w.service.pause(task.task_id, actor="me")
        await trio.sleep(60)
        await w.service.cancel(task.task_id, actor="me")
        done = await w.settled(task.task_id, within=120)
        assert done.state is TaskState.CANCELED
        assert done.last_error is not None
        assert "left alone" in done.last_error.message
        assert not scanner.requests["pause"] + scanner.requests["stop"]
        assert scanner.scans[1].status is ScanStatus.RUNNING


async def test_a_renamed_scan_that_is_paused_does_not_hold_its_slot_for_ever(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await renamed(w, scanner)
        scanner.set_status(scanner.scans[1], ScanStatus.PAUSED)
        dead = await w.settled(task.task_id, within=120)
        assert (dead.state, kind(dead)) == (TaskState.DEAD, "scan_not_ours")


async def test_it_looks_before_it_launches_where_the_scanner_has_a_limit_of_its_own(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Somebody has filled the scanner since the latest poll."""
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.max_scans = 1
        scanner.info_answer = attrs.evolve(scanner.info_answer, max_scans=1)
        await seen(lambda: scanner.requests["list_scans"] == 1)
        await trio.sleep(30)
        scanner.add_foreign("somebody's", 300.0)
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


async def test_a_withdrawal_whose_answer_is_lost_costs_no_attempt(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        troubles = {"launch": [lost(Effect.NONE)], "delete": [lost(Effect.DONE)]}
        scanner.fault = lambda request: next(iter(troubles.pop(request, [])), None)
        task = await w.submit()
        done = await w.settled(task.task_id)
        assert (done.state, done.attempt, done.failures) == (TaskState.COMPLETED, 1, 0)
        assert "scan_withdrawn" in await w.events(task)


# Doubts.


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
        assert (done.state, done.attempt, kind(done)) == (TaskState.COMPLETED, 2, "scanner_refused")


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


async def test_an_overdue_scan_is_stopped_only_when_its_scanner_answers(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.duration = lambda _order: 1e5
        task = await w.running(max_runtime=600.0)
        await trio.sleep(60)
        scanner.down = unreachable()
        await trio.sleep(6000)
        assert "stop" not in scanner.requests
        scanner.down = None
        assert (await w.settled(task.task_id)).state is TaskState.TIMED_OUT
        assert scanner.requests["stop"] == 1
