"""A daemon that a client started ends when there is nothing left to do."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import attrs
import trio

from nessus_sched.config.limits import LimitSettings
from nessus_sched.core.calendar.recurrence import Recurrence
from nessus_sched.core.calendar.schedule import Schedule
from nessus_sched.daemon.lifecycle import end_when_idle
from nessus_sched.ipc.listener import Connections
from nessus_sched.scheduler.schedules import Schedules
from support.fake_scanner import FakeScanner
from support.world import World, basic, config_of, scanner_settings, virtual_now, world


def system(w: World, schedules: Schedules) -> Any:
    w.context.config = attrs.evolve(w.context.config, limits=LimitSettings(idle_exit=60.0))
    connections = Connections()
    connections.started()
    return SimpleNamespace(context=w.context, connections=connections, schedules=schedules)


async def ends(running: Any, within: float) -> bool:
    with trio.move_on_after(within), trio.CancelScope() as stop:
        await end_when_idle(cast(Any, running), stop)
    return stop.cancel_called


async def test_it_waits_for_tasks_and_schedules(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    found = {"a": FakeScanner(virtual_now())}
    async with world(config_of(tmp_path, scanner_settings("a")), found) as w:
        schedules = Schedules(w.context, w.service)
        running, now = system(w, schedules), w.context.wall()
        await schedules.add(
            Schedule(
                schedule_id="",
                name="weekly",
                recurrence=Recurrence(cron="0 2 * * mon", start=now),
                request=basic(),
                actor="uid:1",
                created_at=now,
                decided=now,
                catch_up=0.0,
            )
        )
        assert not await ends(running, 600)
        await schedules.change("weekly", "uid:1", "paused", paused=True)
        task = await w.submit()
        assert not await ends(running, 300)
        await w.settled(task.task_id)
        assert await ends(running, 600)
