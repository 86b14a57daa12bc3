"""Limits on what is queued, and requests that repeat an unfinished one."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest
from trio.testing import MockClock

from nessus_sched.config.limits import LimitSettings
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task
from nessus_sched.scheduler.backlog import TARGETS, TASKS
from nessus_sched.scheduler.errors import IdempotencyMismatch, QueueFull, RequestError
from support.fake_scanner import FakeScanner
from support.world import World, basic, config_of, one_scanner, scanner_settings, virtual_now, world

ALICE, BOB = "uid:1001", "uid:1002"


async def submit(w: World, number: int, actor: str = ALICE, **changes: object) -> Task:
    request = basic(f"192.0.2.{number}", **changes)
    return (await w.service.submit(request, actor=actor)).view.task


def used(w: World) -> dict[str, tuple[int, int]]:
    return {each.key: (each.used, each.refused) for each in w.context.backlog.statistics()}


async def test_users_share_the_queue_and_an_operator_always_gets_in(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, limits=LimitSettings(queued_tasks=8)) as (w, _scanner):
        for number in range(4):
            await submit(w, number + 1)
        with pytest.raises(QueueFull, match=r"your user's share .* limits.queued_tasks is 8") as e:
            await submit(w, 5)
        assert "full: 4 tasks;" in str(e.value)
        assert "cancel some" in e.value.hint
        for number in range(3):
            await submit(w, number + 11, BOB)
        with pytest.raises(QueueFull, match="the queue is full"):
            await submit(w, 14, BOB)
        await submit(w, 21, f"uid:{os.getuid()}")
        with pytest.raises(QueueFull):
            await submit(w, 22, "uid:0")
        assert used(w)[TASKS] == (8, 3)


async def test_targets_count_by_ranges_and_a_dry_run_tells_the_same(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, limits=LimitSettings(queued_targets=8)) as (w, _scanner):
        await w.service.submit(basic("192.0.2.0/25"), actor=ALICE)
        four = basic(*(f"192.0.2.{200 + 2 * n}" for n in range(4)))
        for dry_run in (True, False):
            with pytest.raises(
                QueueFull, match=r"full: 1 target; limits.queued_targets is 8.* adds 4"
            ):
                await w.service.submit(four, actor=ALICE, dry_run=dry_run)
        assert used(w)[TARGETS] == (1, 2)
        await w.service.submit(four, actor=BOB, dry_run=True)
        assert used(w)[TARGETS] == (1, 2)


async def test_room_comes_back_when_a_task_ends(tmp_path: Path, autojump_clock: MockClock) -> None:
    limits = LimitSettings(queued_tasks=2)
    async with one_scanner(tmp_path, limits=limits) as (w, _scanner):
        first = await submit(w, 1)
        with pytest.raises(QueueFull):
            await submit(w, 2)
        await w.settled(first.task_id)
        assert used(w)[TASKS][0] == used(w)[TARGETS][0] == 0
        second = await submit(w, 2)
        await w.service.cancel(second.task_id, actor=ALICE)
        await w.settled(second.task_id)
        assert used(w)[TASKS][0] == 0


async def test_a_repeated_request_finds_its_task_also_when_the_queue_is_full(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, limits=LimitSettings(queued_tasks=2)) as (w, _scanner):
        first = await w.service.submit(basic("192.0.2.1"), actor=ALICE, idempotency_key="k")
        again = await w.service.submit(basic("192.0.2.1"), actor=ALICE, idempotency_key="k")
        assert not again.created
        assert again.view.task.task_id == first.view.task.task_id
        with pytest.raises(IdempotencyMismatch):
            await w.service.submit(basic("192.0.2.2"), actor=ALICE, idempotency_key="k")
        with pytest.raises(QueueFull):
            await w.service.submit(basic("192.0.2.2"), actor=ALICE, idempotency_key="other")


@pytest.mark.slow
async def test_what_was_accepted_under_larger_limits_is_recovered_and_counted(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanners = {"a": FakeScanner(virtual_now())}
    config = config_of(tmp_path, scanner_settings("a"))
    async with world(config, scanners) as w:
        tasks = [await submit(w, number + 1) for number in range(5)]
    smaller = attrs.evolve(config, limits=LimitSettings(queued_tasks=2))
    async with world(smaller, scanners) as w:
        assert used(w)[TASKS][0] == 5
        with pytest.raises(QueueFull):
            await submit(w, 6, BOB)
        for task in tasks:
            assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        assert used(w)[TASKS][0] == 0
        assert (await w.settled((await submit(w, 6)).task_id)).state is TaskState.COMPLETED


async def test_a_reload_changes_the_limits(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path, limits=LimitSettings(queued_tasks=2)) as (w, _scanner):
        await submit(w, 1)
        wider = attrs.evolve(w.context.config, limits=LimitSettings(queued_tasks=4))
        await w.fleet.apply(wider)
        await submit(w, 2)


@pytest.mark.slow
async def test_an_equal_unfinished_task_is_named(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, _scanner):
        first = await w.service.submit(basic("192.0.2.1", "192.0.2.2"), actor=ALICE)
        assert first.equal_task is None
        same = basic("192.0.2.1-2", name="another name")
        dry = await w.service.submit(same, actor=BOB, dry_run=True)
        assert dry.equal_task == first.view.task.task_id
        second = await w.service.submit(same, actor=BOB)
        assert second.created
        assert second.equal_task == first.view.task.task_id
        careful = basic("192.0.2.1-2", settings={"report_paranoia": "1"})
        other = await w.service.submit(careful, actor=BOB)
        assert other.equal_task is None
        for task_id in (first.view.task.task_id, second.view.task.task_id):
            await w.settled(task_id)
        assert (await w.service.submit(same, actor=BOB, dry_run=True)).equal_task is None


async def test_a_key_belongs_to_its_submitter(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path, limits=LimitSettings()) as (w, _scanner):
        mine = await w.service.submit(basic("192.0.2.1"), actor=ALICE, idempotency_key="k")
        theirs = await w.service.submit(basic("192.0.2.2"), actor=BOB, idempotency_key="k")
        assert theirs.created
        again = await w.service.submit(basic("192.0.2.1"), actor=ALICE, idempotency_key="k")
        assert again.view.task.task_id == mine.view.task.task_id


async def test_a_scanner_of_another_pool_is_refused(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanners = {each: FakeScanner(virtual_now()) for each in ("a", "b")}
    settings = (scanner_settings("a"), scanner_settings("b", pool="lab"))
    async with world(config_of(tmp_path, *settings), scanners) as w:
        for scanner, pool in (("a", "lab"), ("b", "nessus")):
            with pytest.raises(RequestError, match="belongs to pool") as caught:
                await submit(w, 1, scanner_instance=scanner, pool=pool)
            assert caught.value.code == "scanner_and_pool"
        await submit(w, 1, scanner_instance="b", pool="lab")
