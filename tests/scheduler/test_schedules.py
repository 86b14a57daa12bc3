"""Schedules over the whole scheduler in virtual time: firing, dying at every step, the clock."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.api.operations import Call
from nessus_sched.api.schedules.tools import ListSchedulesArgs, list_schedules
from nessus_sched.config.calendar import CalendarSettings
from nessus_sched.config.limits import LimitSettings
from nessus_sched.config.schema import Config, PollingSettings, SchedulingSettings, TargetSettings
from nessus_sched.core.calendar.recurrence import Recurrence
from nessus_sched.core.calendar.schedule import FiringOutcome, Missed, Overlap, Schedule
from nessus_sched.core.pool import outlook
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.task import ScanRequest, Submitter
from nessus_sched.core.task_store import TaskFilter
from nessus_sched.ipc.peer import Peer
from nessus_sched.scheduler.context import Rights, RightsUnknown
from nessus_sched.scheduler.errors import NotPossible
from nessus_sched.scheduler.plan import plan_until
from nessus_sched.scheduler.schedules import Schedules, UnknownSchedule
from support.apps import app_of
from support.fake_scanner import FakeScanner
from support.world import EPOCH, World, basic, config_of, scanner_settings, virtual_now, world

HOUR = 3600.0


def schedule(w: World, name: str = "hourly", **changes: Any) -> Schedule:
    now = w.context.wall()
    usual: dict[str, Any] = {
        "schedule_id": "",
        "name": name,
        "recurrence": Recurrence(every=HOUR, start=now),
        "request": basic("192.0.2.1"),
        "actor": "uid:1000",
        "submitter": Submitter(uid=1000),
        "created_at": now,
        "catch_up": HOUR,
        "decided": now,
    }
    return Schedule(**{**usual, **changes})


@asynccontextmanager
async def scheduling(w: World) -> AsyncIterator[Schedules]:
    schedules = Schedules(w.context, w.service)
    await schedules.restore()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(schedules.run)
        yield schedules
        nursery.cancel_scope.cancel()


def config(tmp_path: Path, **changes: Any) -> Config:
    polling = PollingSettings(fastest=30.0, slowest=300.0)
    return config_of(tmp_path, scanner_settings("a"), polling=polling, **changes)


def scanners(takes: float = 600.0) -> dict[str, FakeScanner]:
    return {"a": FakeScanner(virtual_now(), duration=lambda _order: takes)}


async def tasks_of(w: World) -> list[float]:
    """For which times tasks were submitted, in hours from the start."""
    page = await w.store.list(TaskFilter(), limit=100)
    return sorted(
        (task.schedule.nominal - EPOCH) / HOUR for task in page.tasks if task.schedule is not None
    )


@pytest.mark.slow
async def test_each_firing_is_a_task_of_its_creator(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(config(tmp_path), scanners()) as w, scheduling(w) as schedules:
        await schedules.add(schedule(w))
        await trio.sleep(3.5 * HOUR)
        found = schedules.named("hourly")
        assert await tasks_of(w) == [1, 2, 3]
        task = (await w.queries.task(found.last_task or "")).task
    assert task.state is TaskState.COMPLETED
    assert (task.actor, task.submitter) == ("uid:1000", Submitter(uid=1000))
    assert task.schedule is not None
    assert task.schedule.name == "hourly"
    assert found.fired == 3
    assert [each.outcome for each in found.recent] == [FiringOutcome.SUBMITTED] * 3


@pytest.mark.parametrize("what", ["resumed", "replaced"])
async def test_a_firing_that_waits_and_will_not_run_is_shown_as_skipped(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, what: str
) -> None:
    async with world(config(tmp_path), scanners(10 * HOUR)) as w, scheduling(w) as schedules:
        waits = schedule(w, overlap=Overlap.QUEUE_ONE)
        await schedules.add(waits)
        await trio.sleep(2.5 * HOUR)
        assert schedules.named("hourly").pending == EPOCH + 2 * HOUR
        if what == "resumed":
            await schedules.change("hourly", "uid:1", "paused", paused=True)
            await schedules.resume("hourly", actor="uid:1")
        else:
            changed = attrs.evolve(waits, missed=Missed.ONCE, decided=w.context.wall())
            await schedules.add(attrs.evolve(changed, jitter=60.0), replace=True)
        skipped = schedules.named("hourly").recent[-1]
        assert (skipped.nominal, skipped.outcome) == (EPOCH + 2 * HOUR, FiringOutcome.SKIPPED)
        assert f"was {what}" in skipped.reason
        journal = [each.entry for each in await w.store.journal()]
    (entry,) = [each for each in journal if each.event == "schedule_skipped"]
    assert entry.detail["nominal"] == EPOCH + 2 * HOUR


async def test_what_was_missed_while_the_daemon_was_down_is_made_up_for_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    found = scanners()
    async with world(config(tmp_path), found) as w, scheduling(w) as schedules:
        await schedules.add(schedule(w))
    await trio.sleep(5.5 * HOUR)
    async with world(config(tmp_path), found) as w, scheduling(w) as schedules:
        await trio.sleep(1)
        assert await tasks_of(w) == [5]
        recent = schedules.named("hourly").recent
        assert "4 earlier firings missed" in recent[0].reason
        assert "missed by 30 min" in recent[1].reason
        await trio.sleep(HOUR)
        assert await tasks_of(w) == [5, 6]


@pytest.mark.slow
@pytest.mark.parametrize(("missed", "repeated"), [(Missed.ONCE, [5]), (Missed.SKIP, [])])
async def test_a_restored_backup_repeats_at_most_the_latest_firing(
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
    missed: Missed,
    repeated: list[float],
) -> None:
    found, backup = scanners(), tmp_path.with_name(f"{tmp_path.name}-backup")
    async with world(config(tmp_path), found) as w, scheduling(w) as schedules:
        await schedules.add(schedule(w, missed=missed))
        await trio.sleep(2.5 * HOUR)
    shutil.copytree(tmp_path, backup)
    async with world(config(tmp_path), found) as w, scheduling(w) as schedules:
        await trio.sleep(3 * HOUR)
        assert await tasks_of(w) == [1, 2, 3, 4, 5]
    shutil.rmtree(tmp_path)
    backup.rename(tmp_path)
    async with world(config(tmp_path), found) as w, scheduling(w) as schedules:
        await trio.sleep(1.2 * HOUR)
        assert await tasks_of(w) == [1, 2, *repeated, 6]
        outcomes = [each.outcome for each in schedules.named("hourly").recent]
    assert outcomes.count(FiringOutcome.SKIPPED) >= 1  # what it knows nothing of is accounted for
    assert sum(found["a"].launches.values()) == 6 + len(repeated)


class Dies(Exception):
    """Ends the daemon."""


@pytest.mark.slow
@pytest.mark.parametrize("step", ["before the task", "after the task", "after the firing"])
async def test_a_daemon_that_dies_at_a_firing_submits_it_once(
    step: str, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """And is down for longer than keys of other submissions are remembered."""
    found = scanners()
    forgetful = config(tmp_path, scheduling=SchedulingSettings(idempotency_ttl=60))
    with pytest.RaisesGroup(Dies, flatten_subgroups=True):
        async with world(forgetful, found) as w:
            save, submit = w.store.save_schedule, w.service.submit

            async def saved(schedule: Schedule, *entries: Any) -> None:
                if schedule.recent and step == "after the task":
                    raise Dies
                await save(schedule, *entries)
                if schedule.recent:
                    raise Dies

            async def submitted(*args: Any, **named: Any) -> Any:
                if step == "before the task":
                    raise Dies
                return await submit(*args, **named)

            w.store.save_schedule = saved  # type: ignore[method-assign]
            w.service.submit = submitted  # type: ignore[method-assign]
            async with scheduling(w) as schedules:
                await schedules.add(schedule(w))
                await trio.sleep(2 * HOUR)
    await trio.sleep(600)
    async with world(forgetful, found) as w, scheduling(w) as schedules:
        await trio.sleep(60)
        assert await tasks_of(w) == [1]
        (firing,) = schedules.named("hourly").recent
        assert firing.task_id is not None
        await w.settled(firing.task_id)
        journal = [each.entry.event for each in await w.store.journal()]
    assert journal.count("schedule_fired") == 1
    assert sum(found["a"].launches.values()) == 1


async def test_a_store_that_fails_delays_a_firing(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(config(tmp_path), scanners()) as w, scheduling(w) as schedules:
        await schedules.add(schedule(w))
        save = w.store.save_schedule
        failures: list[Schedule] = []

        async def saved(schedule: Schedule, *entries: Any) -> None:
            if len(failures) < 3:
                failures.append(schedule)
                raise StoreUnavailable("no space")
            await save(schedule, *entries)

        w.store.save_schedule = saved  # type: ignore[method-assign]
        await trio.sleep(1.5 * HOUR)
        assert await tasks_of(w) == [1]
        assert len(schedules.named("hourly").recent) == 1
    assert len(failures) == 3


@pytest.mark.slow
async def test_a_full_queue_delays_a_firing(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    limits = LimitSettings(queued_tasks=8)
    async with (
        world(config(tmp_path, limits=limits), scanners(takes=2000.0)) as w,
        scheduling(w) as schedules,
    ):
        await schedules.add(schedule(w, recurrence=Recurrence(at=w.context.wall() + HOUR)))
        await trio.sleep(HOUR - 10)
        for number in range(4):
            await w.service.submit(basic(f"192.0.2.{number + 10}"), actor="uid:1000")
        await trio.sleep(60)
        assert await tasks_of(w) == []
        await trio.sleep(0.9 * HOUR)
        assert await tasks_of(w) == [1]


async def test_a_refused_request_is_a_failed_firing(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(config(tmp_path), scanners()) as w, scheduling(w) as schedules:
        await schedules.add(schedule(w))
        w.context.config = attrs.evolve(
            w.context.config, targets=TargetSettings(allow=("198.51.100.0/24",))
        )
        await trio.sleep(1.5 * HOUR)
        (firing,) = schedules.named("hourly").recent
        assert firing.outcome is FiringOutcome.FAILED
        assert "not allowed" in firing.reason
        assert "not allowed" in (schedules.named("hourly").trouble or "")
        assert await tasks_of(w) == []
        journal = [each.entry for each in await w.store.journal()]
    (failed,) = [entry for entry in journal if entry.event == "schedule_failed"]
    assert "not allowed" in failed.cause


async def test_the_rights_of_the_creator_count_when_it_fires(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    answers: list[Rights | None] = [None, Rights(refusal="no role names its submitter any more")]

    async def rights_to(task: Any) -> Rights:
        assert task.submitter == Submitter(uid=1000)
        answer = answers.pop(0)
        if answer is None:
            raise RightsUnknown("users cannot be looked up")
        return answer

    async with world(config(tmp_path), scanners()) as w, scheduling(w) as schedules:
        w.context.rights_to = rights_to
        await schedules.add(schedule(w))
        await trio.sleep(1.1 * HOUR)
        (firing,) = schedules.named("hourly").recent
        answers.append(None)
        with pytest.raises(NotPossible, match="cannot be looked up"):
            await schedules.run_now("hourly", actor="uid:1000")
    assert firing.reason == "no role names its submitter any more"


async def test_the_targets_that_the_creator_may_scan_count_when_it_fires(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    narrow = Rights(scopes=(TargetSettings(allow=("198.51.100.0/24",)).scope,))

    async def rights_to(_task: Any) -> Rights:
        return narrow

    async with world(config(tmp_path), scanners()) as w, scheduling(w) as schedules:
        w.context.rights_to = rights_to
        await schedules.add(schedule(w))
        await trio.sleep(1.1 * HOUR)
        (firing,) = schedules.named("hourly").recent
    assert firing.outcome is FiringOutcome.FAILED
    assert "192.0.2.1" in firing.reason


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overlap", "nominals"), [(Overlap.SKIP, [1, 4]), (Overlap.QUEUE_ONE, [1, 3])]
)
async def test_a_task_that_takes_longer_than_the_interval(
    overlap: Overlap,
    nominals: list[float],
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
) -> None:
    slow = scanners(takes=2.5 * HOUR)
    async with world(config(tmp_path), slow) as w, scheduling(w) as schedules:
        await schedules.add(schedule(w, overlap=overlap))
        await trio.sleep(4.5 * HOUR)
        assert await tasks_of(w) == nominals
        skipped = [each for each in schedules.named("hourly").recent if not each.task_id]
        trouble = schedules.named("hourly").trouble
        first, second = sorted((await w.store.list()).tasks, key=lambda task: task.order)
        if overlap is Overlap.QUEUE_ONE:
            assert second.created_at - first.entered[TaskState.COMPLETED] < 1
    assert trouble is None
    assert all("has not ended" in each.reason for each in skipped)
    assert len(skipped) == (2 if overlap is Overlap.SKIP else 1)


@pytest.mark.slow
async def test_a_task_before_may_be_replaced(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    slow = scanners(takes=1.5 * HOUR)
    async with world(config(tmp_path), slow) as w, scheduling(w) as schedules:
        await schedules.add(schedule(w, overlap=Overlap.REPLACE))
        await trio.sleep(2.1 * HOUR)
        first, second = sorted((await w.store.list()).tasks, key=lambda task: task.order)
    assert first.state is TaskState.CANCELED
    assert second.state in {TaskState.RUNNING, TaskState.LAUNCHING, TaskState.QUEUED}


async def test_two_requests_at_the_same_moment_are_two_tasks(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(config(tmp_path), scanners()) as w, scheduling(w) as schedules:
        await schedules.add(schedule(w))
        first, second = [(await schedules.run_now("hourly", actor="uid:1")) for _ in range(2)]
        assert first.last_task != second.last_task


@pytest.mark.slow
async def test_commands(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with world(config(tmp_path), scanners()) as w, scheduling(w) as schedules:
        await schedules.add(schedule(w))
        await schedules.change("hourly", "uid:1", "paused", paused=True)
        await trio.sleep(2.5 * HOUR)
        await schedules.resume("hourly", actor="uid:1")
        await trio.sleep(HOUR)
        assert await tasks_of(w) == [3]
        await schedules.change("hourly", "uid:1", "skip_asked", skip_next=1)
        await trio.sleep(2 * HOUR)
        assert await tasks_of(w) == [3, 5]
        await schedules.run_now("hourly", actor="uid:1")
        assert len(await tasks_of(w)) == 3
        assert schedules.named("hourly").fired == 2
        removed = await schedules.remove("hourly", actor="uid:1")
        await trio.sleep(2 * HOUR)
        assert len(await tasks_of(w)) == 3
        with pytest.raises(UnknownSchedule, match="no schedule 'hourly'"):
            schedules.named("hourly")
        events = [each.entry.event for each in await w.store.journal()]
        assert await w.store.schedules() == ()
    assert removed.name == "hourly"
    assert [event for event in events if event.startswith("schedule_")] == [
        "schedule_created", "schedule_paused", "schedule_resumed", "schedule_fired",
        "schedule_skip_asked", "schedule_skipped", "schedule_fired", "schedule_run_now",
        "schedule_removed",
    ]  # fmt: skip


@pytest.mark.slow
async def test_a_redefined_schedule_keeps_its_history(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(config(tmp_path), scanners()) as w, scheduling(w) as schedules:
        first, _ = await schedules.add(schedule(w))
        await trio.sleep(1.5 * HOUR)
        with pytest.raises(NotPossible, match="already"):
            await schedules.add(schedule(w))
        same, changed = await schedules.add(schedule(w), replace=True)
        assert (same.schedule_id, changed) == (first.schedule_id, False)
        other: ScanRequest = basic("192.0.2.7")
        after, changed = await schedules.add(schedule(w, request=other), replace=True)
        assert (after.schedule_id, changed, after.fired) == (first.schedule_id, True, 1)
        await trio.sleep(1.5 * HOUR)
        task = (await w.queries.task(schedules.named("hourly").last_task or "")).task
    assert task.request.targets == ("192.0.2.7",)


async def test_there_is_a_bound_on_their_number(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    calendar = CalendarSettings(max_schedules=2)
    async with (
        world(config(tmp_path, calendar=calendar), scanners()) as w,
        scheduling(w) as schedules,
    ):
        for name in ("a", "b"):
            await schedules.add(schedule(w, name))
        with pytest.raises(NotPossible, match="2 schedules already"):
            await schedules.add(schedule(w, "c"))


@pytest.mark.parametrize("step", [-5.2 * HOUR, 5.2 * HOUR])
async def test_a_clock_that_is_set_repeats_nothing_and_stops_nothing(
    step: float, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(config(tmp_path), scanners(), clock_checks=15) as w:
        steady, offset = w.context.wall, [0.0]
        w.context.wall = lambda: steady() + offset[0]
        async with scheduling(w) as schedules:
            await schedules.add(schedule(w))
            await trio.sleep(3.5 * HOUR)
            offset[0] = step
            await trio.sleep(6 * HOUR)
            found = await tasks_of(w)
    assert len(found) == len(set(found))
    late = [1, 2, 3, 8, 9, 10, 11, 12, 13, 14] if step > 0 else [1, 2, 3, 4]
    assert found == late


async def test_a_look_at_many_schedules_is_cheap(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [0]
    next_after = Recurrence.next_after

    def counted(self: Recurrence, moment: float) -> float | None:
        calls[0] += 1
        return next_after(self, moment)

    async with world(config(tmp_path), scanners()) as w, scheduling(w) as schedules:
        for number in range(50):
            weekly = Recurrence(cron="0 2 * * mon", start=w.context.wall())
            await schedules.add(schedule(w, f"s{number}", recurrence=weekly))
        monkeypatch.setattr(Recurrence, "next_after", counted)
        await trio.sleep(HOUR)
    assert calls[0] <= 50  # once for each at most


@pytest.mark.slow
async def test_the_plan_says_when_scans_start_and_end(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Of what was planned, at least seven of ten start and end within their intervals."""
    random = Random(5)
    scanner = FakeScanner(virtual_now(), duration=lambda _order: random.uniform(300, 3000))
    async with world(config(tmp_path), {"a": scanner}) as w, scheduling(w) as schedules:
        for number in range(30):  # two at a time, 27 minutes each
            await w.submit(f"192.0.2.{number + 1}")
        await trio.sleep(9 * HOUR)
        begin = w.context.wall()
        for number in range(8):
            weekly = Recurrence(every=3 * HOUR, start=begin - number * 300)
            await schedules.add(schedule(w, f"s{number}", recurrence=weekly, decided=begin,
                                         request=basic(f"192.0.2.{number + 100}")))  # fmt: skip
        planned = await plan_until(w.context, schedules.all(), [], begin + 12 * HOUR)
        await trio.sleep(14 * HOUR)
        tasks = (await w.store.list(TaskFilter(), limit=200)).tasks
    real = {(t.schedule.name, t.schedule.nominal): t for t in tasks if t.schedule is not None}
    assert len(planned.scans) >= 24
    assert planned.left_out == 0
    hits = []
    for each in planned.scans:
        task = real[each.job.name, each.job.ready]
        assert each.start is not None
        assert each.end is not None
        began, ended = task.entered[TaskState.LAUNCHING], task.entered[TaskState.COMPLETED]
        hits.append(each.start.low - 60 <= began <= each.start.high + 60)
        hits.append(each.end.low - 60 <= ended <= each.end.high + 60)
    assert sum(hits) / len(hits) >= 0.7


