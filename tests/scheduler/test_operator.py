"""What operators switch: at once, and still after a restart."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import structlog
import trio

from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.states import TaskState
from nessus_sched.scheduler.errors import RequestError, StoreDown
from nessus_sched.scheduler.operator import OperatorControls
from support.fake_scanner import FakeScanner
from support.mortality import Life, mortal_connect
from support.world import World, config_of, scanner_settings, virtual_now, world

LONG = 10_000.0


def operator(w: World) -> OperatorControls:
    return OperatorControls(w.context, w.fleet)


@pytest.mark.slow
async def test_a_draining_scanner_finishes_what_runs_and_starts_no_more(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config = config_of(tmp_path, scanner_settings("a", 1))
    async with world(config, {"a": FakeScanner(virtual_now())}) as w:
        first = await w.submit("192.0.2.1")
        second = await w.submit("192.0.2.2")
        await w.until(first.task_id, TaskState.RUNNING)
        await operator(w).switch("a", "drain", actor="test")
        assert (await w.settled(first.task_id)).state is TaskState.COMPLETED
        await trio.sleep(LONG)
        view = await w.queries.task(second.task_id)
        assert view.task.state is TaskState.QUEUED
        assert view.standing.wait_reason is not None
        assert "drain" in view.standing.wait_reason.text
        await operator(w).switch("a", "undrain", actor="test")
        assert (await w.settled(second.task_id)).state is TaskState.COMPLETED


@pytest.mark.slow
async def test_a_scanner_is_drained_at_a_time(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Shortly before, only what should end in time is started; what runs runs on; a restart in
    between changes nothing."""
    config = config_of(tmp_path, scanner_settings("a", 1))
    fake = {"a": FakeScanner(virtual_now(), duration=lambda _order: 3600.0)}
    async with world(config, fake) as w:
        for number in range(4):  # until it is known how long scans take
            await w.settled((await w.submit(f"192.0.2.{number + 1}")).task_id)
        await operator(w).plan_drain("a", "90m", "4h", actor="test")
        fits = await w.submit("192.0.2.1")
        late = await w.submit("192.0.2.2")
        await w.settled(fits.task_id)
        await trio.sleep(60)
        (view,) = w.queries.scanners()
        assert view.drain is not None
        assert view.drain.end == pytest.approx(view.drain.begin + 4 * 3600, abs=60)
        reason = (await w.queries.task(late.task_id)).standing.wait_reason
        assert reason is not None
        assert reason.code is WaitCode.WINDOW
    async with world(config, fake) as w:
        await operator(w).restore()
        await trio.sleep(3600)
        reason = (await w.queries.task(late.task_id)).standing.wait_reason
        assert reason is not None
        assert "a planned drain does not allow scans until" in reason.text
        began = trio.current_time()
        done = await w.settled(late.task_id)
        assert done.state is TaskState.COMPLETED
        assert trio.current_time() - began > 3600
        (view,) = w.queries.scanners()
        assert view.drain is None


