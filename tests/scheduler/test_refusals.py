"""Scanners that answer and refuse to scan: they are suspended, and their tasks are not harmed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.scanners import UiSession
from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.scanner import (
    ApiRefused,
    DiskFull,
    LaunchRefused,
    LicenseExpired,
    LicenseLimit,
    LoginRefused,
    Marks,
    NoPlugins,
    NoTemplates,
    NotFound,
    PermissionDenied,
    Refused,
    ScannerError,
    ScannerInfo,
    TemplateNotLicensed,
)
from nessus_sched.core.secret import Secret
from nessus_sched.core.states import TaskState
from nessus_sched.core.suspension import SuspensionStatistics
from nessus_sched.core.task import Priority, Task
from support.fake_scanner import FakeScanner
from support.trouble import Effect, Trouble
from support.world import (
    EPOCH,
    World,
    basic,
    config_of,
    error_kind,
    scanner_settings,
    virtual_now,
    world,
)


class DiskFullPerhaps(DiskFull):
    in_doubt = True


WAYS: Mapping[str, tuple[str, ScannerError]] = {
    "license expired": ("create_scan", LicenseExpired("403: license expired")),
    "license expired at launch": ("launch", LicenseExpired("403: license expired")),
    "no rights": ("create_scan", PermissionDenied("403: no rights")),
    "no API": ("create_scan", ApiRefused("412: API is not available")),
    "no plugins": ("create_scan", NoPlugins("500: no plugins")),
    "no templates": ("create_scan", NoTemplates("no template")),
    "host limit": ("launch", LicenseLimit("403: too many hosts")),
    "launch refused": ("launch", LaunchRefused("403: can not be launched")),
    "disk full": ("create_scan", DiskFullPerhaps("500: no space left")),
    "disk full at launch": ("launch", DiskFullPerhaps("500: no space left")),
    "login refused": ("create_scan", LoginRefused("401")),
}
ways = pytest.mark.parametrize("way", WAYS)


def refuse(
    scanner: FakeScanner, request: str, error: ScannerError, effect: Effect = Effect.NONE
) -> None:
    trouble = Trouble(error=error, effect=effect)
    scanner.fault = lambda name: trouble if name == request else None


def recover(scanner: FakeScanner) -> None:
    scanner.fault = lambda _request: None


@asynccontextmanager
async def scanners(directory: Path, **found: FakeScanner) -> AsyncIterator[World]:
    settings = [scanner_settings(scanner_id) for scanner_id in found]
    async with world(config_of(directory, *settings), found) as w:
        yield w


def fake() -> FakeScanner:
    return FakeScanner(virtual_now(), duration=lambda _order: 60.0)


def suspension(w: World, scanner_id: str) -> SuspensionStatistics | None:
    return w.context.pool.suspension(scanner_id)


async def submit(w: World, count: int) -> list[Task]:
    return [
        (
            await w.service.submit(
                basic(f"192.0.2.{number + 1}", priority=list(Priority)[number % 3]), actor="test"
            )
        ).view.task
        for number in range(count)
    ]


async def completed(w: World, tasks: list[Task]) -> None:
    for task in tasks:
        done = await w.settled(task.task_id)
        assert (done.state, done.failures) == (TaskState.COMPLETED, 0), done


def launched_once(*found: FakeScanner) -> None:
    launches: dict[str, int] = {}
    for scanner in found:
        for name, count in scanner.launches.items():
            task = name.partition("[ns:")[2].partition(".")[0]
            launches[task] = launches.get(task, 0) + count
    assert set(launches.values()) == {1}


@pytest.mark.sampled(6)
@ways
async def test_work_goes_to_the_other_scanner(
    tmp_path: Path, autojump_clock: MockClock, way: str
) -> None:
    request, error = WAYS[way]
    bad, good = fake(), fake()
    refuse(bad, request, error)
    async with scanners(tmp_path, bad=bad, good=good) as w:
        tasks = await submit(w, 40)
        await trio.sleep(60)
        found = suspension(w, "bad")
        assert found is not None
        assert (found.kind, found.reason) == (error.kind, str(error))
        await completed(w, tasks)
        assert not bad.launches
        launched_once(good)
        assert bad.requests[request] < 20


@pytest.mark.sampled(6)
@ways
async def test_with_no_other_scanner_all_wait_and_run_when_it_recovers(
    tmp_path: Path, autojump_clock: MockClock, way: str
) -> None:
    request, error = WAYS[way]
    bad = fake()
    refuse(bad, request, error)
    async with scanners(tmp_path, bad=bad) as w:
        tasks = await submit(w, 8)
        await trio.sleep(3600)
        waiting = await w.queries.waiting(limit=100)
        assert len(waiting) >= 7
        for view in waiting:
            assert view.standing.wait_reason is not None
            assert view.standing.wait_reason.code is WaitCode.SCANNER_SUSPENDED, view
            assert str(error) in view.standing.wait_reason.text
        assert bad.requests[request] < 40
        recover(bad)
        await completed(w, tasks)
        assert suspension(w, "bad") is None
        launched_once(bad)


@pytest.mark.parametrize("effect", [Effect.NONE, Effect.DONE])
async def test_a_launch_that_was_refused_and_took_effect_is_adopted(
    tmp_path: Path, autojump_clock: MockClock, effect: Effect
) -> None:
    bad, good = fake(), fake()
    refuse(bad, "launch", DiskFullPerhaps("500: no space left"), effect)
    async with scanners(tmp_path, bad=bad, good=good) as w:
        tasks = await submit(w, 6)
        await completed(w, tasks)
        launched_once(bad, good)


async def test_another_task_tries_each_time(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A task that the scanner alone cannot launch does not keep it suspended."""
    scanner = fake()
    cursed = set[str]()

    async with world(config_of(tmp_path, scanner_settings("a", 1)), {"a": scanner}) as w:
        scanner.loading_until = EPOCH + 60
        tasks = await submit(w, 3)
        cursed.add(tasks[1].task_id)

        launch = scanner.launch

        async def choosy(scan_id: int, marks: Marks) -> str:
            if any(task_id in scanner.scans[scan_id].name for task_id in cursed):
                raise LaunchRefused("not this one")
            return await launch(scan_id, marks)

        scanner.launch = choosy  # type: ignore[method-assign]
        for task in (tasks[0], tasks[2]):
            done = await w.settled(task.task_id, within=3600)
            assert done.state is TaskState.COMPLETED


