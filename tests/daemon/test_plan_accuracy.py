"""Plans measured in a scheduler in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.config.schema import Config
from nessus_sched.core.calendar import accuracy
from nessus_sched.core.calendar.accuracy import Side
from nessus_sched.core.calendar.recurrence import Recurrence
from nessus_sched.core.calendar.schedule import Schedule
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.daemon.plan_accuracy import FIRST, MEASURED, PlanAccuracy
from nessus_sched.daemon.planner import Planner
from nessus_sched.scheduler.plan import Plan
from nessus_sched.scheduler.schedules import Schedules
from nessus_sched.telemetry.metrics import Metrics
from support.fake_scanner import FakeScanner
from support.world import World, basic, config_of, scanner_settings, virtual_now, world

HOUR = 3600.0


@pytest.fixture(autouse=True)
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtual time does not wait for threads."""

    async def called(function: Callable[..., Any], *args: Any, **_: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return function(*args)

    monkeypatch.setattr(trio.to_thread, "run_sync", called)


class Measuring:
    """Everything that measures, and a schedule that fires every hour."""

    def __init__(self, w: World) -> None:
        self.w = w
        self.metrics = Metrics("0")
        self.schedules = Schedules(w.context, w.service)
        self.planner = Planner(w.context, w.queries, self.schedules)
        self.accuracy = PlanAccuracy(w.context, self.planner, self.metrics.observe_plan)

    async def hourly(self) -> None:
        now = self.w.context.wall()
        await self.schedules.add(
            Schedule(
                schedule_id="",
                name="hourly",
                recurrence=Recurrence(every=HOUR, start=now + 1800),
                request=basic("192.0.2.1"),
                actor="uid:1",
                created_at=now,
                decided=now,
                catch_up=0.0,
            )
        )

    def counted(self, side: Side, within: str) -> float:
        name = f"nessus_plan_{side}s_total"
        return self.metrics.registry.get_sample_value(name, {"within": within}) or 0.0


@asynccontextmanager
async def measuring(w: World) -> AsyncIterator[Measuring]:
    made = Measuring(w)
    await made.schedules.restore()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.schedules.run)
        nursery.start_soon(made.accuracy.run)
        yield made
        nursery.cancel_scope.cancel()


def setup(directory: Path, takes: float = 600.0) -> tuple[Config, dict[str, Any]]:
    scanner = FakeScanner(virtual_now(), duration=lambda _order: takes)
    return config_of(directory, scanner_settings("a")), {"a": scanner}


async def learn(w: World) -> None:
    """Scans from which durations are known."""
    for number in range(6):
        await w.submit(f"192.0.2.{number + 10}")
    await trio.sleep(HOUR)


async def test_a_steady_fleet_keeps_to_its_plans(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From nine to three: two nights."""
    monkeypatch.setattr(accuracy, "LEAST", 2)
    config, scanners = setup(tmp_path)
    async with world(config, scanners) as w:
        await learn(w)
        async with measuring(w) as found:
            await found.hourly()
            await trio.sleep(6 * HOUR)
            assert [found.counted(side, "true") for side in Side] == [5, 5]
            assert [found.counted(side, "false") for side in Side] == [0, 0]
            said = found.accuracy.sentence()
        entries = await journaled(w)
        async with measuring(w) as restarted:
            await trio.sleep(FIRST / 2)
            assert restarted.accuracy.sentence() is not None
    assert said == (
        "In the last 2 nights, 100 % of the scans started and 100 % ended within their intervals."
    )
    assert entries == [
        {"night": "2027-01-14", "starts": 2, "starts_within": 2, "ends": 2, "ends_within": 2}
    ]


@pytest.mark.slow
async def test_scans_that_come_in_between_are_seen_as_misses(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config, scanners = setup(tmp_path)
    async with world(config, scanners) as w:
        await learn(w)
        async with measuring(w) as found:
            await found.hourly()
            await trio.sleep(HOUR)
            for number in range(16):  # more than an hour, with both slots
                await w.submit(f"192.0.2.{number + 100}")
            await trio.sleep(2 * HOUR)
            assert [found.counted(side, "false") for side in Side] == [1, 1]


@pytest.mark.slow
async def test_a_canceled_task_is_no_miss(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config, scanners = setup(tmp_path, takes=0.5 * HOUR)
    async with world(config, scanners) as w:
        await learn(w)
        await trio.sleep(HOUR)
        async with measuring(w) as found:
            await found.hourly()
            first = [await w.submit(f"192.0.2.{number + 100}") for number in range(4)]
            await trio.sleep(FIRST + 1)
            for task in first:
                await w.service.cancel(task.task_id, actor="uid:1")
            await found.schedules.change("hourly", "uid:1", "paused", paused=True)
            await trio.sleep(3 * HOUR)
            assert [found.counted(side, "false") for side in Side] == [0, 0]


@pytest.mark.slow
async def test_what_changes_while_a_plan_is_made_is_not_measured(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config, scanners = setup(tmp_path)
    async with world(config, scanners) as w:
        await learn(w)
        found = Measuring(w)
        await found.hourly()
        for number in range(3):
            await w.submit(f"192.0.2.{number + 100}")
        make = found.planner.make

        async def slowly(horizon: float) -> Plan:
            plan = await make(horizon)
            await trio.sleep(HOUR)
            return plan

        found.planner.make = slowly  # type: ignore[method-assign]
        await found.accuracy.look()
        await trio.sleep(HOUR)
        await found.accuracy.look()
        assert [found.counted(side, "false") for side in Side] == [0, 0]


async def test_nothing_is_planned_without_a_calendar(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config, scanners = setup(tmp_path)
    async with world(config, scanners) as w:
        found = Measuring(w)
        await w.submit("192.0.2.1")
        found.planner.make = None  # type: ignore[assignment,method-assign]
        await found.accuracy.look()
        await found.hourly()
        with pytest.raises(TypeError):
            await found.accuracy.look()


@pytest.mark.slow
async def test_a_night_is_journaled_when_the_store_is_back(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, scanners = setup(tmp_path)

    async def failing(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("disk full")

    async with world(config, scanners) as w:
        await learn(w)
        async with measuring(w) as found:
            await found.hourly()
            with monkeypatch.context() as patched:
                patched.setattr(w.context.store, "note", failing)
                await trio.sleep(4 * HOUR)
            assert await journaled(w) == []
            await trio.sleep(HOUR)
            assert len(await journaled(w)) == 1


async def journaled(w: World) -> list[Mapping[str, Any]]:
    records = await w.store.journal(limit=10_000)
    return [each.entry.detail for each in records if each.entry.event == MEASURED]
