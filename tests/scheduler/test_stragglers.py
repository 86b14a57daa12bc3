"""The last parts of a task: stopped, and divided among the slots that have nothing to do."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from nessus_sched.config.schema import SchedulingSettings, TargetSettings
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.parts import DEEPEST, stopped_for_idle_slots
from nessus_sched.core.pool.entry import queue_entry
from nessus_sched.core.scanner import NotReady, Refused, ScanOrder, ScanStatus
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets.ranges import count, merged
from nessus_sched.core.targets.targets import parse_targets, size_of
from nessus_sched.core.task import Owed, Part, RequestedState, Task
from nessus_sched.scheduler.driver import early_stop
from nessus_sched.scheduler.driver.active_task import ActiveTask
from nessus_sched.scheduler.stragglers import may_be_stopped
from support.fake_scanner import FakeScan, FakeScanner, finished, hosts_in, hosts_of, unreachable
from support.mortality import Life, make_reproducible, mortal, mortal_connect
from support.trouble import Trouble
from support.world import World, config_of, scanner_settings, virtual_now, world

NETWORK = "192.0.2.0/24"
SLOW = 30.0
"""How many times as long as on the others a scan takes on scanner `slow`."""


PART = Part(task_id="t-5fk3m97k3m9pqr", number=1, group=0, start=0, size=9, hosts=9)
OWED = Owed(
    attempt=1,
    scanner_instance="slow",
    scan_id=1,
    scan_uuid=None,
    history_id=None,
    keep=True,
    ended=False,
    reason="",
    since=0.0,
)


def takes(speed: float) -> FakeScanner:
    """A scanner on which a scan takes a minute, and two seconds for each address or `speed` times
    as long."""

    def duration(order: ScanOrder) -> float:
        return 60.0 + 2.0 * speed * size_of(order.targets)

    return FakeScanner(virtual_now(), duration=duration)


class Fleet:
    """Two slots of a fast scanner and one of a slow one."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.scanners = {"fast": takes(1.0), "slow": takes(SLOW)}
        self.ordered: list[FakeScan] = []
        for scanner in self.scanners.values():
            scanner.on_launch = self.ordered.append
        self.config = config_of(
            directory,
            scanner_settings("fast", 2),
            scanner_settings("slow", 1),
            targets=TargetSettings(allow=(NETWORK, "198.51.100.0/24", "*.example.com")),
            scheduling=SchedulingSettings(
                **{"part_min": 16, "part_max": 32, "backoff_base": 10.0, **settings}
            ),
        )

    @property
    def slow(self) -> FakeScanner:
        return self.scanners["slow"]

    @asynccontextmanager
    async def straggling(self) -> AsyncIterator[tuple[World, Task]]:
        """A task in progress whose part on the slow scanner takes half an hour."""
        async with world(self.config, self.scanners) as w:
            yield w, await w.submit(NETWORK)


async def stopped(w: World, task: Task) -> list[Task]:
    """The parts that were stopped for idle slots."""
    return list(filter(stopped_for_idle_slots, await w.store.parts_of(task.task_id)))


async def check_whole(w: World, task: Task) -> None:
    """The parts are the request and do not overlap, and every host was scanned to its end."""
    done = await w.task(task.task_id)
    assert done.state is TaskState.COMPLETED
    assert done.partial is None
    assert done.summary is not None
    assert {*done.summary["finished"]} == {*hosts_in(task.request.targets)}
    assert done.summary["coverage"]["not_reached"] == 0
    parts = await w.store.parts_of(task.task_id)
    ranges = [each for part in parts for each in parse_targets(part.request.targets).ranges]
    assert sum(last - first + 1 for first, last in ranges) == count(merged(ranges))
    assert merged(ranges) == parse_targets(task.request.targets).ranges


async def until_stop(w: World, task: Task) -> str:
    """The part that is being stopped, as soon as that is decided."""
    found, decided = [], trio.Event()

    def observe(part: Task, entry: JournalEntry) -> None:
        if entry.event == "straggler_stopped":
            found.append(part.task_id)
            decided.set()

    w.context.observers.append(observe)
    with trio.fail_after(10_000):
        await decided.wait()
    assert found[0].startswith(task.task_id)
    return found[0]


