"""Schedules through the tools: who may do what, and what models are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from trio.testing import MockClock

from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.schedules.tools import (
    ChangeArgs,
    CreateArgs,
    ListSchedulesArgs,
    ScheduleAction,
    change_schedule,
    create_schedule,
    list_schedules,
)
from nessus_sched.config.calendar import CalendarSettings
from nessus_sched.ipc.peer import Peer
from support.apps import app_of
from support.world import one_scanner

DAY = 86400.0


def call(uid: int = 1000, client: str = "claude-ai") -> Call:
    return Call(peer=Peer(connection="c1", uid=uid), client=client)


def wanted(name: str = "weekly", **changes: Any) -> CreateArgs:
    usual: dict[str, Any] = {"scan": {"targets": ["192.0.2.1"]}, "cron": "0 2 * * mon"}
    return CreateArgs(name=name, **{**usual, **changes})


async def create(app: App, args: CreateArgs, caller: Call | None = None) -> Any:
    return await create_schedule.fn(app, caller or call(), args)


@pytest.mark.slow
async def test_a_schedule_says_who_created_it_and_through_what(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, _):
        app = app_of(w)
        await create(app, wanted(time_zone="Europe/Berlin"))
        (found,) = (await list_schedules.fn(app, call(), ListSchedulesArgs())).schedules
    assert "uid:1000" in found.created_by
    assert found.client == "claude-ai"
    assert found.when == "At 02:00 on Monday (Europe/Berlin)"
    assert found.recent == []
    assert found.definition is None


async def test_schedules_of_models_end_if_the_configuration_says_so(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, _):
        app = app_of(w)
        w.context.config = attrs.evolve(
            w.context.config, calendar=CalendarSettings(model_lifetime=30 * DAY)
        )
        by_model = await create(app, wanted("model"))
        by_person = await create(app, wanted("person"), call(client="nessus-sched"))
        assert by_person.schedule.ends is None
        assert by_model.schedule.ends is not None
        assert len(by_model.schedule.next) < 5
        until = app.schedules.named("model").until
        assert until == pytest.approx(w.context.wall() + 30 * DAY, abs=DAY)


async def test_others_may_not_change_it(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, _):
        app = attrs.evolve(app_of(w), manages=lambda peer, task: task.actor == f"uid:{peer.uid}")
        await create(app, wanted())
        for action in ScheduleAction:
            with pytest.raises(ToolError, match="another user's"):
                await change_schedule.fn(app, call(7), ChangeArgs(name="weekly", action=action))
        with pytest.raises(ToolError, match="another user's"):
            await create(app, wanted(replace=True), call(7))
        by_id = app.schedules.named("weekly").schedule_id
        with pytest.raises(ToolError, match="another user's"):
            await change_schedule.fn(
                app, call(7), ChangeArgs(name=by_id, action=ScheduleAction.REMOVE)
            )
        await change_schedule.fn(
            app, call(), ChangeArgs(name="weekly", action=ScheduleAction.REMOVE)
        )
        assert app.schedules.all() == []


async def test_what_a_role_may_not_see_or_submit(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, _):
        app = app_of(w)
        await create(app, wanted())
        blind = attrs.evolve(app, sees=lambda _peer, _task: False)
        assert (await list_schedules.fn(blind, call(7), ListSchedulesArgs())).schedules == []
        without = attrs.evolve(app, may_submit=lambda _peer, _kind: False)
        with pytest.raises(ToolError, match="submit_scan"):
            await create(without, wanted("other"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scan": {}}, "targets"),
        (
            {"scan": {"targets": ["192.0.2.1"], "idempotency_key": "k"}},
            "does not apply to a schedule",
        ),
        ({"scan": {"targets": ["192.0.2.1"], "credential": "x"}}, "credential"),
        ({"scan": {"targets": ["203.0.113.1"]}}, "not allowed"),
        ({"cron": None}, "exactly one of"),
        ({"every_minutes": 60}, "exactly one of"),
        ({"until": "soon"}, "is not a time"),
        ({"cron": None, "at": "2020-01-01"}, "in the past"),
        ({"time_zone": "Nowhere/City"}, "no time zone"),
    ],
)
async def test_bad_input_is_refused_and_nothing_is_stored(
    changes: dict[str, Any], said: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, _):
        app = app_of(w)
        with pytest.raises(ToolError, match=f"(?i){said}"):
            await create(app, wanted(**changes))
        assert app.schedules.all() == []


async def test_a_single_time_that_is_over_can_be_applied_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, _):
        app = app_of(w)
        at = "2027-03-01T00:00:00+00:00"
        await create(app, wanted("once", cron=None, at=at))
        schedule = app.schedules.named("once")
        assert schedule.recurrence.at is not None
        start, w.context.wall = w.context.wall(), lambda: start + 400 * DAY
        again = await create(app, wanted("once", cron=None, at=at, replace=True))
        assert again.changed is False


@pytest.mark.slow
async def test_long_lists_are_paged(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, _):
        app = app_of(w)
        names = [f"weekly-{number}" for number in range(45)]
        for name in names:
            await create(app, wanted(name))
        found: list[str] = []
        pages, cursor = 0, ""
        while cursor is not None:
            args = ListSchedulesArgs(cursor=cursor or None)
            page = await list_schedules.fn(app, call(), args)
            found += [each.name for each in page.schedules]
            assert len(json.dumps(attrs.asdict(page))) < 20_000
            pages, cursor = pages + 1, page.next_cursor
        assert found == names
        assert pages >= 3
        with pytest.raises(ToolError, match="cursor"):
            await list_schedules.fn(app, call(), ListSchedulesArgs(cursor="x"))


async def test_a_schedule_that_cannot_fire_says_why(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, _):
        app = app_of(w)
        await create(app, wanted(time_zone="Europe/Berlin"))
        schedule = app.schedules.named("weekly")
        lost = attrs.evolve(schedule.recurrence, zone="Mars/Base")
        await app.schedules.change("weekly", "uid:1", "moved", recurrence=lost)
        (found,) = (await list_schedules.fn(app, call(), ListSchedulesArgs())).schedules
    assert found.status == "broken"
    assert found.trouble == "its time zone 'Mars/Base' is not known on this machine"
