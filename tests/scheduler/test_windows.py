"""Windows and blackouts over the whole scheduler in virtual time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from structlog.testing import capture_logs

from nessus_sched.config.calendar import BlackoutSettings, CalendarSettings, WindowSettings
from nessus_sched.config.schema import Config, PollingSettings, SchedulingSettings
from nessus_sched.core.calendar.timetable import AtEnd
from nessus_sched.core.pool.entry import queue_entry
from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.scanner import Marks, RemoteScan, ScanOrder, ScanStatus
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets.targets import size_of, targets_from
from nessus_sched.core.task import Splitting, Task
from nessus_sched.scheduler.errors import RequestError
from support.fake_scanner import FakeScanner, fails
from support.trouble import Effect, lost
from support.world import EPOCH, SPARSE, World, config_of, scanner_settings, virtual_now, world

HOUR = 3600.0


def moment(hours: float) -> str:
    """So many hours after the start, as configurations write it."""
    at = datetime.fromtimestamp(EPOCH + hours * HOUR, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}"


def span(begin: float, end: float) -> str:
    return f"{moment(begin)} to {moment(end)}"


def blackout(begin: float, end: float, **changes: Any) -> BlackoutSettings:
    return BlackoutSettings(name="freeze", times=(span(begin, end),), **changes)


def window(*spans: tuple[float, float], **changes: Any) -> WindowSettings:
    return WindowSettings(name="nights", times=tuple(span(*each) for each in spans), **changes)


def config(tmp_path: Path, *, scanners: int = 1, **changes: Any) -> Config:
    polling = PollingSettings(fastest=30.0, slowest=300.0)
    settings = [scanner_settings(n) for n in "ab"[:scanners]]
    return config_of(tmp_path, *settings, **{"polling": polling, **changes})


def fakes(scanners: int = 1, takes: float = 600.0) -> dict[str, FakeScanner]:
    return {n: FakeScanner(virtual_now(), duration=lambda _order: takes) for n in "ab"[:scanners]}


async def at(hours: float) -> None:
    await trio.sleep_until(hours * HOUR)


async def launched(w: World, task: Task) -> float:
    """When the task's first scan began, in hours from the start."""
    await w.settled(task.task_id)
    return round((await _entered(w, task, TaskState.RUNNING) - EPOCH) / HOUR, 1)


async def _entered(w: World, task: Task, state: TaskState) -> float:
    records = await w.queries.history(task.task_id)
    return next(each.entry.at for each in records if each.entry.after is state)


