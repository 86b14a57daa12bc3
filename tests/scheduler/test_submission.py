"""Submitting: durable or refused, once per key; listings; and a store that fails."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.scheduler.errors import (
    IdempotencyMismatch,
    NotPossible,
    StoreDown,
    TargetsRefused,
)
from support.fake_scanner import FakeScanner
from support.mortality import Life, mortal_connect
from support.world import (
    World,
    basic,
    config_of,
    one_scanner,
    scanner_settings,
    virtual_now,
    world,
)


async def submit(w: World, key: str, *targets: str) -> str:
    submission = await w.service.submit(basic(*targets), actor="me", idempotency_key=key)
    return submission.view.task.task_id


async def count(w: World) -> int:
    return len((await w.queries.tasks(TaskFilter(), limit=100)).tasks)


@pytest.mark.slow
async def test_a_key_gives_the_same_task_for_the_same_request(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        first = await submit(w, "k", "192.0.2.1")
        again = await w.service.submit(basic("192.0.2.1"), actor="me", idempotency_key="k")
        assert (again.view.task.task_id, again.created) == (first, False)
        with pytest.raises(IdempotencyMismatch, match="different request"):
            await submit(w, "k", "192.0.2.2")
        await w.settled(first)
        assert await submit(w, "k", "192.0.2.1") == first, "also when it is done"
        await trio.sleep(48 * 3600)
        assert await submit(w, "k", "192.0.2.1") != first
        assert scanner.requests["create_scan"] >= 1


async def test_a_key_counts_across_restarts(tmp_path: Path, autojump_clock: MockClock) -> None:
    scanners = {"a": FakeScanner(virtual_now())}
    config = config_of(tmp_path, scanner_settings("a"))
    async with world(config, scanners) as w:
        first = await submit(w, "k", "192.0.2.1")
    async with world(config, scanners) as w:
        assert await submit(w, "k", "192.0.2.1") == first
        await w.settled(first)
        assert await count(w) == 1


async def test_a_callers_own_limits_count_besides_those_of_all(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    narrow = [Scope((allow,), (), max_addresses=256) for allow in ("192.0.2.0/28", "192.0.2.0/29")]
    async with one_scanner(tmp_path) as (w, _scanner):
        for beyond in ("192.0.2.9", "192.0.2.200"):
            with pytest.raises(TargetsRefused):
                await w.service.submit(basic(beyond), actor="me", scopes=narrow)
        assert await count(w) == 0
        within = await w.service.submit(basic("192.0.2.1"), actor="me", scopes=narrow)
        assert within.created
        everywhere = [Scope(("0.0.0.0/0",), (), max_addresses=256)]
        with pytest.raises(TargetsRefused):
            await w.service.submit(basic("203.0.113.1"), actor="me", scopes=everywhere)


async def test_many_at_once_with_one_key_make_one_task(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        found: list[str] = []

        async def one() -> None:
            found.append(await submit(w, "k", "192.0.2.1"))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(one)
        assert len(set(found)) == 1
        await w.settled(found[0])
        assert scanner.launches.total() == 1


@pytest.mark.slow
async def test_a_cancelled_submission_is_wholly_in_or_wholly_out(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Cancelled at each of its checkpoints: what is stored is queued, and runs; and what
    is sent again with its key is not made twice."""
    async with one_scanner(tmp_path, 50) as (w, scanner):
        scanner.duration = lambda _order: 1.0
        for checkpoints in range(12):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(submit, w, f"k{checkpoints}", f"192.0.2.{checkpoints + 1}")
                    for _ in range(checkpoints):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
        stored = (await w.queries.tasks(TaskFilter(), limit=100)).tasks
        assert stored
        for task in stored:
            assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        for n in range(12):
            await w.settled(await submit(w, f"k{n}", f"192.0.2.{n + 1}"))
        assert await count(w) == 12


async def test_a_dry_run_changes_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        await w.running("192.0.2.1")
        before = scanner.requests.total(), w.queries.statistics()
        answer = await w.service.submit(basic("192.0.2.2"), actor="me", dry_run=True)
        assert (answer.created, answer.dry_run) == (False, True)
        assert answer.view.standing.position == 1
        assert answer.view.standing.wait_reason is not None
        assert answer.view.standing.wait_reason.code is WaitCode.SCANNER_FULL
        assert (scanner.requests.total(), w.queries.statistics()) == before
        with pytest.raises(TargetsRefused):
            await w.service.submit(basic("203.0.113.1"), actor="me", dry_run=True)
        assert await count(w) == 1


async def test_waiting_for_a_task(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, _scanner):
        task = await w.submit()
        seen = []
        while (view := await w.service.wait(task.task_id, within=3600)).task.state not in seen:
            seen.append(view.task.state)
        assert seen == [
            TaskState.LAUNCHING,
            TaskState.RUNNING,
            TaskState.EXPORTING,
            TaskState.COMPLETED,
        ]
        started = trio.current_time()
        await w.service.wait(task.task_id, within=3600)
        assert trio.current_time() == started, "it has settled"
        other = await w.running("192.0.2.1")
        await w.service.wait(other.task_id, within=25)
        assert trio.current_time() - started < 30, "nothing happened"


