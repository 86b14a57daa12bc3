"""The definition of a schedule says all of it: created again from it, nothing is different."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import COMMAND_LINE, Call
from nessus_sched.api.tools import ALL_TOOLS
from nessus_sched.config.calendar import CalendarSettings
from nessus_sched.config.schema import Config
from nessus_sched.ipc.peer import Peer
from support.apps import app_of
from support.fake_scanner import FakeScanner
from support.living_app import LINUX
from support.world import config_of, scanner_settings, virtual_now, world

DAILY = {"cron": "30 2 * * *"}
CASES: dict[str, dict[str, Any]] = {
    "plain": {"cron": "0 2 * * mon", "scan": {"targets": ["192.0.2.1"]}},
    "quick": {
        "kind": "quick", "every_minutes": 90, "time_zone": "Pacific/Chatham",
        "scan": {"targets": ["192.0.2.0/28"], "discovery": "ports", "exclude": ["192.0.2.3"]},
        "missed": "skip", "overlap": "queue_one", "jitter_minutes": 7, "catch_up_minutes": 0,
    },
    "trusted": {
        **DAILY, "kind": "trusted", "retry_absent": 2, "retry_after_minutes": 30, "max_tasks": 3,
        "scan": {
            "targets": ["198.51.100.7"], "credential": ["linux"],
            "max_runtime_minutes": 90, "priority": "high", "scanner_instance": "east",
            "between": "mon-fri 20:00-06:00", "deadline": "8h", "on_early_end": "keep",
        },
    },
    "custom": {
        **DAILY, "kind": "custom",
        "scan": {
            "targets": ["192.0.2.9"], "template": "advanced", "split": "never", "partial_ok": True,
            "settings": {"portscan_range": "1-1024"}, "description": "a: 'b' # c\n\t\u2028 -",
        },
    },
    "nameless": {**DAILY, "scan": {"targets": ["192.0.2.9"], "name": ""}},
    "named": {**DAILY, "scan": {"targets": ["192.0.2.9"], "name": "null"}},
    "twice": {
        "at": "2027-10-31T02:30:00+01:00", "time_zone": "Europe/Berlin",
        "scan": {"targets": ["192.0.2.9"]},
    },
    "until": {**DAILY, "until": "2031-03-30T02:30", "time_zone": "Europe/Berlin",
              "scan": {"targets": ["192.0.2.9"]}},
}  # fmt: skip


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    calendar = CalendarSettings(catch_up=90.0, model_lifetime=3600.0 * 24 * 400)
    config: Config = config_of(
        tmp_path, scanner_settings("east"), credentials=(LINUX,), calendar=calendar
    )
    async with world(config, {"east": FakeScanner(virtual_now())}) as w:
        yield app_of(w)


async def answer(app: App, tool: str, client: str = COMMAND_LINE, **arguments: Any) -> Any:
    definition = ALL_TOOLS.get(tool)
    assert definition is not None
    args: Any = validation.parse(definition.arguments, arguments)
    call = Call(peer=Peer(connection="c", uid=0), client=client)
    return validation.answer(await definition.fn(app, call, args))[0]


async def defined(app: App, name: str) -> dict[str, Any]:
    (found,) = (await answer(app, "list_schedules", name=name))["schedules"]
    definition: dict[str, Any] = json.loads(json.dumps(found["definition"]))
    return definition


@pytest.mark.parametrize("name", CASES)
async def test_created_again_from_its_definition_nothing_changes(app: App, name: str) -> None:
    assert (await answer(app, "create_schedule", name=name, **CASES[name]))["changed"]
    before = app.schedules.named(name)
    definition = await defined(app, name)
    assert definition["name"] == name
    again = await answer(app, "create_schedule", **definition, replace=True)
    assert not again["changed"]
    await answer(app, "change_schedule", name=name, action="remove")
    assert (await answer(app, "create_schedule", **definition))["changed"]
    after = app.schedules.named(name)
    new = ("schedule_id", "created_at", "decided", "recurrence")
    assert attrs.asdict(after, filter=lambda a, _: a.name not in new) == attrs.asdict(
        before, filter=lambda a, _: a.name not in new
    )
    assert attrs.evolve(after.recurrence, start=0) == attrs.evolve(before.recurrence, start=0)
    assert await defined(app, name) == definition


async def test_what_a_model_created_ends_as_before_when_a_person_applies_it(app: App) -> None:
    await answer(app, "create_schedule", "claude-ai", name="m", **CASES["plain"])
    assert app.schedules.named("m").until is not None
    again = await answer(app, "create_schedule", **await defined(app, "m"), replace=True)
    assert not again["changed"]


async def test_what_is_usual_is_left_out(app: App) -> None:
    await answer(app, "create_schedule", name="plain", **CASES["plain"])
    assert await defined(app, "plain") == {
        "name": "plain", "kind": "basic", "scan": {"targets": ["192.0.2.1"]},
        "cron": "0 2 * * mon", "time_zone": "UTC",
    }  # fmt: skip
