"""How lists and the journal show tasks that run as several scans."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from nessus_sched.api.admin_tasks import ROUTINE, show_journal
from nessus_sched.api.operations import Call
from nessus_sched.api.queue import QueueArgs, get_queue_status
from nessus_sched.api.tasks import TaskArgs
from nessus_sched.config.schema import TargetSettings
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task
from nessus_sched.ipc.peer import Peer
from support.apps import app_of
from support.fake_scanner import FakeScanner, unreachable
from support.world import World, config_of, scanner_settings, virtual_now, world

NETWORKS = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
CALL = Call(peer=Peer(connection="x"))


@asynccontextmanager
async def three_scanners(
    directory: Path, **networks: Sequence[str]
) -> AsyncIterator[tuple[World, Mapping[str, FakeScanner]]]:
    """`networks` are those of scanners that do not reach all."""
    scanners = {name: FakeScanner(virtual_now()) for name in "abc"}
    config = config_of(
        directory,
        *(scanner_settings(name, 2, networks=networks.get(name)) for name in scanners),
        targets=TargetSettings(allow=(*NETWORKS, "192.0.3.0/24")),
    )
    async with world(config, scanners) as w:
        yield w, scanners


async def test_running_parts_are_listed_below_their_task(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with three_scanners(tmp_path) as (w, _):
        first = await w.submit(*NETWORKS)
        await trio.sleep(10)
        small = await w.submit("203.0.113.7", scanner_instance="a")
        await trio.sleep(40)
        found = [view.task.task_id for view in w.queries.active()]
        assert found == [first.task_id, *(f"{first.task_id}-{n}" for n in range(1, 7))]
        (waits, alone) = await w.queries.waiting(limit=10)
        assert (waits.task.task_id, alone.task.task_id) == (first.task_id, small.task_id)
        assert waits.standing.position == 1
        assert waits.standing.wait_reason is not None
        assert (await w.queries.task(first.task_id)).standing.queue is None
        queue = await get_queue_status.fn(app_of(w), CALL, QueueArgs())
        assert [row.part_of for row in queue.running] == [None, *[first.task_id] * 6]
        assert [row.queue_position for row in queue.waiting] == [1, 1]
        assert not queue.notes
        few = await get_queue_status.fn(app_of(w), CALL, QueueArgs(limit=1))
        assert len(few.notes) == 2


async def test_each_task_is_followed_by_its_own_parts(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with three_scanners(tmp_path) as (w, _):
        tasks = [await w.submit(*NETWORKS[:2]), await w.submit(NETWORKS[2], "192.0.3.0/24")]
        await w.until(tasks[1].task_id, TaskState.RUNNING)
        found = [view.task for view in w.queries.active()]
        both = [task.task_id for task in tasks]
        assert {each.task_id for each in found} >= set(both)

        def place(task: Task) -> tuple[int, int]:
            part = task.part
            return (both.index(part.task_id if part else task.task_id), part.number if part else 0)

        assert found == sorted(found, key=place)
        assert sorted(found, key=lambda task: task.order) != found


async def test_parts_of_one_task_that_wait_are_one_row_and_none_is_left_out(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    reach = {name: [network] for name, network in zip("abc", NETWORKS, strict=True)}
    async with three_scanners(tmp_path, **reach) as (w, _):
        task = await w.submit(*NETWORKS)
        await trio.sleep(10)
        queue = await get_queue_status.fn(app_of(w), CALL, QueueArgs())
        assert (queue.queued, [row.task_id for row in queue.waiting]) == (3, [task.task_id])
        assert not queue.notes


@pytest.mark.slow
async def test_the_journal_of_a_task_has_what_is_not_routine_of_its_parts(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with three_scanners(tmp_path) as (w, scanners):
        task = await w.submit(*NETWORKS)
        await trio.sleep(30)
        lost = scanners["a"].active()[0]
        scanners["a"].remove(lost)
        await w.settled(task.task_id)
        answer = await show_journal.fn(app_of(w), CALL, TaskArgs(task_id=task.task_id))
        of_parts = [row for row in answer.entries if row.task_id != task.task_id]
        (dead,) = [row for row in of_parts if row.event == "dead"]
        assert [row.event for row in of_parts if row.task_id == dead.task_id] == ["dead"]
        assert ROUTINE.isdisjoint(row.event for row in of_parts)
        assert [row.seq for row in answer.entries] == sorted(row.seq for row in answer.entries)


async def test_a_task_without_running_parts_says_what_the_next_one_waits_for(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    elsewhere = ["192.0.3.0/24"]
    async with three_scanners(tmp_path, a=NETWORKS, b=elsewhere, c=elsewhere) as (w, _):
        task = await w.submit(*NETWORKS)
        await w.until(task.task_id, TaskState.RUNNING)
        w.context.pool.set_draining("a", True, w.context.now())
        view = await w.queries.task(task.task_id)
        assert (view.task.state, view.standing.wait_reason) == (TaskState.RUNNING, None)
        await trio.sleep(3600)
        view = await w.queries.task(task.task_id)
        assert view.task.state is TaskState.RUNNING
        assert view.standing.wait_reason is not None
        assert "draining" in view.standing.wait_reason.text


async def test_a_task_says_that_nobody_hears_of_one_of_its_parts(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    reach = {name: [network] for name, network in zip("abc", NETWORKS, strict=True)}
    async with three_scanners(tmp_path, **reach) as (w, scanners):
        task = await w.submit(*NETWORKS[:2])
        await w.until(task.task_id, TaskState.RUNNING)
        await trio.sleep(60)
        scanners["b"].down = unreachable()
        await trio.sleep(3600)
        view = await w.queries.task(task.task_id)
        assert view.task.state is TaskState.RUNNING
        assert view.standing.wait_reason is not None
        assert view.standing.wait_reason.text.startswith("no contact with scanner b for ")
