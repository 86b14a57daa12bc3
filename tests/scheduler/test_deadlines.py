"""Tasks that are canceled at their deadlines, over the whole scheduler in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.schema import Config, SchedulingSettings
from nessus_sched.core.calendar.recurrence import Recurrence
from nessus_sched.core.calendar.schedule import Schedule
from nessus_sched.core.error_kinds import ErrorKind, Response
from nessus_sched.core.faults import FAULTS
from nessus_sched.core.scanner import TransientError
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets.targets import size_of
from nessus_sched.core.task import ScanKind, ScanRequest, ScheduledFor, Task
from nessus_sched.scheduler.errors import RequestError
from nessus_sched.scheduler.plan import plan_until
from support.fake_scanner import FakeScanner, fails, unreachable
from support.trouble import Trouble
from support.world import EPOCH, config_of, scanner_settings, virtual_now, world

HOUR, DAY = 3600.0, 86400.0


def config(tmp_path: Path, **changes: Any) -> Config:
    return config_of(tmp_path, scanner_settings("a", 1), **changes)


def fake(takes: float = 3 * HOUR) -> dict[str, FakeScanner]:
    return {
        "a": FakeScanner(virtual_now(), duration=lambda order: takes / 4 * size_of(order.targets))
    }


def missed(task: Task) -> bool:
    return task.last_error is not None and task.last_error.kind == ErrorKind.DEADLINE


async def test_a_running_scan_is_stopped_and_what_it_found_is_kept(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(config(tmp_path), fake()) as w:
        task = await w.submit("192.0.2.0/30", deadline="2h")
        done = await w.settled(task.task_id)
        assert 2 * HOUR <= trio.current_time() < 2.1 * HOUR
        assert done.state is TaskState.CANCELED
        assert missed(done)
        assert FAULTS[ErrorKind.DEADLINE].response is Response.END  # as the page of errors says
        assert done.partial == "its deadline passed"
        assert done.summary is not None
        assert done.summary["hosts_finished"] == 2
        assert (await w.events(done)).count("cancel_requested") == 1


async def test_a_task_that_waits_is_canceled(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with world(config(tmp_path), fake()) as w:
        running = await w.submit("192.0.2.0/30")
        waiting = await w.submit("198.51.100.1", deadline="1h")
        paused = await w.submit("198.51.100.2", deadline="2h")
        await w.service.pause(paused.task_id, actor="me")
        for task, hours in ((waiting, 1), (paused, 2)):
            done = await w.settled(task.task_id)
            assert trio.current_time() == pytest.approx(hours * HOUR, abs=1)
            assert done.state is TaskState.CANCELED
            assert missed(done)
        history = await w.queries.history(waiting.task_id)
        assert history[-1].entry.cause == "its deadline passed"
        assert history[-1].entry.actor == "system"
        assert (await w.settled(running.task_id)).state is TaskState.COMPLETED


async def test_a_deadline_is_one_of_the_clock_as_it_is_set_now(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    ahead = 0.0
    async with world(
        config(tmp_path), fake(), wall=lambda: virtual_now()() + ahead, clock_checks=15
    ) as w:
        task = await w.submit("192.0.2.0/30", deadline="2h")
        await trio.sleep(0.5 * HOUR)
        ahead = 1.6 * HOUR
        assert missed(await w.settled(task.task_id))
        assert trio.current_time() < 0.6 * HOUR


async def test_a_deadline_after_a_day_without_any_is_kept(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(config(tmp_path), fake()) as w:
        await trio.sleep(DAY)
        task = await w.submit("192.0.2.0/30", deadline="2h")
        assert missed(await w.settled(task.task_id))
        assert DAY + 2 * HOUR <= trio.current_time() < DAY + 2.1 * HOUR


async def test_a_task_that_ends_in_time_is_left_alone(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(config(tmp_path), fake()) as w:
        task = await w.submit("192.0.2.1", deadline="1h")
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        await trio.sleep(HOUR)
        assert (await w.task(task.task_id)).state is TaskState.COMPLETED


async def test_a_scan_that_has_ended_keeps_its_results(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    found = fake(HOUR)
    async with world(config(tmp_path), found) as w:
        task = await w.submit("192.0.2.0/30", deadline="61m")
        await w.until(task.task_id, TaskState.EXPORTING)
        found["a"].latency = 5 * 60.0
        done = await w.settled(task.task_id)
        assert trio.current_time() > 61 * 60
        assert done.state is TaskState.COMPLETED


async def test_a_split_task_ends_with_its_parts(tmp_path: Path, autojump_clock: MockClock) -> None:
    sizes = SchedulingSettings(part_min=4, part_max=8)
    async with world(config(tmp_path, scheduling=sizes), fake(4 * 60.0)) as w:
        task = await w.submit("192.0.2.0/26", deadline="20m")
        done = await w.settled(task.task_id)
        assert 20 * 60 <= trio.current_time() < 22 * 60
        assert done.state is TaskState.CANCELED
        assert missed(done)
        parts = await w.store.parts_of(task.task_id)
        states = [part.state for part in parts]
        assert states.count(TaskState.COMPLETED) >= 1
        assert states[-1] is TaskState.CANCELED


async def test_a_deadline_that_passes_while_the_daemon_is_down(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    found = fake()
    async with world(config(tmp_path), found) as w:
        running = await w.submit("192.0.2.0/30", deadline="1h")
        waiting = await w.submit("198.51.100.1", deadline="1h")
        await w.until(running.task_id, TaskState.RUNNING)
    await trio.sleep(1.5 * HOUR)
    async with world(config(tmp_path), found) as w:
        for task in (running, waiting):
            done = await w.settled(task.task_id)
            assert done.state is TaskState.CANCELED
            assert missed(done)
        assert trio.current_time() < 1.6 * HOUR


async def test_a_retried_task_has_no_deadline_that_has_passed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    once = SchedulingSettings(max_attempts=1, backoff_base=10.0)
    found = fake(HOUR)
    async with world(config(tmp_path, scheduling=once), found) as w:
        task = await w.submit("192.0.2.0/30", deadline="1h")
        await w.until(task.task_id, TaskState.RUNNING)
        found["a"].remove(next(iter(found["a"].scans.values())))
        assert (await w.settled(task.task_id)).state is TaskState.DEAD
        await trio.sleep(2 * HOUR)
        await w.service.retry_dead(task.task_id, actor="me")
        done = await w.settled(task.task_id)
        assert (done.state, done.deadline) == (TaskState.COMPLETED, None)


async def test_a_late_firing_has_the_deadline_of_its_time(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(config(tmp_path), fake()) as w:
        request = ScanRequest(kind=ScanKind.BASIC, targets=("192.0.2.1",), deadline="4h")
        due = ScheduledFor(schedule_id="s", name="nightly", nominal=EPOCH - 5 * HOUR)
        made = await w.service.submit(request, actor="uid:1", schedule=due)
        done = await w.settled(made.view.task.task_id)
        assert done.state is TaskState.CANCELED
        assert done.attempt == 0


@pytest.mark.parametrize("text", ["soon", "0h", "2020-01-01", "25:00", "8 weeks", ""])
async def test_bad_deadlines_are_refused(
    tmp_path: Path, autojump_clock: MockClock, text: str
) -> None:
    async with world(config(tmp_path), fake()) as w:
        with pytest.raises(RequestError, match="deadline: ") as refused:
            await w.submit("192.0.2.1", deadline=text)
        assert refused.value.code == "bad_deadline"


async def test_the_plan_knows_deadlines(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with world(config(tmp_path), fake(4 * HOUR)) as w:
        for number in range(1, 5):  # until it is known that a scan takes an hour
            await w.settled((await w.submit(f"192.0.2.{number}")).task_id)
        now = w.context.wall()
        nightly = Schedule(
            schedule_id="s", name="nightly", actor="uid:1", created_at=now, decided=now,
            recurrence=Recurrence(every=12 * HOUR, start=now), catch_up=HOUR,
            request=ScanRequest(kind=ScanKind.BASIC, targets=("192.0.2.9",), deadline="30m"),
        )  # fmt: skip
        waiting = [await w.submit("198.51.100.1", deadline=text) for text in ("3h", "65m")]
        planned = await plan_until(w.context, [nightly], waiting, now + DAY)
        found = [(planned.fits(each), planned.remark(each)) for each in planned.scans]
    assert [fits for fits, _ in found] == [True, False, False, False]
    assert [remark.partition("deadline")[1] != "" for _, remark in found] == [
        False, True, True, True,
    ]  # fmt: skip


async def test_trouble_on_the_way_does_not_hide_that_the_deadline_passed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    found = fake()
    async with world(config(tmp_path), found) as w:
        task = await w.submit("192.0.2.0/30", deadline="2h")
        fails(found["a"], "stop", *[Trouble(error=TransientError("500"))] * 2)
        done = await w.settled(task.task_id)
        assert done.state is TaskState.CANCELED
        assert missed(done)
        assert done.partial == "its deadline passed"


@pytest.mark.sampled(2)
@pytest.mark.parametrize("split", [True, False])
async def test_a_deadline_does_not_wait_for_the_report_of_a_scanner_that_is_lost(
    tmp_path: Path, autojump_clock: MockClock, split: bool
) -> None:
    found = fake(4 * 60.0)
    sizes = SchedulingSettings(part_min=4, part_max=8) if split else SchedulingSettings()
    found["a"].fault = lambda request: Trouble(error=unreachable()) if request == "export" else None
    async with world(config(tmp_path, scheduling=sizes), found) as w:
        task = await w.submit("192.0.2.0/28" if split else "192.0.2.0/30", deadline="2h")
        one = task.task_id + "-1" if split else task.task_id
        await w.until(task.task_id, TaskState.RUNNING)
        await w.until(one, TaskState.EXPORTING)
        found["a"].down = unreachable()
        done = await w.settled(task.task_id, within=3 * HOUR)
        assert 2 * HOUR <= trio.current_time() < 2.2 * HOUR
        assert done.state is TaskState.CANCELED
        assert missed(done)
        found["a"].down, found["a"].fault = None, lambda _request: None
        await trio.sleep(HOUR)
        later = await w.task(task.task_id)
        assert later.summary is not None, "the report is fetched when the scanner answers again"
        assert not later.owed