async def test_one_that_is_missing_something_is_left_out_for_that_task(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    a, b = fake(), fake()
    refuse(a, "create_scan", NotFound("no policy of that name"))
    async with scanners(tmp_path, a=a, b=b) as w:
        tasks = await submit(w, 6)
        await completed(w, tasks)
        assert suspension(w, "a") is None
        assert a.requests["create_scan"] <= 6
        refuse(b, "create_scan", NotFound("no policy of that name"))
        (task,) = await submit(w, 1)
        dead = await w.settled(task.task_id)
        assert (dead.state, error_kind(dead)) == (TaskState.DEAD, "not_found")
        assert sorted((*dead.refused_by, dead.scanner_instance or "")) == ["a", "b"]
        recover(a)
        await w.service.retry_dead(task.task_id, actor="op")
        await completed(w, [task])


@pytest.mark.parametrize("error", [NotFound("no policy"), TemplateNotLicensed("no such license")])
async def test_a_task_that_names_the_scanner_is_dead_at_once(
    tmp_path: Path, autojump_clock: MockClock, error: ScannerError
) -> None:
    a, b = fake(), fake()
    refuse(a, "create_scan", error)
    async with scanners(tmp_path, a=a, b=b) as w:
        view = (await w.service.submit(basic(scanner_instance="a"), actor="test")).view
        dead = await w.settled(view.task.task_id)
        assert (dead.state, error_kind(dead)) == (TaskState.DEAD, error.kind)
        assert a.requests["create_scan"] == 1


@pytest.mark.slow
async def test_who_refused_a_task_is_remembered_over_a_restart(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    a, b = fake(), fake()
    refuse(a, "create_scan", NotFound("no policy of that name"))
    b.loading_until = EPOCH + 3600
    async with scanners(tmp_path, a=a, b=b) as w:
        (task,) = await submit(w, 1)
        await trio.sleep(600)
        assert (await w.task(task.task_id)).refused_by == ("a",)
    async with scanners(tmp_path, a=a, b=b) as w:
        await completed(w, [task])
        assert a.requests["create_scan"] == 1


@pytest.mark.slow
async def test_unclear_refusals_of_several_tasks_suspend_the_scanner(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    bad, good = fake(), fake()
    refuse(bad, "create_scan", Refused("400: something is wrong"))
    async with scanners(tmp_path, bad=bad, good=good) as w:
        tasks = await submit(w, 20)
        await completed(w, tasks)
        found = suspension(w, "bad")
        assert found is not None
        assert found.kind is ErrorKind.SCANNER_REFUSED
        recover(bad)
        tasks = await submit(w, 20)
        await completed(w, tasks)
        assert bad.launches


async def test_one_bad_task_after_another_good_one_suspends_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = fake()
    async with scanners(tmp_path, a=scanner) as w:
        for _ in range(4):
            refuse(scanner, "create_scan", Refused("400: a bad setting"))
            (task,) = await submit(w, 1)
            assert (await w.settled(task.task_id)).state is TaskState.DEAD
            recover(scanner)
            await completed(w, await submit(w, 1))
        assert suspension(w, "a") is None


async def test_an_operator_may_have_it_tried_at_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    bad = fake()
    refuse(bad, "create_scan", LicenseExpired("403: license expired"))
    async with scanners(tmp_path, bad=bad) as w:
        (task,) = await submit(w, 1)
        await trio.sleep(3600)
        recover(bad)
        await w.operator.switch("bad", "retry", actor="op")
        await w.until(task.task_id, TaskState.RUNNING, within=10)


async def test_a_reload_has_it_tried_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    bad = fake()
    refuse(bad, "create_scan", LicenseExpired("403: license expired"))
    async with scanners(tmp_path, bad=bad) as w:
        (task,) = await submit(w, 1)
        await trio.sleep(3600)
        recover(bad)
        await w.fleet.apply(w.context.config)
        await w.until(task.task_id, TaskState.RUNNING, within=10)


async def test_a_new_license_has_it_tried_at_the_next_poll(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    bad = fake()
    expired = attrs.evolve(bad.info_answer, license_expires_at=EPOCH - 1)
    bad.info_answer = expired
    refuse(bad, "create_scan", LicenseExpired("403: license expired"))
    async with scanners(tmp_path, bad=bad) as w:
        (task,) = await submit(w, 1)
        await trio.sleep(3700)
        recover(bad)
        bad.info_answer = attrs.evolve(expired, license_expires_at=EPOCH + 1e8)
        await w.until(task.task_id, TaskState.RUNNING, within=100)


READY = ScannerInfo(ready=True)
SUSPECT = {
    ErrorKind.LICENSE_EXPIRED: attrs.evolve(READY, license_expires_at=EPOCH - 1),
    ErrorKind.LICENSE_REFUSES_API: attrs.evolve(READY, scan_api=False),
    ErrorKind.NO_PLUGINS: attrs.evolve(READY, plugins=False),
}


@pytest.mark.parametrize("kind", SUSPECT)
async def test_what_it_says_of_itself_suspends_it_until_a_task_was_accepted(
    tmp_path: Path, autojump_clock: MockClock, kind: ErrorKind
) -> None:
    scanner = fake()
    scanner.info_answer = SUSPECT[kind]
    async with scanners(tmp_path, a=scanner) as w:
        await trio.sleep(30)
        found = suspension(w, "a")
        assert found is not None
        assert found.kind is kind
        await completed(w, await submit(w, 5))
        assert suspension(w, "a") is None
        await trio.sleep(3600)
        assert suspension(w, "a") is None


@pytest.mark.parametrize("kind", SUSPECT)
async def test_a_suspension_by_its_own_word_ends_when_it_takes_that_back(
    tmp_path: Path, autojump_clock: MockClock, kind: ErrorKind
) -> None:
    """With no task that could try the scanner, its health would stay degraded for ever."""
    scanner = fake()
    scanner.info_answer = SUSPECT[kind]
    async with scanners(tmp_path, a=scanner) as w:
        await trio.sleep(30)
        assert suspension(w, "a") is not None
        scanner.info_answer = READY
        await trio.sleep(150)
        assert suspension(w, "a") is None


async def test_a_task_does_not_wait_for_the_opinion_of_a_disabled_scanner(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    a, b = fake(), fake()
    refuse(a, "create_scan", NotFound("no policy of that name"))
    async with scanners(tmp_path, a=a, b=b) as w:
        w.context.pool.set_enabled("b", False, w.context.now())
        (task,) = await submit(w, 1)
        dead = await w.settled(task.task_id)
        assert (dead.state, dead.scanner_instance) == (TaskState.DEAD, "a")


async def test_an_api_that_is_closed_does_not_matter_to_a_session(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = fake()
    scanner.info_answer = SUSPECT[ErrorKind.LICENSE_REFUSES_API]
    settings = attrs.evolve(
        scanner_settings("a"), auth=UiSession(username="scan", password=Secret("x" * 12))
    )
    async with world(config_of(tmp_path, settings), {"a": scanner}) as w:
        await trio.sleep(30)
        assert suspension(w, "a") is None