async def test_nothing_starts_in_a_blackout(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(config(tmp_path, blackouts=(blackout(-1, 5),)), fakes()) as w:
        task = await w.submit("192.0.2.1")
        reason = (await w.queries.task(task.task_id)).standing.wait_reason
        assert reason is not None
        assert reason.code is WaitCode.WINDOW
        assert "blackout 'freeze'" in reason.text
        assert await launched(w, task) == 5


async def test_a_launch_that_is_late_does_not_begin_in_a_blackout(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """The task is taken in time, and it takes the scanner ten minutes to create the scan."""
    found = fakes()
    async with world(config(tmp_path, blackouts=(blackout(1, 5),)), found) as w:
        await at(0.9)
        found["a"].latency = 600.0
        task = await w.submit("192.0.2.1")
        await at(1.1)
        found["a"].latency = 0.05
        await at(4)
        assert not found["a"].launches
        assert await launched(w, task) == 5


@pytest.mark.slow
async def test_only_what_a_rule_names_waits(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    rules = blackout(-1, 5, networks=("192.0.2.0/25",))
    async with world(config(tmp_path, blackouts=(rules,)), fakes()) as w:
        inside = await w.submit("192.0.2.1-192.0.2.3")
        across = await w.submit("192.0.2.100-192.0.2.200")
        outside = await w.submit("192.0.2.201")
        reason = (await w.queries.task(inside.task_id)).standing.wait_reason
        assert reason is not None
        assert reason.code is WaitCode.WINDOW
        assert await launched(w, outside) == 0
        assert await launched(w, inside) == 5
        assert await launched(w, across) == 5


@pytest.mark.slow
async def test_other_scanners_take_what_a_closed_one_may_not(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    found = fakes(2)
    rules = (window((5, 9), scanners=("a",)),)
    async with world(config(tmp_path, scanners=2, windows=rules), found) as w:
        tasks = [await w.submit(f"192.0.2.{n}") for n in range(1, 6)]
        pinned = await w.submit("192.0.2.77", scanner_instance="a")
        for task in tasks:
            assert await launched(w, task) < 1
        assert await launched(w, pinned) == 5
    assert sum(found["b"].launches.values()) == 5


async def test_a_scan_is_started_only_if_it_fits(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    rules = (window((0, 10), (20, 30)),)
    async with world(config(tmp_path, windows=rules), fakes(takes=2 * HOUR)) as w:
        for number in range(4):  # until it is known how long scans take
            await w.settled((await w.submit(f"192.0.2.{number + 1}")).task_id)
        assert 8 <= trio.current_time() / HOUR < 9
        late = await w.submit("192.0.2.9")
        await trio.sleep(1)
        reason = (await w.queries.task(late.task_id)).standing.wait_reason
        assert reason is not None
        assert reason.code is WaitCode.WINDOW
        assert "would probably run past" in reason.text
        assert await launched(w, late) == 20


@pytest.mark.slow
async def test_a_part_is_made_smaller_until_it_fits(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """At a minute for each address, a part takes an hour, and a quarter of one is left."""

    def takes(order: ScanOrder) -> float:
        return 60.0 * size_of(order.targets)

    fake = {"a": FakeScanner(virtual_now(), duration=takes)}
    sizes = SchedulingSettings(part_min=8, part_max=64, part_duration=HOUR)
    rules = (window((0, 4.5), (20, 30)),)
    settings = config(tmp_path, windows=rules, scheduling=sizes, polling=SPARSE)
    async with world(settings, fake) as w:
        for _ in range(4):  # until it is known how long an address takes
            await w.settled((await w.submit("192.0.2.0/26", split=Splitting.NEVER)).task_id)
        assert 4.25 <= trio.current_time() / HOUR < 4.3
        task = await w.submit("198.51.100.0/24")
        await at(4.4)
        tonight = await w.store.parts_of(task.task_id)
        assert all(8 <= size_of(each.request.targets) <= 14 for each in tonight)
        await w.settled(task.task_id)
        parts = await w.store.parts_of(task.task_id)
        assert sum(size_of(each.request.targets) for each in parts) == 256
        for number, part in enumerate(parts):
            assert "paused" not in await w.events(part)
            began = await _entered(w, part, TaskState.RUNNING)
            assert (began > EPOCH + 20 * HOUR) is (number >= len(tonight))


@pytest.mark.slow
async def test_what_fits_into_no_window_starts_anyway(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    hours = [(float(n), n + 1.5) for n in range(0, 60, 4)]
    rules = (window(*hours),)
    async with world(config(tmp_path, windows=rules), fakes(takes=2 * HOUR)) as w:
        for number in range(4):
            task = await w.submit(f"192.0.2.{number + 1}")
            assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        paused = [await w.events(await w.settled(task.task_id))]
    assert "paused" in paused[0]


@pytest.mark.slow
async def test_running_scans_are_paused_and_resumed(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    found = fakes(takes=3 * HOUR)
    found["a"].lag = 20.0
    rules = (blackout(1, 5),)
    async with world(config(tmp_path, blackouts=rules, polling=SPARSE), found) as w:
        task = await w.running("192.0.2.1")
        await at(1)
        await w.until(task.task_id, TaskState.PAUSED)
        view = await w.queries.task(task.task_id)
        assert view.standing.wait_reason is not None
        assert view.standing.wait_reason.code is WaitCode.WINDOW
        assert await _entered(w, task, TaskState.PAUSED) <= EPOCH + 1 * HOUR + 1
        done = await w.settled(task.task_id)
        events = await w.events(task)
        entry = queue_entry(done)
        measured = w.context.pool.durations.per_address(entry)
        assert measured == pytest.approx(3 * HOUR, rel=0.05), "without the pause"
    assert done.state is TaskState.COMPLETED
    assert trio.current_time() == pytest.approx(7 * HOUR, abs=200)
    assert events == [
        "submitted", "taken", "scan_created", "launched", "closed", "paused", "opened", "resumed",
        "scan_finished", "completed",
    ]  # fmt: skip


@pytest.mark.slow
async def test_a_rule_may_let_scans_run_on(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    rules = blackout(1, 5, at_end=AtEnd.RUN_ON)
    async with world(config(tmp_path, blackouts=(rules,)), fakes(takes=2 * HOUR)) as w:
        task = await w.running("192.0.2.1")
        later = await w.submit("192.0.2.1")
        await w.settled(task.task_id)
        assert "closed" not in await w.events(task)
        assert trio.current_time() < 2.1 * HOUR
        assert await launched(w, later) == 5


@pytest.mark.slow
async def test_a_rule_may_stop_scans_and_the_rest_is_scanned_later(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    found = fakes(takes=4 * HOUR)
    rules = blackout(2, 5, at_end=AtEnd.STOP)
    async with world(config(tmp_path, blackouts=(rules,)), found) as w:
        task = await w.running("192.0.2.1-192.0.2.8")
        other = await w.submit("198.51.100.1")
        done = await w.settled(task.task_id)
        assert (await w.settled(other.task_id)).state is TaskState.COMPLETED
    assert done.state is TaskState.COMPLETED
    assert len(done.reports) == 2
    (rest,) = (each.targets for each in found["a"].orders.values() if "192.0.2.8" in str(each)
               and "192.0.2.1-" not in str(each.targets))  # fmt: skip
    assert targets_from(rest).address_count < 8
    assert done.summary is not None
    assert done.summary["hosts_finished"] == 8
    assert 5 <= trio.current_time() / HOUR < 9.5


async def test_a_pause_that_was_withdrawn_does_not_count_as_a_slow_one(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Scans are paused earlier on a scanner that takes long to pause them."""
    found = fakes(takes=6 * HOUR)
    fails(found["a"], "pause", lost(Effect.NONE))
    rules = (blackout(2, 3), attrs.evolve(blackout(5, 6), name="again"))
    async with world(config(tmp_path, blackouts=rules, polling=SPARSE), found) as w:
        task = await w.running("192.0.2.1")
        await w.service.pause(task.task_id, actor="me")
        await trio.sleep(1)
        await w.service.resume(task.task_id, actor="me")
        await w.settled(task.task_id)
        records = await w.queries.history(task.task_id)
    closed = [each.entry.at - EPOCH for each in records if each.entry.event == "closed"]
    assert closed == [pytest.approx(hours * HOUR - 30, abs=30) for hours in (2, 5)]


@pytest.mark.slow
async def test_a_scan_that_stays_paused_for_too_long_is_stopped(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    calendar = CalendarSettings(max_pause=6 * HOUR)
    rules = (blackout(2, 40),)
    found = fakes(takes=4 * HOUR)
    async with world(config(tmp_path, blackouts=rules, calendar=calendar), found) as w:
        task = await w.running("192.0.2.1-192.0.2.8")
        await at(9)
        waiting = await w.task(task.task_id)
        assert waiting.state in {TaskState.QUEUED, TaskState.RETRY_WAIT}
        assert found["a"].active() == []
        done = await w.settled(task.task_id)
    assert (done.state, len(done.reports)) == (TaskState.COMPLETED, 2)
    assert trio.current_time() > 40 * HOUR


async def test_paused_scans_make_room_for_others(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Its two slots are held by scans of a network that is closed for ten hours."""
    rules = (blackout(1, 11, networks=("192.0.2.0/24",)),)
    found = fakes(takes=2 * HOUR)
    async with world(config(tmp_path, blackouts=rules), found) as w:
        held = [await w.submit(f"192.0.2.{number}") for number in (1, 2)]
        await at(3)
        states = [(await w.task(each.task_id)).state for each in held]
        assert states == [TaskState.PAUSED, TaskState.PAUSED]
        other = [await w.submit(f"198.51.100.{number}") for number in (1, 2)]
        for task in other:
            assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        assert trio.current_time() / HOUR < 8  # one after the other
        states = [(await w.task(each.task_id)).state for each in held]
        assert sorted(states) == [TaskState.PAUSED, TaskState.QUEUED]
        assert all([(await w.settled(each.task_id)).state is TaskState.COMPLETED for each in held])
        assert 11 <= trio.current_time() / HOUR < 14


class ShowsStopping(FakeScanner):
    """Shows a scan that was asked to stop as `stopping` until it has stopped, as a Nessus does."""

    asked: frozenset[int] = frozenset()

    async def stop(self, scan_id: int, marks: Marks) -> None:
        await super().stop(scan_id, marks)
        self.asked |= {scan_id}

    def _rows(self) -> list[RemoteScan]:
        return [
            attrs.evolve(row, status=ScanStatus.RUNNING, status_text="stopping")
            if row.scan_id in self.asked and row.status is ScanStatus.PAUSED
            else row
            for row in super()._rows()
        ]


async def test_a_paused_scan_that_is_stopped_was_not_resumed_by_someone(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """That would be an override of the calendar."""
    rules = (blackout(1, 11, networks=("192.0.2.0/24",)),)
    scanner = ShowsStopping(virtual_now(), duration=lambda _order: 2 * HOUR)
    scanner.lag = 300.0
    async with world(config(tmp_path, blackouts=rules), {"a": scanner}) as w:
        held = [await w.submit(f"192.0.2.{number}") for number in (1, 2)]
        await at(3)
        other = await w.submit("198.51.100.1")
        assert (await w.settled(other.task_id)).state is TaskState.COMPLETED
        happened = [event for each in held for event in await w.events(each)]
        assert "stopped_by_calendar" in happened
        assert "resumed_on_scanner" not in happened
        assert not any([(await w.task(each.task_id)).override for each in held])


@pytest.mark.slow
async def test_paused_scans_keep_their_slots_while_nothing_else_may_run(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    rules = (blackout(1, 11),)
    async with world(config(tmp_path, blackouts=rules), fakes(takes=2 * HOUR)) as w:
        held = [await w.submit(f"192.0.2.{number}") for number in (1, 2)]
        await at(3)
        other = await w.submit("198.51.100.1")
        await at(10)
        for task in held:
            assert (await w.task(task.task_id)).state is TaskState.PAUSED
        assert (await w.settled(other.task_id)).state is TaskState.COMPLETED
        assert not any(["stopped_by_calendar" in await w.events(each) for each in held])


@pytest.mark.slow
async def test_a_daemon_that_dies_while_it_stops_a_scan(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    found = fakes(takes=4 * HOUR)
    found["a"].lag = 600.0
    rules = (blackout(2, 5, at_end=AtEnd.STOP),)
    async with world(config(tmp_path, blackouts=rules), found) as w:
        task = await w.running("192.0.2.1-192.0.2.8")
        await at(2.01)
        assert "stopped_by_calendar" in await w.events(task)
    await at(2.5)
    async with world(config(tmp_path, blackouts=rules), found) as w:
        done = await w.settled(task.task_id)
    assert (done.state, len(done.reports)) == (TaskState.COMPLETED, 2)


@pytest.mark.slow
async def test_what_a_person_paused_stays_paused(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(config(tmp_path, blackouts=(blackout(1, 5),)), fakes(takes=3 * HOUR)) as w:
        task = await w.running("192.0.2.1")
        await at(2)
        await w.service.pause(task.task_id, actor="uid:1")
        await at(6)
        assert (await w.queries.task(task.task_id)).task.state is TaskState.PAUSED
        await w.service.resume(task.task_id, actor="uid:1")
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED


@pytest.mark.slow
async def test_a_resume_does_not_override_a_blackout_but_an_operator_may(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(config(tmp_path, blackouts=(blackout(1, 9),)), fakes(takes=3 * HOUR)) as w:
        task = await w.running("192.0.2.1")
        await at(2)
        await w.service.pause(task.task_id, actor="uid:1")
        await w.service.resume(task.task_id, actor="uid:1")
        await at(2.5)
        assert (await w.queries.task(task.task_id)).task.state is TaskState.PAUSED
        await w.service.resume(task.task_id, actor="uid:1", override=True)
        done = await w.settled(task.task_id)
        records = await w.queries.history(task.task_id)
    assert done.state is TaskState.COMPLETED
    assert trio.current_time() < 6 * HOUR
    assert [each.entry.actor for each in records if each.entry.detail.get("override")] == ["uid:1"]


@pytest.mark.slow
async def test_a_scan_that_a_person_resumes_on_the_scanner_runs_on(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    found = fakes(takes=3 * HOUR)
    async with world(config(tmp_path, blackouts=(blackout(1, 9),)), found) as w:
        task = await w.running("192.0.2.1")
        await at(2)
        scan = (await w.queries.task(task.task_id)).task.nessus_scan_id
        assert scan is not None
        found["a"].set_status(found["a"].scans[scan], ScanStatus.RUNNING)
        done = await w.settled(task.task_id)
        assert "resumed_on_scanner" in await w.events(task)
    assert done.state is TaskState.COMPLETED
    assert trio.current_time() < 6 * HOUR


@pytest.mark.slow
async def test_a_restart_in_a_blackout_and_one_after_it(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    found, rules = fakes(takes=3 * HOUR), (blackout(1, 5),)
    async with world(config(tmp_path, blackouts=rules), found) as w:
        task = await w.running("192.0.2.1")
        waiting = await w.submit("192.0.2.1")
    await at(2)  # it has run on while the daemon was down
    async with world(config(tmp_path, blackouts=rules), found) as w:
        await w.until(task.task_id, TaskState.PAUSED)
        assert trio.current_time() < 2 * HOUR + 100
    await at(6)
    async with world(config(tmp_path, blackouts=rules), found) as w:
        await w.until(task.task_id, TaskState.RUNNING)
        assert trio.current_time() < 6 * HOUR + 100
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        assert (await w.settled(waiting.task_id)).state is TaskState.COMPLETED


@pytest.mark.slow
async def test_the_hours_of_a_task(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with world(config(tmp_path), fakes()) as w:
        task = await w.submit("192.0.2.1", between=span(3, 6))
        free = await w.submit("192.0.2.1")
        assert await launched(w, free) == 0
        assert await launched(w, task) == 3
        for between, said in (("sometime", "wrong day"), ("2020-01-01", "within a year")):
            with pytest.raises(RequestError, match=said):
                await w.submit("192.0.2.1", between=between)


@pytest.mark.slow
@pytest.mark.parametrize("restarts", [False, True])
async def test_the_hours_of_a_task_are_kept_where_nothing_else_goes_by_the_clock(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, restarts: bool
) -> None:
    found = fakes(takes=2 * HOUR)
    async with world(config(tmp_path), found) as w:
        await at(2)
        task = await w.submit("192.0.2.1", between=f"{span(1, 3)}; {span(5, 9)}")
        if not restarts:
            await at(3.1)
            assert (await w.task(task.task_id)).state is TaskState.PAUSED
            await w.settled(task.task_id)
        await at(2.5)
    async with world(config(tmp_path), found) as w:
        if restarts:
            await at(3.1)
            assert (await w.task(task.task_id)).state is TaskState.PAUSED
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        assert trio.current_time() / HOUR == pytest.approx(6, abs=0.1)


@pytest.mark.slow
async def test_the_hours_of_a_task_that_is_split(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    sizes = SchedulingSettings(part_min=8, part_max=16)
    async with world(config(tmp_path, scheduling=sizes), fakes()) as w:
        task = await w.submit("192.0.2.0/26", between=span(3, 6))
        await at(2.9)
        assert not await w.store.parts_of(task.task_id)
        await w.settled(task.task_id)
        for part in await w.store.parts_of(task.task_id):
            assert await _entered(w, part, TaskState.RUNNING) >= EPOCH + 3 * HOUR


@pytest.mark.slow
async def test_a_clock_that_is_set_is_followed(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    rules = (window((5, 9)),)
    async with world(config(tmp_path, windows=rules), fakes(), clock_checks=15) as w:
        task = await w.submit("192.0.2.1")
        await at(1)
        wall = w.context.wall
        w.context.wall = lambda: wall() + 5 * HOUR
        await at(1.01)
        assert (await w.queries.task(task.task_id)).task.state is TaskState.RUNNING
        w.context.wall = wall
        await at(1.02)
        assert (await w.queries.task(task.task_id)).task.state is TaskState.PAUSED
        await at(5.3)
        assert (await w.queries.task(task.task_id)).task.state is TaskState.COMPLETED


async def test_a_reload_changes_the_rules(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    before = config(tmp_path, blackouts=(blackout(-1, 50),))
    async with world(before, fakes(takes=2 * HOUR)) as w:
        task = await w.submit("192.0.2.1")
        await at(1)
        await w.fleet.apply(attrs.evolve(before, blackouts=()))
        await at(1.5)
        assert (await w.queries.task(task.task_id)).task.state is TaskState.RUNNING
        await w.fleet.apply(before)
        await at(1.6)
        assert (await w.queries.task(task.task_id)).task.state is TaskState.PAUSED


async def test_a_scan_that_cannot_be_paused_in_time_is_reported(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    found = fakes(takes=3 * HOUR)
    found["a"].lag = 900.0
    rules = (blackout(1, 5),)
    with capture_logs() as lines:
        async with world(config(tmp_path, blackouts=rules), found) as w:
            await _overrun(w)
    (overrun,) = [each for each in lines if each["event"] == "window_overrun"]
    assert overrun["seconds"] == pytest.approx(870, abs=60)


async def _overrun(w: World) -> None:
    task = await w.running("192.0.2.1")
    await at(1.1)
    assert w.fleet.timekeeper.overrun > 200
    await w.until(task.task_id, TaskState.PAUSED)
    await trio.sleep(60)
    assert w.fleet.timekeeper.overrun == 0


@pytest.mark.slow
@pytest.mark.parametrize(("takes", "end"), [(1.2, 5.0), (2.0, 1.2)])
async def test_a_scan_that_is_never_paused_is_reported_too(
    takes: float, end: float, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """It ends in the blackout, or runs right through it."""
    found = fakes(takes=takes * HOUR)
    found["a"].lag = 9 * HOUR
    rules = (blackout(1, end),)
    with capture_logs() as lines:
        async with world(config(tmp_path, blackouts=rules), found, clock_checks=15) as w:
            task = await w.running("192.0.2.1")
            await at(1.1)
            await w.settled(task.task_id)
            await trio.sleep(60)
            assert w.fleet.timekeeper.overrun == 0
    (overrun,) = [each for each in lines if each["event"] == "window_overrun"]
    assert overrun["seconds"] == pytest.approx(0.2 * HOUR, abs=60)


@pytest.mark.slow
async def test_a_rule_that_lets_scans_run_on_does_not_hide_one_that_pauses_them(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    rules = (
        blackout(1, 9, at_end=AtEnd.RUN_ON),
        BlackoutSettings(name="backups", times=(span(3, 4),)),
    )
    async with world(config(tmp_path, blackouts=rules), fakes(takes=8 * HOUR)) as w:
        task = await w.running("192.0.2.1")
        await at(2.9)
        assert (await w.queries.task(task.task_id)).task.state is TaskState.RUNNING
        await at(3)
        await w.until(task.task_id, TaskState.PAUSED)
        assert trio.current_time() < 3 * HOUR + 10
        await at(8.9)
        paused = await w.queries.task(task.task_id)
        assert paused.task.state is TaskState.PAUSED, "one that is paused waits for both"
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED


@pytest.mark.slow
async def test_an_override_is_for_one_scan_only(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    found = fakes(takes=3 * HOUR)
    hours = [BlackoutSettings(name=f"b{begin}", times=(span(begin, end),))
             for begin, end in ((1, 9), (10, 12))]  # fmt: skip
    async with world(config(tmp_path, blackouts=tuple(hours)), found) as w:
        task = await w.running("192.0.2.1")
        await at(2)
        await w.service.resume(task.task_id, actor="uid:1", override=True)
        await w.until(task.task_id, TaskState.RUNNING)
        (scan,) = found["a"].scans.values()
        found["a"].set_status(scan, ScanStatus.ABORTED)
        await at(9.9)
        assert (await w.task(task.task_id)).state is TaskState.RUNNING
        await at(10.5)
        assert (await w.task(task.task_id)).state is TaskState.PAUSED
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