@pytest.mark.slow
async def test_the_plan_of_a_request_for_several_sites_is_about_their_scanners(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """No scanner reaches all targets, and one that is free reaches none. What has started is not
    planned again."""
    sites = {"a": "192.0.2.0/24", "b": "198.51.100.0/24", "c": "203.0.113.0/24"}
    settings = [scanner_settings(name, networks=(net,)) for name, net in sites.items()]
    everywhere = {
        name: FakeScanner(virtual_now(), duration=lambda _order: 1800.0) for name in sites
    }  # fmt: skip
    conf = config_of(tmp_path, *settings, scheduling=SchedulingSettings(part_min=16))
    async with world(conf, everywhere) as w, scheduling(w) as schedules:
        begin = w.context.wall()
        request = basic("192.0.2.0/24", "198.51.100.0/26")
        every = Recurrence(every=12 * HOUR, start=begin)
        await schedules.add(schedule(w, "both", recurrence=every, request=request))

        async def planned(hours: float) -> Any:
            waiting = [each.task for each in await w.queries.waiting(limit=9, estimated=False)]
            until = w.context.wall() + hours * HOUR
            return await plan_until(w.context, schedules.all(), waiting, until)

        found = await planned(14)
        (each,) = found.scans
        assert "measured" in found.remark(each)
        await trio.sleep(13 * HOUR)
        (each,) = (await planned(4)).scans
        assert not each.job.firing
        assert set(each.scanners) <= {"a", "b"}
        started = each.job.scans
        await trio.sleep(8 * HOUR)
        (each,) = (await planned(4)).scans
        assert each.job.firing
        assert each.scanners == ("a", "b")
        assert dict(each.job.groups).keys() == {frozenset("a"), frozenset("b")}
        assert each.job.scans > started
        lost = basic("192.0.2.0/24", "198.51.100.0/24")
        elsewhere = [scanner_settings("a", networks=("192.0.2.0/24",)), *settings[2:]]
        await w.fleet.apply(attrs.evolve(conf, scanners=tuple(elsewhere)))
        await schedules.add(schedule(w, "lost", recurrence=every, request=lost))
        (each,) = [each for each in (await planned(4)).scans if each.job.name == "lost"]
        assert found.remark(each) == "will be refused: no scanner reaches 198.51.100.0/24"


async def test_a_plan_of_many_schedules_reads_each_once_and_lets_others_run(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, turns = [0], [0]
    firings = outlook.firings

    def counted(*args: Any, **named: Any) -> Any:
        reads[0] += 1
        return firings(*args, **named)

    async def other() -> None:
        while True:
            turns[0] += 1
            await trio.lowlevel.checkpoint()

    monkeypatch.setattr(outlook, "firings", counted)
    async with world(config(tmp_path), scanners()) as w, scheduling(w) as schedules:
        for number in range(30):
            await schedules.add(schedule(w, f"s{number}"))
        await schedules.add(schedule(w, "later", recurrence=Recurrence(every=1000 * HOUR)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            found = await plan_until(w.context, schedules.all(), [], w.context.wall() + 48.5 * HOUR)
            nursery.cancel_scope.cancel()
    assert reads[0] == 30
    assert turns[0] >= 29  # either may have begun
    assert (len(found.scans), found.left_out) == (200, 30 * 48 - 200)


@pytest.mark.slow
async def test_a_time_zone_that_this_machine_does_not_know_breaks_one_schedule(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """The store is from another machine."""
    async with world(config(tmp_path), scanners()) as w, scheduling(w) as schedules:
        await schedules.add(schedule(w))
        daily = Recurrence(cron="0 2 * * *", start=w.context.wall())
        await schedules.add(schedule(w, "moved", recurrence=daily))
        (moved,) = [each for each in await w.store.schedules() if each.name == "moved"]
        unknown = attrs.evolve(moved.recurrence, zone="Mars/Base")
        changed = attrs.evolve(moved, recurrence=unknown, pending=moved.created_at)
        await w.store.save_schedule(changed)
    async with world(config(tmp_path), scanners()) as w, scheduling(w) as schedules:
        await trio.sleep(6 * HOUR)
        broken = schedules.named("moved")
        assert "Mars/Base" in (broken.trouble or "")
        assert (broken.next_due, broken.next_firings(0, 5)) == (None, [])
        assert len(await tasks_of(w)) >= 5
        await plan_until(w.context, schedules.all(), [], w.context.wall() + 24 * HOUR)
        app = attrs.evolve(app_of(w), schedules=schedules)
        call = Call(peer=Peer(connection="c1", uid=0))
        listed = await list_schedules.fn(app, call, ListSchedulesArgs(name="moved"))
        assert [each.status for each in listed.schedules] == ["broken"]
        await schedules.remove("moved", actor="uid:1")
