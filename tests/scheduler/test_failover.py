"""A scanner that is lost in mid-scan: another one scans the rest, and nothing it found is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.schema import SchedulingSettings
from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.scanner import ScannerInfo, ScanStatus
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import OnEarlyEnd, Task
from nessus_sched.scheduler.errors import NotPossible
from nessus_sched.scheduler.views import nobody_answers
from support.fake_scanner import FakeScanner, hosts_of, unreachable
from support.world import World, config_of, scanner_settings, virtual_now, world

HOUR = 3600.0
NETWORK = "192.0.2.0/28"
EVERY = {f"192.0.2.{n}" for n in range(16)}


def finished(task: Task) -> set[str]:
    return set((task.summary or {}).get("finished", ()))


@asynccontextmanager
async def two_scanners(
    directory: Path, **scheduling: Any
) -> AsyncIterator[tuple[World, FakeScanner, FakeScanner]]:
    """Scanner `a` needs ten hours, `b` ten minutes; what is submitted first goes to `a`."""
    a = FakeScanner(virtual_now(), duration=lambda _order: 10 * HOUR)
    b = FakeScanner(virtual_now())
    config = config_of(
        directory,
        scanner_settings("a", 1),
        scanner_settings("b", 1),
        scheduling=SchedulingSettings(backoff_base=10.0, backoff_max=120.0, **scheduling),
    )
    async with world(config, {"a": a, "b": b}) as w:
        yield w, a, b


async def lost(w: World, a: FakeScanner, b: FakeScanner, **changes: Any) -> Task:
    """A task that runs on `a`, which is then lost."""
    blocker = await w.running("198.51.100.9", scanner_instance="b")
    task = await w.running(NETWORK, **changes)
    assert task.scanner_instance == "a"
    await w.settled(blocker.task_id)
    a.down = unreachable()
    assert not b.active()
    return task


@pytest.mark.slow
async def test_another_scanner_takes_over_after_the_quarantine(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two_scanners(tmp_path) as (w, a, b):
        task = await lost(w, a, b)
        await trio.sleep(HOUR - 60)
        assert (await w.task(task.task_id)).state is TaskState.RUNNING
        await trio.sleep(300)
        waits = await w.queries.task(task.task_id)
        assert (waits.task.state, waits.task.failures) == (TaskState.QUEUED, 0)
        assert [each.scanner_instance for each in waits.task.owed] == ["a"]
        assert waits.standing.wait_reason is not None
        assert waits.standing.wait_reason.code is WaitCode.OVERLAP
        done = await w.settled(task.task_id, within=2 * HOUR)
        assert (done.state, done.scanner_instance, finished(done)) == (
            TaskState.COMPLETED, "b", EVERY,
        )  # fmt: skip
        digest, read_as = w.context.digest, list[Task]()

        async def watched(
            task: Task, paths: Sequence[Path], info: ScannerInfo | None
        ) -> Mapping[str, Any]:
            read_as.append(task)
            return await digest(task, paths, info)

        w.context.digest = watched
        a.down = None
        await trio.sleep(HOUR)
        done = await w.task(task.task_id)
        assert (done.owed, done.partial, finished(done)) == ((), None, EVERY)
        assert [each.scanner_instance for each in read_as] == ["a"], "whose report it is"
        assert done.scanner_instance == "b"
        assert [(each.attempt, each.whole) for each in done.reports] == [(1, False), (2, True)]
        assert a.scans[1].status is ScanStatus.STOPPED


@pytest.mark.slow
async def test_what_the_lost_scanner_finished_is_not_scanned_again_if_it_is_back_in_time(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two_scanners(tmp_path) as (w, a, b):
        task = await lost(w, a, b)
        await w.until(task.task_id, TaskState.QUEUED)
        await trio.sleep(0.9 * HOUR)
        await w.operator.switch("a", "drain", actor="me")
        await w.operator.switch("b", "drain", actor="me")
        a.down = None
        await trio.sleep(HOUR / 2)
        waits = await w.task(task.task_id)
        assert (waits.state, waits.owed) == (TaskState.QUEUED, ())
        kept = finished(waits)
        assert len(kept) in range(3, 5)
        await w.operator.switch("b", "undrain", actor="me")
        done = await w.settled(task.task_id, within=HOUR)
        assert (done.state, finished(done)) == (TaskState.COMPLETED, EVERY)
        assert set(hosts_of(b.orders[2])) == EVERY - kept


@pytest.mark.sampled(2)
@pytest.mark.parametrize("why", ["pinned", "paused", "keep", "default", "all", "soon", "drained"])
async def test_a_scan_is_not_given_up(tmp_path: Path, autojump_clock: MockClock, why: str) -> None:
    wishes: dict[str, Any] = {
        "pinned": {"scanner_instance": "a"},
        "keep": {"on_early_end": OnEarlyEnd.KEEP},
    }
    settings = {"on_early_end": OnEarlyEnd.KEEP} if why == "default" else {}
    async with two_scanners(tmp_path, **settings) as (w, a, b):
        task = await lost(w, a, b, **wishes.get(why, {}))
        if why == "paused":
            a.down = None
            await w.service.pause(task.task_id, actor="me")
            await w.until(task.task_id, TaskState.PAUSED)
            a.down = unreachable()
        elif why == "all":
            b.down = unreachable()
        elif why == "drained":  # it answers, and would not scan the rest
            await w.operator.switch("b", "drain", actor="op")
        assert not nobody_answers(w.queries.scanners())
        await trio.sleep(HOUR / 2 if why == "soon" else 5 * HOUR)
        task = await w.task(task.task_id)
        assert task.state is (TaskState.PAUSED if why == "paused" else TaskState.RUNNING)
        assert not task.owed
        views = w.queries.scanners()
        assert nobody_answers(views) is (why == "all")
        off = [attrs.evolve(each.statistics, enabled=each.settings.id == "a") for each in views]
        views = [attrs.evolve(each, statistics=s) for each, s in zip(views, off, strict=True)]
        assert nobody_answers(views)
        a.down = b.down = None
        if why == "paused":
            await w.service.resume(task.task_id, actor="me")
        done = await w.settled(task.task_id, within=24 * HOUR)
        assert (done.state, done.attempt, finished(done)) == (TaskState.COMPLETED, 1, EVERY)


@pytest.mark.slow
async def test_an_operator_can_free_the_targets(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with two_scanners(tmp_path, quarantine=100 * HOUR) as (w, a, b):
        task = await lost(w, a, b)
        with pytest.raises(NotPossible):
            await w.service.release(task.task_id, actor="me")
        await w.until(task.task_id, TaskState.QUEUED)
        await trio.sleep(10 * HOUR)
        assert (await w.task(task.task_id)).state is TaskState.QUEUED
        await w.service.release(task.task_id, actor="me")
        assert "released" in await w.events(task)
        done = await w.settled(task.task_id, within=HOUR)
        assert (done.state, done.scanner_instance) == (TaskState.COMPLETED, "b")
        with pytest.raises(NotPossible):
            await w.service.release(task.task_id, actor="me")
        a.down = None
        await trio.sleep(HOUR)
        assert not (await w.task(task.task_id)).owed


@pytest.mark.slow
async def test_released_targets_stay_free_after_a_restart(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    a = FakeScanner(virtual_now(), duration=lambda _order: 10 * HOUR)
    b = FakeScanner(virtual_now())
    config = config_of(
        tmp_path,
        scanner_settings("a", 1),
        scanner_settings("b", 1),
        scheduling=SchedulingSettings(quarantine=100 * HOUR),
    )
    async with world(config, {"a": a, "b": b}) as w:
        task = await lost(w, a, b)
        await w.until(task.task_id, TaskState.QUEUED)
        await w.operator.switch("b", "drain", actor="me")
        await w.service.release(task.task_id, actor="me")
    async with world(config, {"a": a, "b": b}) as w:
        await w.operator.switch("b", "undrain", actor="me")
        done = await w.settled(task.task_id, within=HOUR)
        assert (done.state, done.scanner_instance) == (TaskState.COMPLETED, "b")


@pytest.mark.slow
async def test_what_arrives_while_another_scan_runs_counts_if_that_one_ends_early(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two_scanners(tmp_path, quarantine=0.0) as (w, a, b):
        task = await lost(w, a, b)
        b.duration = lambda _order: 8 * HOUR
        await w.until(task.task_id, TaskState.QUEUED)
        await w.until(task.task_id, TaskState.RUNNING)
        await w.operator.switch("a", "drain", actor="me")
        a.down = None
        await trio.sleep(600)
        kept = await w.task(task.task_id)
        assert (kept.owed, kept.state) == ((), TaskState.RUNNING)
        early = set(kept.finished_late)
        assert early
        (scan,) = b.active()
        b.set_status(scan, ScanStatus.ABORTED)
        b.duration = lambda _order: 600.0
        done = await w.settled(task.task_id)
        assert (done.state, done.finished_late, finished(done)) == (TaskState.COMPLETED, (), EVERY)
        last = max(b.orders)
        assert early.isdisjoint(hosts_of(b.orders[last]))
