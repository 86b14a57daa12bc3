"""The plan for the status page: made seldom, and only for those who look."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.daemon.planner import EVERY, OLDEST, PATIENCE, Planner
from nessus_sched.scheduler.plan import Plan
from nessus_sched.scheduler.schedules import Schedules
from nessus_sched.sim.options import SimOptions
from support.fake_scanner import FakeScanner
from support.pages import Pages
from support.plans import night
from support.processes import client, daemon, scanner_yaml, simulators, site
from support.world import config_of, scanner_settings, virtual_now, world


class Counted(Planner):
    """Counts its plans, which are made up because virtual time does not wait for threads; each
    takes a while, and fails if it should."""

    made = 0
    takes = 0.0
    failing = False

    async def make(self, horizon: float) -> Plan:
        self.made += 1
        await trio.sleep(self.takes)
        if self.failing:
            raise StoreUnavailable("disk full")
        return attrs.evolve(night(), begin=trio.current_time())


@asynccontextmanager
async def planning(directory: Path) -> AsyncIterator[Counted]:
    config = config_of(directory, scanner_settings("a", limit=1))
    async with world(config, {"a": FakeScanner(virtual_now())}) as w:
        planner = Counted(w.context, w.queries, Schedules(w.context, w.service))
        await w.submit("192.0.2.1", name="first")
        await w.submit("192.0.2.2", name="second")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(planner.run)
            yield planner
            nursery.cancel_scope.cancel()


async def test_a_plan_has_all_that_waits_and_runs(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with planning(tmp_path) as planner:
        await trio.sleep(10)
        found = await Planner.make(planner, 3600.0)
    assert [each.job.name for each in found.scans] == ["second"]
    (row,) = found.timeline.scanners
    assert [(bar.name, bar.end - bar.begin) for bar in row.bars] == [("first", 3600.0)]


async def test_pages_of_a_minute_share_a_plan(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with planning(tmp_path) as planner:
        await trio.sleep(600)
        assert planner.made == 0
        for _ in range(30):
            assert await planner.recent() is not None
            await trio.sleep(10)
    assert 300 / EVERY <= planner.made <= 300 / EVERY + 1


async def test_a_page_does_not_wait_for_a_slow_plan(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with planning(tmp_path) as planner:
        planner.takes = 20.0
        begin = trio.current_time()
        assert await planner.recent() is None
        assert trio.current_time() - begin == pytest.approx(PATIENCE)
        await trio.sleep(20)
        first = await planner.recent()
        assert first is not None
        await trio.sleep(EVERY + 1)
        begin = trio.current_time()
        assert await planner.recent() is first  # while the next one is made
        assert trio.current_time() == begin


async def test_an_old_plan_is_not_shown(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with planning(tmp_path) as planner:
        first = await planner.recent()
        await trio.sleep(OLDEST)
        second = await planner.recent()
    assert first is not None
    assert second is not None
    assert second.begin >= first.begin + OLDEST


async def test_there_is_no_plan_while_the_store_fails(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with planning(tmp_path) as planner:
        planner.failing = True
        assert await planner.recent() is None
        planner.failing = False
        await trio.sleep(EVERY + 1)
        assert await planner.recent() is not None


@pytest.mark.slow
async def test_the_daemons_status_page_shows_the_plan(tmp_path: Path) -> None:
    pages = Pages()
    freeze = {"name": "freeze", "times": ["2026-01-01 to 2099-12-31"]}
    async with simulators(SimOptions(seed=1)) as (sim,):
        scanners = [scanner_yaml("east", sim)]
        place = site(tmp_path, scanners, http=pages.settings, blackouts=[freeze])
        async with daemon(place), client(place) as tools:
            await tools.call("submit_scan", targets=["192.0.2.1"], name="frozen")
            text = ""
            with trio.move_on_after(30):
                while "east: closed by blackout" not in text:
                    await trio.sleep(0.1)  # a process of its own: it can only be asked again
                    text = (await pages.get("/")).body
    assert "east: closed by blackout &#39;freeze&#39;" in text
    assert "waits for blackout &#39;freeze&#39;" in text