@pytest.mark.slow
async def test_a_drain_without_an_end_is_ended_by_hand(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config = config_of(tmp_path, scanner_settings("a", 1))
    async with world(config, {"a": FakeScanner(virtual_now())}) as w:
        await operator(w).plan_drain("a", "1h", None, actor="test")
        running = await w.submit("192.0.2.1")
        await trio.sleep(3601)
        assert (await w.task(running.task_id)).state is TaskState.COMPLETED
        waiting = await w.submit("192.0.2.2")
        await trio.sleep(LONG)
        reason = (await w.queries.task(waiting.task_id)).standing.wait_reason
        assert reason is not None
        assert reason.text.endswith("until it is undrained")
        await operator(w).switch("a", "undrain", actor="test")
        assert (await w.settled(waiting.task_id)).state is TaskState.COMPLETED
    async with world(config, {"a": FakeScanner(virtual_now())}) as w:
        await operator(w).restore()
        assert not w.context.drains


@pytest.mark.parametrize(
    ("begin", "end"), [("soon", None), ("18:00", "2020-01-01"), ("2020-01-01", None), (None, "0h")]
)
async def test_bad_times_of_a_drain(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, begin: str | None, end: str | None
) -> None:
    config = config_of(tmp_path, scanner_settings("a", 1))
    async with world(config, {"a": FakeScanner(virtual_now())}) as w:
        with pytest.raises(RequestError) as refused:
            await operator(w).plan_drain("a", begin, end, actor="test")
        assert refused.value.code == "bad_time"
        assert not w.context.drains


async def test_an_action_is_logged_with_who_did_what(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config = config_of(tmp_path, scanner_settings("a"))
    with structlog.testing.capture_logs() as lines:
        async with world(config, {"a": FakeScanner(virtual_now())}) as w:
            await operator(w).switch("a", "drain", actor="alice")
            await operator(w).pause_all("keep", actor="bob")
    told = [line for line in lines if line["event"] == "operator_action"]
    known = {"event": "operator_action", "log_level": "info"}
    assert told == [
        {**known, "action": "drain", "actor": "alice", "scanner_instance": "a"},
        {**known, "action": "pause_all", "actor": "bob", "running": "keep"},
    ]


@pytest.mark.slow
@pytest.mark.parametrize("action", ["drain", "disable"])
async def test_a_switch_is_remembered_over_a_restart(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, action: str
) -> None:
    config = config_of(tmp_path, scanner_settings("a"), scanner_settings("b"))
    scanners = {"a": FakeScanner(virtual_now()), "b": FakeScanner(virtual_now())}
    async with world(config, scanners) as w:
        await operator(w).switch("a", action, actor="test")
        await operator(w).switch("b", action, actor="test")
        back = "undrain" if action == "drain" else "enable"
        await operator(w).switch("b", back, actor="test")
    async with world(config, scanners, seed=1) as w:
        await operator(w).restore()
        for number in range(1, 5):
            task = await w.submit(f"192.0.2.{number}")
            await w.settled(task.task_id)
    assert not scanners["a"].launches
    assert scanners["b"].launches.total() == 4


@pytest.mark.slow
async def test_a_global_pause_holds_over_a_restart_until_it_is_lifted(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config = config_of(tmp_path, scanner_settings("a"))
    scanner = FakeScanner(virtual_now())
    async with world(config, {"a": scanner}) as w:
        running = await w.submit("192.0.2.1")
        await w.until(running.task_id, TaskState.RUNNING)
        assert await operator(w).pause_all("stop", actor="test") == 1
        assert (await w.settled(running.task_id)).state is TaskState.CANCELED
    async with world(config, {"a": scanner}, seed=1) as w:
        await operator(w).restore()
        task = await w.submit("192.0.2.2")
        await trio.sleep(LONG)
        assert (await w.task(task.task_id)).state is TaskState.QUEUED
        await operator(w).resume_all(actor="test")
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED


async def test_a_task_submitted_during_a_global_pause_starts_after_those_that_waited_longer(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config = config_of(tmp_path, scanner_settings("a", 1))
    scanner = FakeScanner(virtual_now())
    async with world(config, {"a": scanner}) as w:
        await w.running("192.0.2.1")
        earlier = [await w.submit(f"192.0.2.{number}") for number in range(2, 8)]
        await operator(w).pause_all("stop", actor="test")
        await trio.sleep(60)
        later = [await w.submit(f"192.0.2.{number}") for number in range(8, 10)]
        await operator(w).resume_all(actor="test")
        began = []
        for task in (*earlier, *later):
            done = await w.settled(task.task_id)
            began.append(done.entered[TaskState.LAUNCHING])
    assert began == sorted(began)


async def test_what_was_paused_with_everything_goes_on_with_everything(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config = config_of(tmp_path, scanner_settings("a", 3))
    scanner = FakeScanner(virtual_now())
    async with world(config, {"a": scanner}) as w:
        together, alone, twice = [await w.running(f"192.0.2.{number}") for number in (1, 2, 3)]
        await w.service.pause(alone.task_id, actor="ann")
        await w.until(alone.task_id, TaskState.PAUSED)
        assert await operator(w).pause_all("pause", actor="op") == 2
        for task in (together, twice):
            await w.until(task.task_id, TaskState.PAUSED)
        await w.service.resume(twice.task_id, actor="ann")
        await w.service.pause(twice.task_id, actor="ann")
    async with world(config, {"a": scanner}, seed=1) as w:  # it is remembered over a restart
        await operator(w).restore()
        await operator(w).resume_all(actor="op")
        assert await w.service.resume_halted(actor="op") == 1
        assert await w.service.resume_halted(actor="op") == 0
        assert (await w.settled(together.task_id)).state is TaskState.COMPLETED
        for task in (alone, twice):
            assert (await w.task(task.task_id)).desired == "pause"


async def test_a_launch_that_was_paused_with_everything_is_launched_later(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config = config_of(tmp_path, scanner_settings("a", 1))
    scanner = FakeScanner(virtual_now())
    async with world(config, {"a": scanner}) as w:
        task = await w.submit("192.0.2.1")
        await w.until(task.task_id, TaskState.LAUNCHING)
        assert await operator(w).pause_all("pause", actor="op") == 1
        await trio.sleep(LONG)
        assert (await w.task(task.task_id)).state is not TaskState.RUNNING
        await operator(w).resume_all(actor="op")
        assert await w.service.resume_halted(actor="op") == 1
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED


async def test_what_does_not_exist_is_refused_with_what_does(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config = config_of(tmp_path, scanner_settings("east"))
    async with world(config, {"east": FakeScanner(virtual_now())}) as w:
        with pytest.raises(RequestError, match="did you mean 'east'"):
            await operator(w).switch("est", "drain", actor="test")
        with pytest.raises(RequestError, match="did you mean 'drain'"):
            await operator(w).switch("east", "drian", actor="test")
        with pytest.raises(RequestError, match="keep"):
            await operator(w).pause_all("kep", actor="test")


async def test_what_cannot_be_noted_is_not_switched(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    life, config = Life(), config_of(tmp_path, scanner_settings("a"))
    connect = mortal_connect(life, lambda _what, _moment: None)
    async with world(config, {"a": FakeScanner(virtual_now())}, connect=connect) as w:
        life.disk_fails = True
        with pytest.raises(StoreDown):
            await operator(w).switch("a", "drain", actor="test")
        with pytest.raises(StoreDown):
            await operator(w).pause_all("keep", actor="test")
        life.disk_fails = False
        await trio.sleep(60)
        task = await w.submit("192.0.2.1")
        assert (await w.settled(task.task_id, within=1000)).state is TaskState.COMPLETED


@pytest.mark.parametrize("back", [False, True])
async def test_a_configuration_that_enables_a_scanner_counts_after_a_restart_too(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, back: bool
) -> None:
    """It says so after the operator had disabled it, or brings the scanner back."""
    a, b = scanner_settings("a", 1), scanner_settings("b", 1)
    config = config_of(tmp_path, a, b)
    fakes = {name: FakeScanner(virtual_now()) for name in "ab"}

    def enabled(w: World) -> bool:
        return w.queries.scanners()[0].statistics.enabled

    async with world(config, fakes) as w:
        await w.operator.switch("a", "disable", actor="op")
        off = (b,) if back else (attrs.evolve(a, enabled=False), b)
        await w.operator.configure(attrs.evolve(config, scanners=off))
        await trio.sleep(10)
        assert back or not enabled(w)
        await w.operator.configure(config)
        assert enabled(w)
    async with world(config, fakes) as w:
        await w.operator.restore()
        assert enabled(w)


async def test_a_scanner_that_was_drained_and_comes_back_is_drained_at_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """And not only after the next restart."""
    a, b = scanner_settings("a", 1), scanner_settings("b", 1)
    config = config_of(tmp_path, a, b)
    fakes = {name: FakeScanner(virtual_now()) for name in "ab"}
    async with world(config, fakes) as w:
        await w.operator.switch("a", "drain", actor="op")
        await w.operator.configure(attrs.evolve(config, scanners=(b,)))
        await trio.sleep(10)
        assert list(w.fleet.drivers) == ["b"]
        await w.operator.configure(config)
        views = {each.settings.id: each.statistics for each in w.queries.scanners()}
        assert views["a"].draining
        await w.operator.switch("a", "undrain", actor="op")
        await w.operator.configure(attrs.evolve(config, scanners=(b,)))
        await trio.sleep(10)
        await w.operator.configure(config)
        views = {each.settings.id: each.statistics for each in w.queries.scanners()}
        assert not views["a"].draining
