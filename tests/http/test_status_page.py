"""The status page of a scheduler in virtual time."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import attrs
import pytest
import trio

from nessus_sched.config.schema import TargetSettings
from nessus_sched.core.calendar.recurrence import Recurrence
from nessus_sched.core.calendar.schedule import Firing, FiringOutcome, Schedule
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import TaskError
from nessus_sched.http.status_page import POLICY, REFRESH, Overview, render, span
from nessus_sched.telemetry.health import Component, Health, Status
from support.fake_scanner import FakeScanner
from support.world import basic, config_of, scanner_settings, virtual_now, world

EVIL = "<script>alert(1)</script>\u202e"


async def seen(directory: Path) -> Overview:
    """One scanner with a full slot, one that is down, tasks in all places."""
    scanners = [scanner_settings("a", limit=1, name=EVIL), scanner_settings("b", limit=1)]
    fakes = {"a": FakeScanner(virtual_now()), "b": FakeScanner(virtual_now())}
    async with world(config_of(directory, *scanners), fakes) as w:
        await trio.sleep(5)
        running = await w.submit("192.0.2.1", name=f"running {EVIL}")
        waiting = await w.submit("192.0.2.2", name="waiting", scanner_instance="a")
        await trio.sleep(20)
        up, other = w.queries.scanners()
        error = TaskError(kind="x", message=EVIL, transient=False, at=1.0)
        counts = {"critical": 3, "info": 9}
        summary = {"severity_counts": counts, "compliance_counts": {"FAILED": 4, "PASSED": 7}}
        ended = attrs.evolve(running, state=TaskState.DEAD, last_error=error, summary=summary)
        component = Component(status=Status.FAILED, reason=f"disk {EVIL}", since=virtual_now()())
        return Overview(
            at=virtual_now()(),
            version="1.2.3",
            health=Health(components={"store": component}),
            pool=w.queries.statistics(),
            scanners=[up, attrs.evolve(other, trouble=f"down {EVIL}")],
            active=w.queries.active(),
            waiting=[w.queries.view(waiting)],
            ended=[ended],
            dead_letters=1,
            clients=2,
        )


async def test_it_shows_everything_and_escapes_all_of_it(
    tmp_path: Path, autojump_clock: object
) -> None:
    page = render(await seen(tmp_path))
    assert "checks: 4 failed, 7 passed" in page
    for part in ("running", "waiting", "disk", "down", "dead", "<b>1 / 2</b>", "9</span>", "1.2.3"):
        assert part in page
    assert f'http-equiv="refresh" content="{REFRESH}"' in page
    assert "<script" not in page
    assert "\u202e" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5


async def test_running_parts_are_below_their_task(tmp_path: Path, autojump_clock: object) -> None:
    config = config_of(
        tmp_path,
        scanner_settings("a", limit=3),
        targets=TargetSettings(allow=("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")),
    )
    (tmp_path / "other").mkdir()
    overview = await seen(tmp_path / "other")
    async with world(config, {"a": FakeScanner(virtual_now())}) as w:
        await w.submit(*config.targets.allow, name="large")
        await trio.sleep(10)
        page = render(attrs.evolve(overview, active=w.queries.active()))
        alone = render(attrs.evolve(overview, active=w.queries.active()[1:]))
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    (whole,) = [each for each in rows if "<b>large</b>" in each]
    assert "3 parts, 0 done" in whole
    assert [each for each in rows if ">part 2<" in each]
    assert len(re.findall(r">part \d<", page)) == 3
    assert "<b>large</b>" in alone
    assert ">part 2<" not in alone


async def test_it_loads_nothing_and_needs_nothing_but_its_style(
    tmp_path: Path, autojump_clock: object
) -> None:
    page = render(await seen(tmp_path))
    assert not re.search(r"\b(src|style|on[a-z]+)=|url\((?!#)|@import|https?:", page)
    assert "unsafe" not in POLICY
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert POLICY.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (0, "0 s"), (99, "99 s"), (600, "10 min"), (7200, "2 h"), (3e5, "3 d")],
)
def test_spans_are_short(seconds: float, words: str) -> None:
    assert span(seconds) == words


async def test_schedules_show_their_next_and_latest_firing(
    tmp_path: Path, autojump_clock: object
) -> None:
    overview = await seen(tmp_path)
    now = overview.at
    failed = Firing(
        nominal=now - 60, at=now, outcome=FiringOutcome.FAILED, reason=f"not allowed {EVIL}"
    )
    weekly = Schedule(
        schedule_id="s-1",
        name="weekly-web",
        recurrence=Recurrence(cron="0 2 * * mon", zone="Europe/Berlin", start=now),
        request=basic(),
        actor="uid:1",
        created_at=now,
        decided=now,
        catch_up=0.0,
        recent=(failed,),
    )
    assert "Schedules" not in render(overview)
    page = render(attrs.evolve(overview, schedules=[weekly]))
    (row,) = re.findall(r"<tr><td>weekly-web.*?</tr>", page, re.DOTALL)
    assert "02:00 CET" in row
    assert "failed" in row
    assert "<script" not in row