@pytest.mark.slow
async def test_a_slower_scanner_gets_smaller_parts(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    fleet = Fleet(tmp_path, part_min=4, part_max=128)
    async with world(fleet.config, fleet.scanners) as w:
        sample = await w.submit("198.51.100.1")
        await w.settled(sample.task_id)
        for name, seconds in (("fast", 2.0), ("slow", 20.0)):
            for _ in range(100):
                w.context.pool.durations.record(queue_entry(sample), name, seconds)
        task = await w.submit(NETWORK)
        await trio.sleep(10)
        first = (await w.store.parts_of(task.task_id))[:3]
        sizes = {part.scanner_instance: size_of(part.request.targets) for part in first}
        assert sizes["slow"] * 4 < sizes["fast"]
        for part in await w.store.parts_of(task.task_id):
            active = w.context.pool.active(part.task_id)
            size = size_of(part.request.targets)
            assert active is None or active.entry.packed.address_count == size
        await w.settled(task.task_id)
        await check_whole(w, task)


@pytest.mark.slow
async def test_idle_slots_scan_the_rest_of_a_slow_part(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    fleet = Fleet(tmp_path)
    async with fleet.straggling() as (w, task):
        await w.settled(task.task_id)
        assert trio.current_time() < 1200, "a single part of 16 takes 1020 s there"
        await check_whole(w, task)
        (part, *_) = await stopped(w, task)
        assert part.scanner_instance == "slow"
        assert part.summary is not None
        assert part.summary["coverage"]["answered"] == size_of(part.request.targets)
        events = await w.events(part)
        assert events[-3:] == ["straggler_stopped", "scan_ended_early", "completed"]
        assert "rest_returned" in await w.events(task)
        before = len(fleet.ordered)
        await trio.sleep(600)
        assert len(fleet.ordered) == before


@pytest.mark.slow
async def test_no_host_that_was_finished_is_scanned_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    fleet = Fleet(tmp_path)
    async with fleet.straggling() as (w, task):
        await w.settled(task.task_id)
        (part, *_) = await stopped(w, task)
        orders = [hosts_of(scan.order) for scan in fleet.ordered if scan.order is not None]
        for host in hosts_in(part.request.targets):
            assert sum(host in order for order in orders) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({}, True),
        ({"part": None}, False),
        ({"part": attrs.evolve(PART, depth=DEEPEST - 1)}, True),
        ({"part": attrs.evolve(PART, depth=DEEPEST)}, False),
        ({"attempt": 2}, False),
        ({"owed": (OWED,)}, False),
        ({"state": TaskState.LAUNCHING}, False),
        ({"state": TaskState.PAUSED}, False),
        ({"desired": RequestedState.PAUSE}, False),
        ({"desired": RequestedState.CANCEL}, False),
    ],
)
async def test_only_the_first_scan_of_a_part_that_runs_undisturbed_is_stopped(
    tmp_path: Path, autojump_clock: MockClock, changes: dict[str, Any], allowed: bool
) -> None:
    fleet = Fleet(tmp_path)
    async with fleet.straggling() as (w, task):
        await w.until(task.task_id, TaskState.RUNNING)
        (first, *_) = await w.store.parts_of(task.task_id)
        running = await w.until(first.task_id, TaskState.RUNNING)
        run = ActiveTask(w.context, attrs.evolve(running, **changes))
        assert may_be_stopped(run) is allowed


async def test_what_waits_goes_first(tmp_path: Path, autojump_clock: MockClock) -> None:
    fleet = Fleet(tmp_path)
    async with fleet.straggling() as (w, task):
        for last in range(1, 11):
            await w.submit(f"198.51.100.{last}")
        waiting: list[bool] = []
        w.context.observers.append(
            lambda _task, entry: (
                waiting.append(w.context.pool.work_for("fast"))
                if entry.event == "straggler_stopped"
                else None
            )
        )
        await w.settled(task.task_id)
        assert waiting
        assert not any(waiting)


@pytest.mark.slow
@pytest.mark.parametrize("busy", ["paused", "held", "drained"])
async def test_slots_that_may_not_be_used_are_not_idle(
    tmp_path: Path, autojump_clock: MockClock, busy: str
) -> None:
    fleet = Fleet(tmp_path)
    async with fleet.straggling() as (w, task):
        await trio.sleep(250)
        if busy == "paused":
            w.context.pool.set_paused(True, w.context.now())
        elif busy == "held":
            w.context.pool.hold("fast", w.context.now() + 1e6, "rest", w.context.now())
        else:
            w.context.pool.set_draining("fast", True, w.context.now())
        await trio.sleep(1200)
        assert not await stopped(w, task)