@pytest.mark.slow
async def test_listings_say_where_each_stands(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, _scanner):
        for n in range(1, 6):  # to learn how long scans take
            await w.settled((await w.submit(f"192.0.2.{n}")).task_id)
        running = await w.running("192.0.2.1")
        tasks = [await w.submit(f"192.0.2.{n}") for n in range(2, 6)]
        views = await w.queries.waiting(limit=3)
        assert [view.task.task_id for view in views] == [task.task_id for task in tasks[:3]]
        assert [view.standing.position for view in views] == [1, 2, 3]
        estimates = [view.standing.estimate for view in views]
        seconds = [estimate.seconds for estimate in estimates if estimate is not None]
        assert len(seconds) == 3
        assert seconds == sorted(seconds)
        assert [view.task.task_id for view in w.queries.active()] == [running.task_id]


async def test_a_task_that_was_moved_is_shown_where_it_is_now(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, _scanner):
        await w.settled((await w.submit()).task_id)
        task = await w.submit("192.0.2.2")
        assert task.scanner_instance == "a"
        w.context.pool.set_draining("a", True, w.context.now())
        view = await w.queries.task(task.task_id)
        assert (view.standing.queue, view.task.scanner_instance) == ("overflow", None)


async def test_two_operators_retry_one_dead_letter(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running()
        scanner.remove(scanner.scans[1])
        await w.settled(task.task_id)
        refused: list[NotPossible] = []

        async def retry() -> None:
            try:
                await w.service.retry_dead(task.task_id, actor="op")
            except NotPossible as error:
                refused.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(retry)
            nursery.start_soon(retry)
        assert len(refused) == 1
        done = await w.settled(task.task_id)
        assert (done.state, done.attempt) == (TaskState.COMPLETED, 2)


@pytest.mark.slow
async def test_a_dead_letter_that_was_paused_stays_so_when_it_is_retried(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running()
        await w.service.pause(task.task_id, actor="me")
        await w.until(task.task_id, TaskState.PAUSED)
        scanner.remove(scanner.scans[1])
        dead = await w.settled(task.task_id)
        assert dead.last_error is not None
        assert not dead.last_error.transient
        await w.service.retry_dead(task.task_id, actor="op")
        await trio.sleep(86400)
        assert scanner.launches.total() == 1
        await w.service.resume(task.task_id, actor="me")
        assert (await w.settled(task.task_id, within=3600)).state is TaskState.COMPLETED


async def test_what_happens_while_a_task_is_read_is_noticed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """What was read is old by the time it is here: canceled or purged meanwhile."""
    async with one_scanner(tmp_path) as (w, scanner):
        running, waiting = await w.running("192.0.2.1"), await w.submit("192.0.2.2")
        await w.operator.pause_all("keep", actor="op")
        scanner.remove(scanner.scans[1])
        dead = await w.settled(running.task_id)
        get = w.store.get

        async def meanwhile(task_id: str) -> Task | None:
            w.store.get = get  # type: ignore[method-assign]
            task = await get(task_id)
            if task_id == waiting.task_id:
                await w.service.cancel(task_id, actor="me")
            else:
                await w.store.purge_tasks([task_id], at=w.context.now())
            return task

        w.store.get = meanwhile  # type: ignore[method-assign]
        with trio.fail_after(1):
            view = await w.service.wait(waiting.task_id, within=3600)
        assert view.task.state is TaskState.CANCELED
        w.store.get = meanwhile  # type: ignore[method-assign]
        with pytest.raises(NotPossible):
            await w.service.retry_dead(dead.task_id, actor="op")


# A store that fails.


@pytest.mark.slow
async def test_while_the_disk_fails_nothing_is_accepted_and_scans_are_watched(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    life, scanner = Life(), FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a", 2))
    connect = mortal_connect(life, lambda _what, _moment: None)
    async with world(config, {"a": scanner}, connect=connect) as w:
        running = await w.running("192.0.2.1")
        queued = [await w.submit(f"192.0.2.{n}") for n in (2, 3)]
        await w.until(queued[0].task_id, TaskState.RUNNING)
        life.disk_fails = True
        with pytest.raises(StoreDown, match="not accepted"):
            await w.submit("192.0.2.4")
        for task in (running, queued[1]):
            with pytest.raises(StoreDown):
                await w.service.cancel(task.task_id, actor="me")
        with pytest.raises(StoreDown):
            await w.service.pause(running.task_id, actor="me")
        assert not w.store.health.ok
        polls = scanner.requests["list_scans"]
        await trio.sleep(1200)
        assert scanner.requests["list_scans"] > polls + 10
        assert scanner.launches.total() == 2, "nothing is started that cannot be noted"
        life.disk_fails = False
        for task in (running, *queued):
            assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        assert (await w.settled((await w.submit("192.0.2.4")).task_id)).attempt == 1
        report = await w.store.verify()
        assert report.ok, report.problems


async def test_a_report_that_cannot_be_kept_is_fetched_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        full = [OSError(28, "No space left on device"), StoreUnavailable("the disk is full")] * 10

        scanner.duration = lambda _order: 10.0
        keep = w.context.exports.keep

        async def failing(task_id: str, path: Path, attempt: int = 0) -> str:
            if full:
                raise full.pop()
            return await keep(task_id, path, attempt)

        w.context.exports.keep = failing  # type: ignore[method-assign]
        task = await w.submit()
        await w.until(task.task_id, TaskState.EXPORTING)
        await trio.sleep(60)
        delayed = await w.task(task.task_id)
        assert delayed.last_error is not None
        assert delayed.last_error.kind == "disk_trouble"
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        assert scanner.launches.total() == 1
        assert not list(tmp_path.glob("*.part")), "no half reports are left"
