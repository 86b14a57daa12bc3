"""Tasks that run as several scans."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.schema import SchedulingSettings, TargetSettings
from nessus_sched.core.command import Command
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.scanner import ScanOrder
from nessus_sched.core.states import SETTLED, TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.targets.ranges import count, merged
from nessus_sched.core.targets.targets import parse_targets, size_of
from nessus_sched.core.task import RequestedState, Splitting, Task
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.scheduler.errors import NotPossible, RequestError
from nessus_sched.store.tasks.store import TaskStore
from support.fake_scanner import FakeScan, FakeScanner, unreachable
from support.world import World, config_of, error_kind, scanner_settings, virtual_now, world

NETWORKS = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
"""768 addresses."""


def by_size(order: ScanOrder) -> float:
    """A minute, and two seconds for each address."""
    return 60.0 + 2.0 * size_of(order.targets)


@asynccontextmanager
async def three_scanners(
    directory: Path,
    *,
    networks: Mapping[str, tuple[str, ...] | None] | None = None,
    **settings: Any,
) -> AsyncIterator[tuple[World, Mapping[str, FakeScanner]]]:
    reach = networks or dict.fromkeys("abc")
    scanners = {name: FakeScanner(virtual_now(), duration=by_size) for name in reach}
    config = config_of(
        directory,
        *(scanner_settings(name, 2, networks=networks) for name, networks in reach.items()),
        targets=TargetSettings(allow=(*NETWORKS, "*.example.com")),
        scheduling=SchedulingSettings(backoff_base=10.0, backoff_max=120.0, **settings),
    )
    async with world(config, scanners) as w:
        yield w, scanners


def _removed(scanner: FakeScanner, scan: FakeScan) -> None:
    scanner.remove(scan)


async def parts_of(w: World, task: Task) -> list[Task]:
    return list(await w.store.parts_of(task.task_id))


def check_partition(parts: list[Task], requested: tuple[str, ...]) -> None:
    """The parts do not overlap, and together they are what was requested."""
    ranges = [each for part in parts for each in parse_targets(part.request.targets).ranges]
    assert sum(last - first + 1 for first, last in ranges) == count(merged(ranges))
    assert merged(ranges) == parse_targets(requested).ranges


async def test_a_large_task_runs_on_all_scanners(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with three_scanners(tmp_path) as (w, scanners):
        task = await w.submit(*NETWORKS)
        assert (await w.until(task.task_id, TaskState.RUNNING)).split is not None
        await trio.sleep(10)
        assert all(scanner.most_running == 2 for scanner in scanners.values())
        view = await w.queries.task(task.task_id)
        assert view.parts == {TaskState.RUNNING: 6}
        done = await w.settled(task.task_id)
        assert done.state is TaskState.COMPLETED
        parts = await parts_of(w, task)
        check_partition(parts, NETWORKS)
        assert {part.state for part in parts} == {TaskState.COMPLETED}
        assert all(64 <= size_of(part.request.targets) <= 256 for part in parts)
        assert done.summary is not None
        assert done.summary["findings"] == len(parts)
        assert done.split is not None
        assert done.split.states == {TaskState.COMPLETED: len(parts)}


async def test_a_small_task_runs_as_one_scan(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with three_scanners(tmp_path) as (w, _):
        task = await w.submit(NETWORKS[0])
        assert task.split is None
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        assert not await parts_of(w, task)


@pytest.mark.parametrize("changes", [{"split": Splitting.NEVER}, {"scanner_instance": "b"}])
async def test_a_task_is_not_split_if_its_submitter_does_not_want_it(
    tmp_path: Path, autojump_clock: MockClock, changes: dict[str, Any]
) -> None:
    async with three_scanners(tmp_path) as (w, _):
        task = await w.submit(*NETWORKS, **changes)
        assert task.split is None


@pytest.mark.slow
async def test_lists_and_counts_show_tasks_and_not_parts(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with three_scanners(tmp_path) as (w, _):
        task = await w.submit(*NETWORKS)
        await w.settled(task.task_id)
        listed = await w.queries.tasks(TaskFilter(), limit=50)
        assert [each.task_id for each in listed.tasks] == [task.task_id]
        assert w.queries.counts()[TaskState.COMPLETED] == 1
        parts = await w.queries.tasks(TaskFilter(part_of=task.task_id), limit=50)
        assert len(parts.tasks) == len(await parts_of(w, task)) > 5
        assert await w.queries.find(task.task_id[:8], limit=5) == [await w.task(task.task_id)]


@pytest.mark.slow
async def test_a_small_task_takes_its_turn_between_the_parts_of_a_large_one(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with three_scanners(tmp_path, part_min=16, part_duration=60.0) as (w, _):
        large = await w.submit(*NETWORKS)
        await trio.sleep(30)
        small = await w.submit("192.0.2.7")
        done = await w.settled(small.task_id)
        assert done.state is TaskState.COMPLETED
        assert (await w.task(large.task_id)).state is TaskState.RUNNING


async def test_targets_that_no_single_scanner_reaches_are_scanned_by_several(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    reach = {"a": NETWORKS[:1], "b": NETWORKS[1:2], "c": NETWORKS[2:]}
    async with three_scanners(tmp_path, networks=reach) as (w, _):
        wanted = ("192.0.2.1", "198.51.100.1-198.51.100.9")
        task = await w.submit(*wanted)
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        parts = await parts_of(w, task)
        assert Counter(part.scanner_instance for part in parts) == {"a": 1, "b": 1}
        check_partition(parts, wanted)


async def test_what_no_scanner_reaches_is_refused_by_name_or_reported(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    reach = {"a": NETWORKS[:1], "b": NETWORKS[1:2]}
    async with three_scanners(tmp_path, networks=reach) as (w, _):
        wanted = ("192.0.2.1", "198.51.100.1", "203.0.113.5")
        with pytest.raises(RequestError, match=r"no scanner reaches 203\.0\.113\.5.*a, b"):
            await w.submit(*wanted)
        task = await w.submit(*wanted, partial_ok=True)
        done = await w.settled(task.task_id)
        assert done.state is TaskState.PARTIAL
        assert done.split is not None
        assert done.split.unreachable == ("203.0.113.5",)
        assert done.partial == "some targets are reached by no scanner"
        with pytest.raises(RequestError, match="no scanner reaches"):
            await w.submit("203.0.113.5", partial_ok=True)


@pytest.mark.slow
async def test_a_canceled_task_cuts_no_more_parts(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with three_scanners(tmp_path) as (w, scanners):
        task = await w.submit(*NETWORKS)
        await trio.sleep(30)
        await w.service.cancel(task.task_id, actor="me")
        done = await w.settled(task.task_id, within=600)
        assert done.state is TaskState.CANCELED
        assert {part.state for part in await parts_of(w, task)} == {TaskState.CANCELED}
        assert sum(sum(scanner.launches.values()) for scanner in scanners.values()) == 6
        assert not any(w.context.pool.waiting(part.task_id) for part in await parts_of(w, task))


async def test_a_task_that_waits_is_canceled_at_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with three_scanners(tmp_path) as (w, _):
        await w.operator.pause_all("keep", actor="me")
        task = await w.submit(*NETWORKS)
        await w.service.cancel(task.task_id, actor="me")
        assert (await w.settled(task.task_id, within=1)).state is TaskState.CANCELED
        assert not await parts_of(w, task)


@pytest.mark.slow
async def test_a_paused_task_pauses_its_parts_and_cuts_no_more(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with three_scanners(tmp_path) as (w, _):
        task = await w.submit(*NETWORKS)
        await trio.sleep(30)
        await w.service.pause(task.task_id, actor="me")
        await w.until(task.task_id, TaskState.PAUSED, within=600)
        await trio.sleep(3600)
        assert {part.state for part in await parts_of(w, task)} == {TaskState.PAUSED}
        await w.service.resume(task.task_id, actor="me")
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        check_partition(await parts_of(w, task), NETWORKS)


async def test_a_license_is_not_got_round_by_splitting(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with three_scanners(tmp_path) as (w, scanners):
        for scanner in scanners.values():
            scanner.down = unreachable()
        for name in scanners:
            w.context.licensed[name] = 256
        await w.fleet.apply(w.context.config)
        with pytest.raises(RequestError, match="too many hosts"):
            await w.submit(*NETWORKS)


async def test_the_dead_parts_of_a_task_are_retried(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with three_scanners(tmp_path, max_attempts=1) as (w, scanners):
        task = await w.submit(*NETWORKS)
        await w.until(task.task_id, TaskState.RUNNING)
        await trio.sleep(30)
        for scan in scanners["a"].active():
            scanners["a"].remove(scan)
        partial = await w.settled(task.task_id)
        assert partial.state is TaskState.PARTIAL
        assert partial.split is not None
        assert partial.split.states[TaskState.DEAD] == 2
        assert partial.partial is not None
        assert "2 parts of" in partial.partial
        dead = [part for part in await parts_of(w, task) if part.state is TaskState.DEAD]
        await w.service.retry_dead(dead[0].task_id, actor="me")
        still = await w.settled(task.task_id)
        assert still.split is not None
        assert still.split.states[TaskState.DEAD] == 1
        await w.service.retry_dead(task.task_id, actor="me")
        done = await w.settled(task.task_id)
        assert done.state is TaskState.COMPLETED
        assert done.partial is None
        check_partition(await parts_of(w, task), NETWORKS)
        with pytest.raises(NotPossible, match="no dead parts"):
            await w.service.retry_dead(task.task_id, actor="me")


async def with_dead_parts(w: World, scanners: Mapping[str, FakeScanner]) -> tuple[Task, list[str]]:
    """A task that still runs, and its dead parts."""
    task = await w.submit(*NETWORKS)
    await w.until(task.task_id, TaskState.RUNNING)
    await trio.sleep(30)
    for scan in scanners["a"].active():
        scanners["a"].remove(scan)
    await trio.sleep(60)
    dead = [part.task_id for part in await parts_of(w, task) if part.state is TaskState.DEAD]
    assert len(dead) == 2
    return task, dead


async def test_no_part_is_retried_while_the_results_are_put_together(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """It would be left over, and the next start would fail."""
    async with three_scanners(tmp_path, max_attempts=1) as (w, scanners):
        task, dead = await with_dead_parts(w, scanners)
        digest = w.context.digest

        async def slowly(read_as: Task, *rest: Any) -> Mapping[str, Any]:
            if read_as.task_id == task.task_id:
                await trio.sleep(600)
            return await digest(read_as, *rest)

        w.context.digest = slowly
        await w.until(task.task_id, TaskState.EXPORTING)
        with pytest.raises(NotPossible, match="being put together"):
            await w.service.retry_dead(dead[0], actor="me")
        ended = await w.settled(task.task_id)
        assert ended.state is TaskState.PARTIAL
        assert {part.state for part in await parts_of(w, task)} <= SETTLED
        await w.service.retry_dead(dead[0], actor="me")
        await w.until(task.task_id, TaskState.RUNNING)


async def test_two_parts_of_an_ended_task_are_retried_at_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with three_scanners(tmp_path, max_attempts=1) as (w, scanners):
        task, dead = await with_dead_parts(w, scanners)
        await w.settled(task.task_id)
        async with trio.open_nursery() as nursery:
            for part in dead:
                nursery.start_soon(partial(w.service.retry_dead, part, actor="me"))
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED


async def test_a_part_that_is_retried_does_what_its_task_should(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with three_scanners(tmp_path, max_attempts=1) as (w, scanners):
        task, dead = await with_dead_parts(w, scanners)
        await w.service.pause(task.task_id, actor="me")
        await w.service.retry_dead(dead[0], actor="me")
        retried = await w.task(dead[0])
        assert (retried.state, retried.desired) == (TaskState.QUEUED, RequestedState.PAUSE)
        for scanner in scanners.values():
            scanner.lag = 60.0
        await w.service.cancel(task.task_id, actor="me")
        with pytest.raises(NotPossible, match="being canceled"):
            await w.service.retry_dead(dead[1], actor="me")
        assert (await w.settled(task.task_id)).state is TaskState.CANCELED


@pytest.mark.slow
async def test_a_task_whose_parts_all_fail_is_not_tried_to_its_end(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with three_scanners(tmp_path, max_attempts=1) as (w, scanners):
        for scanner in scanners.values():
            scanner.on_launch = partial(_removed, scanner)
        task = await w.submit(*NETWORKS)
        done = await w.settled(task.task_id)
        assert done.state is TaskState.DEAD
        assert done.last_error is not None
        assert f"part {task.task_id}-" in done.last_error.message
        assert len(await parts_of(w, task)) <= 9
        for scanner in scanners.values():
            scanner.on_launch = lambda _scan: None
        await w.service.retry_dead(task.task_id, actor="op")
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        check_partition(await parts_of(w, task), NETWORKS)


@pytest.mark.slow
async def test_purging_a_task_purges_its_parts(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with three_scanners(tmp_path) as (w, _):
        task = await w.submit(*NETWORKS)
        await w.settled(task.task_id)
        parts = [part.task_id for part in await parts_of(w, task)]
        assert not await w.service.purge(parts, actor="me")
        assert await w.service.purge([task.task_id], actor="me") == [task.task_id]
        assert [await w.store.get(part) for part in parts] == [None] * len(parts)
        assert (await w.store.verify()).ok
        assert w.queries.counts()[TaskState.COMPLETED] == 0


@pytest.mark.slow
async def test_a_restart_cuts_on_where_it_was(tmp_path: Path, autojump_clock: MockClock) -> None:
    scanners = {name: FakeScanner(virtual_now(), duration=by_size) for name in "ab"}
    config = config_of(
        tmp_path,
        *(scanner_settings(name, 1) for name in "ab"),
        targets=TargetSettings(allow=NETWORKS),
    )
    async with world(config, scanners) as w:
        task = await w.submit(*NETWORKS)
        await w.until(task.task_id, TaskState.RUNNING)
    for _ in range(6):
        async with world(config, scanners) as w:
            await trio.sleep(200)
    async with world(config, scanners) as w:
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        check_partition(await parts_of(w, task), NETWORKS)
    assert all(set(scanner.launches.values()) == {1} for scanner in scanners.values())


@pytest.mark.slow
async def test_names_of_one_host_are_scanned_once_and_together(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now(), duration=by_size)
    config = config_of(
        tmp_path,
        scanner_settings("a", 2),
        targets=TargetSettings(allow=(*NETWORKS, "*.example.com")),
    )
    same = {"www.example.com": ["203.0.113.9"], "ftp.example.com": ["203.0.113.9"]}
    async with world(config, {"a": scanner}, resolve=lambda name: same[name]) as w:
        task = await w.submit(*NETWORKS, *same)
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        parts = await parts_of(w, task)
        check_partition(parts, NETWORKS)
        (named,) = [part for part in parts if part.resolved]
        assert {"203.0.113.9", *same} <= set(named.request.targets)


@pytest.mark.slow
async def test_a_canceled_task_says_what_was_covered(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with three_scanners(tmp_path) as (w, _):
        task = await w.submit(*NETWORKS)
        await trio.sleep(120)
        await w.service.cancel(task.task_id, actor="me")
        done = await w.settled(task.task_id, within=1200)
        assert done.state is TaskState.CANCELED
        assert done.summary is not None
        covered = done.summary["coverage"]
        assert covered["requested"] == 768
        assert covered["answered"] == done.summary["hosts_finished"] > 0
        assert covered["silent"] == 0
        assert covered["not_reached"] == 768 - covered["answered"]
        assert covered["not_reached_targets"]


@pytest.mark.slow
async def test_results_that_arrive_after_the_end_are_merged(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with three_scanners(tmp_path) as (w, scanners):
        task = await w.submit(*NETWORKS)
        await trio.sleep(120)
        scanners["a"].down = unreachable()
        await w.service.cancel(task.task_id, actor="me")
        done = await w.settled(task.task_id, within=3600)
        assert done.summary is not None
        scanners["a"].down = None
        await trio.sleep(7200)
        later = await w.task(task.task_id)
        assert later.state is TaskState.CANCELED
        assert later.summary is not None
        assert set(later.summary["finished"]) > set(done.summary["finished"])
        covered = later.summary["coverage"]
        assert covered["answered"] == len(later.summary["finished"])
        assert covered["answered"] + covered["not_reached"] == 768


@pytest.mark.slow
@pytest.mark.parametrize(
    ("desired", "state"),
    [(RequestedState.CANCEL, TaskState.CANCELED), (RequestedState.PAUSE, TaskState.PAUSED)],
)
async def test_a_command_that_a_dying_daemon_began_is_carried_out_by_the_next(
    tmp_path: Path, autojump_clock: MockClock, desired: RequestedState, state: TaskState
) -> None:
    scanners = {name: FakeScanner(virtual_now(), duration=by_size) for name in "ab"}
    config = config_of(
        tmp_path,
        *(scanner_settings(name, 2) for name in "ab"),
        targets=TargetSettings(allow=NETWORKS),
    )
    async with world(config, scanners) as w:
        task = await w.submit(*NETWORKS)
        await trio.sleep(20)
        await w.fleet.splits.obey(task.task_id, Command(desired=desired, actor="me"))
    async with world(config, scanners) as w:
        await trio.sleep(300)
        assert {part.state for part in await parts_of(w, task)} == {state}
        assert (await w.task(task.task_id)).state is state


@pytest.mark.sampled(3)
@pytest.mark.parametrize("command", ["cancel", "pause", "deadline"])
async def test_parts_that_the_store_kept_from_a_command_get_it_later(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """The task has the command, so it is carried out."""
    record, failed = TaskStore.record, list[str]()

    async def fails_twice(store: TaskStore, task: Task, entry: JournalEntry) -> None:
        if task.part is not None and entry.event.endswith("_requested") and len(failed) < 2:
            failed.append(task.task_id)
            raise StoreUnavailable("no answer")
        await record(store, task, entry)

    monkeypatch.setattr(TaskStore, "record", fails_twice)
    async with three_scanners(tmp_path) as (w, scanners):
        for scanner in scanners.values():
            scanner.duration = lambda _order: 86400.0
        task = await w.submit(*NETWORKS, deadline="1h" if command == "deadline" else None)
        await trio.sleep(60)
        if command == "cancel":
            await w.service.cancel(task.task_id, actor="me")
        elif command == "pause":
            await w.service.pause(task.task_id, actor="me")
        else:
            await trio.sleep(3600)
        await trio.sleep(600)
        assert len(failed) == 2
        ended = TaskState.PAUSED if command == "pause" else TaskState.CANCELED
        parts = await parts_of(w, task)
        assert {part.state for part in parts} == {ended}
        if command == "deadline":
            assert {error_kind(part) for part in parts} == {"deadline"}
        assert (await w.task(task.task_id)).state is ended