@pytest.mark.slow
async def test_a_paused_part_is_left_alone(tmp_path: Path, autojump_clock: MockClock) -> None:
    fleet = Fleet(tmp_path)
    async with fleet.straggling() as (w, task):
        await w.until(task.task_id, TaskState.RUNNING)
        await trio.sleep(30)
        (scan,) = fleet.slow.active()
        fleet.slow.set_status(scan, ScanStatus.PAUSED)
        await trio.sleep(1500)
        assert not await stopped(w, task)
        (scan,) = fleet.slow.active()
        fleet.slow.set_status(scan, ScanStatus.RUNNING)
        await w.settled(task.task_id)
        await check_whole(w, task)


@pytest.mark.slow
async def test_a_part_that_ends_before_its_stop_is_whole(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    fleet = Fleet(tmp_path)
    fleet.slow.lag = 20.0
    fleet.slow.finished = lambda scan: finished(scan)[1:]  # one does not answer
    async with fleet.straggling() as (w, task):
        part = await until_stop(w, task)
        (scan,) = fleet.slow.active()
        fleet.slow.set_status(scan, ScanStatus.COMPLETED)
        ended = await w.until(part, TaskState.COMPLETED)
        assert not stopped_for_idle_slots(ended)
        assert ended.partial is None
        assert "scan_finished" in await w.events(ended)


@pytest.mark.slow
async def test_a_part_whose_scan_cannot_be_stopped_goes_on(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    fleet = Fleet(tmp_path)

    def refuses(request: str) -> Trouble | None:
        return Trouble(error=Refused("not now")) if request == "stop" else None

    fleet.slow.fault = refuses
    async with fleet.straggling() as (w, task):
        await w.settled(task.task_id)
        await check_whole(w, task)
        assert not await stopped(w, task)
        events = [await w.events(each) for each in await w.store.parts_of(task.task_id)]
        assert any("straggler_kept" in each for each in events)


@pytest.mark.slow
async def test_a_part_whose_scanner_does_not_answer_is_not_stopped_when_it_is_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    fleet = Fleet(tmp_path)
    async with fleet.straggling() as (w, task):
        await w.until(task.task_id, TaskState.RUNNING)
        await trio.sleep(300)
        fleet.slow.down = unreachable()
        await trio.sleep(900)
        run = next(iter(w.fleet.drivers["slow"].runs.values()))
        assert not early_stop.under_way(run)
        fleet.slow.down = None
        await w.settled(task.task_id)
        await check_whole(w, task)


@pytest.mark.slow
async def test_a_part_that_has_finished_nothing_is_scanned_again_as_a_whole(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    fleet = Fleet(tmp_path, max_attempts=1)
    fleet.slow.finished = lambda scan: (
        hosts_of(scan.order) if scan.order and scan.status is ScanStatus.COMPLETED else ()
    )
    async with fleet.straggling() as (w, task):
        part = await until_stop(w, task)
        await w.settled(task.task_id)
        await check_whole(w, task)
        again = await w.task(part)
        assert again.attempt == 2
        assert again.failures == 0
        assert (await w.events(again)).count("straggler_stopped") == 1


@pytest.mark.slow
@pytest.mark.parametrize("discard", [True, False])
async def test_a_cancel_overrules_the_stop(
    tmp_path: Path, autojump_clock: MockClock, discard: bool
) -> None:
    fleet = Fleet(tmp_path)
    fleet.slow.lag = 20.0
    async with fleet.straggling() as (w, task):
        part = await until_stop(w, task)
        await w.service.cancel(task.task_id, actor="me", discard=discard)
        done = await w.settled(task.task_id, within=600)
        assert done.state is TaskState.CANCELED
        assert (await w.task(part)).state is TaskState.CANCELED
        before = len(fleet.ordered)
        await trio.sleep(600)
        assert len(fleet.ordered) == before


@pytest.mark.slow
async def test_a_cancel_overrules_the_division(tmp_path: Path, autojump_clock: MockClock) -> None:
    fleet = Fleet(tmp_path)

    def busy(request: str) -> Trouble | None:
        return Trouble(error=NotReady("busy")) if request == "export" else None

    fleet.slow.fault = busy
    async with fleet.straggling() as (w, task):
        part = await until_stop(w, task)
        await w.until(part, TaskState.EXPORTING)
        await w.service.cancel(task.task_id, actor="me")
        fleet.slow.fault = lambda _request: None
        done = await w.settled(task.task_id)
        assert done.state is TaskState.CANCELED
        canceled = await w.task(part)
        assert canceled.state is TaskState.CANCELED
        assert canceled.has_results
        assert "rest_returned" not in await w.events(task)


@pytest.mark.slow
async def test_a_task_that_is_paused_meanwhile_cuts_its_rest_after_the_pause(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    fleet = Fleet(tmp_path)
    fleet.slow.lag = 20.0
    async with fleet.straggling() as (w, task):
        await until_stop(w, task)
        await w.service.pause(task.task_id, actor="me")
        await trio.sleep(600)
        assert await stopped(w, task)
        assert not fleet.slow.active()
        assert (await w.task(task.task_id)).state is TaskState.PAUSED
        await w.service.resume(task.task_id, actor="me")
        await w.settled(task.task_id)
        await check_whole(w, task)


@pytest.mark.slow
async def test_names_keep_their_addresses(tmp_path: Path, autojump_clock: MockClock) -> None:
    fleet = Fleet(tmp_path)
    names = {f"{letter}.example.com": f"198.51.100.{n}" for n, letter in enumerate("abcdefgh")}
    async with world(fleet.config, fleet.scanners, resolve=lambda name: (names[name],)) as w:
        task = await w.submit(NETWORK, "198.51.100.3", *names)
        await w.settled(task.task_id)
        done = await w.task(task.task_id)
        assert done.state is TaskState.COMPLETED
        parts = await w.store.parts_of(task.task_id)
        found = [each for part in parts for each in hosts_in(part.request.targets)]
        assert sorted(found) == sorted(hosts_in(task.request.targets))
        for name, address in names.items():
            (owner,) = [part for part in parts if name in part.request.targets]
            assert address in owner.resolved


STRIDE = int(os.environ.get("NESSUS_SCHED_STRIDE", "40")) // 10
"""Every so many steps there is a death. All of them with NESSUS_SCHED_STRIDE=10."""


@pytest.mark.slow
def test_killed_at_any_step_of_a_division_nothing_is_lost(tmp_path: Path) -> None:
    """From the decision to the first part that is cut of the rest."""
    alive = Telling(tmp_path / "alive")
    assert alive.last > alive.first > 0
    for step in range(alive.first - 2, alive.last + 3, STRIDE):
        Telling(tmp_path / str(step), fatal={step, step + 3})


class Telling:
    """A task with a straggler, told to its end over as many lives as it takes. Steps are the
    moments before and after each commit and each request; the division lies between `first` and
    `last`."""

    def __init__(self, directory: Path, *, fatal: Collection[int] = ()) -> None:
        directory.mkdir()
        make_reproducible(0)
        self.fleet = Fleet(directory)
        self.fatal = fatal
        self.steps = self.first = self.last = 0
        self.life = Life()
        for scanner in self.fleet.scanners.values():
            scanner.step = self.step
        trio.run(self.tell, clock=trio.testing.MockClock(autojump_threshold=0))

    def step(self, _what: str, _moment: str) -> None:
        self.steps += 1
        if self.steps in self.fatal:
            self.life.die()

    def observe(self, _task: Task, entry: JournalEntry) -> None:
        if entry.event == "straggler_stopped" and not self.first:
            self.first = self.steps
        elif entry.event == "parts_cut" and self.first and not self.last:
            self.last = self.steps

    async def tell(self) -> None:
        task: Task | None = None
        ended = False
        while not ended:
            self.life = Life()
            async with mortal(self.life), self.world() as w:
                w.context.observers.append(self.observe)
                task = task or await w.submit(NETWORK)
                await w.settled(task.task_id)
                await check_whole(w, task)
                assert await stopped(w, task)
                ended = True
        assert all(max(each.launches.values()) == 1 for each in self.fleet.scanners.values())

    def world(self) -> AbstractAsyncContextManager[World]:
        connect = mortal_connect(self.life, self.step)
        return world(self.fleet.config, self.fleet.scanners, connect=connect)
