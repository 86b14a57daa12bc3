"""The plan through its tool."""

from __future__ import annotations

from pathlib import Path

import attrs
import trio

from nessus_sched.api.operations import Call
from nessus_sched.api.schedules.plan import PlanArgs, get_plan
from nessus_sched.config.calendar import CalendarSettings, WindowSettings
from nessus_sched.ipc.peer import Peer
from support.apps import app_of
from support.fake_scanner import FakeScanner
from support.world import config_of, scanner_settings, virtual_now, world


async def test_the_timeline_names_only_what_the_caller_may_see(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config = config_of(
        tmp_path,
        scanner_settings("a", limit=1),
        scanner_settings("b", enabled=False),
        calendar=CalendarSettings(time_zone="Europe/Berlin"),
        windows=(WindowSettings(name="nights", times=("22:00-06:00",), scanners=("b",)),),
    )
    fakes = {each: FakeScanner(virtual_now(), duration=lambda _order: 600.0) for each in "ab"}
    async with world(config, fakes) as w:
        for number in range(5):
            await w.submit(f"192.0.2.{number + 10}")
        await trio.sleep(5000)
        await w.submit("192.0.2.1", name="mine")
        await trio.sleep(20)
        await w.submit("192.0.2.2", name="next")
        app, call = app_of(w), Call(peer=Peer(connection="c1", uid=0))
        plain = await get_plan.fn(app, call, PlanArgs())
        found = await get_plan.fn(app, call, PlanArgs(timeline=True))
        others = attrs.evolve(app, sees=lambda _peer, task: task.request.name != "mine")
        hidden = await get_plan.fn(others, call, PlanArgs(timeline=True))
    assert plain.timeline is None
    assert found.timeline is not None
    assert found.timeline.time_zone == "Europe/Berlin"
    a, b = found.timeline.scanners
    assert [(each.kind, each.name) for each in a.scans] == [
        ("running", "mine"),
        ("waiting", "next"),
    ]
    assert a.scans[0].end == a.scans[1].begin
    assert (a.slots, b.slots) == (1, 0)
    assert [each.reason for each in b.closed] == ["window 'nights'"] * len(b.closed)
    assert b.closed
    assert hidden.timeline is not None
    assert [each.name for each in hidden.timeline.scanners[0].scans] == [None, "next"]
