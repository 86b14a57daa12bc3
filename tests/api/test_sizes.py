"""How large answers get when there is much to say: under 10,000 tokens always, under 4,000
as long as nobody asks for more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call
from nessus_sched.api.tools import TOOLS
from nessus_sched.core.scanner import Unreachable
from nessus_sched.ipc.peer import Peer
from support.apps import app_of
from support.fake_scanner import FakeScanner
from support.tokens import tokens_in
from support.world import World, basic, config_of, scanner_settings, virtual_now, world

SCANNERS = 100
TASKS = 150
USUAL, MOST = 4_000, 10_000
LONG = "long words of a scanner, again and again, " * 20


@asynccontextmanager
async def crowd(directory: Path, **changes: Any) -> AsyncIterator[tuple[World, App]]:
    """A hundred scanners with everything said about them, and hundreds of tasks."""
    names = [f"scanner-with-a-long-name-{number:03}" for number in range(SCANNERS)]
    about = {
        "networks": tuple(f"192.0.2.{number}/32" for number in range(20)),
        "labels": {f"label-{number}": "words " * 5 for number in range(5)},
    }
    settings = [scanner_settings(name, 1, **{**about, **changes}) for name in names]
    config = config_of(directory, *settings)
    async with world(config, {name: FakeScanner(virtual_now()) for name in names}) as w:
        app = app_of(w)
        yield w, app


async def tokens(app: App, name: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
    tool = TOOLS.get(name)
    assert tool is not None
    args: Any = validation.parse(tool.arguments, arguments)
    data, text = validation.answer(await tool.fn(app, Call(peer=Peer(connection="t")), args))
    return tokens_in(text), data


async def fill(w: World) -> None:
    for number in range(TASKS):
        request = basic(
            *(f"192.0.2.{each}" for each in range(0, 20, 2)),
            name=f"{number} {'ü' * 90}",
            description="d" * 1000,
            scanner_instance=f"scanner-with-a-long-name-{number % 3:03}",
        )
        await w.service.submit(request, actor="uid:1000")


@pytest.mark.slow
async def test_lists_are_small_unless_more_is_asked_for_and_lead_to_all_there_is(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with crowd(tmp_path) as (w, app):
        await fill(w)
        for driver in w.fleet.drivers.values():
            driver.connection.troubled(Unreachable(LONG))
        for name in ("list_tasks", "list_scanners", "get_queue_status", "list_dead_letters"):
            usual, most = (await tokens(app, name))[0], (await tokens(app, name, limit=100))[0]
            print(f"{name:<24}{usual:>7}{most:>7}")
            assert usual < USUAL, name
            assert most < MOST, name
        assert len(await walked(app, "list_scanners", "scanners")) == SCANNERS
        tasks = await walked(app, "list_tasks", "tasks")
        assert len(tasks) == TASKS
        assert (await tokens(app, "get_scan_status", task_id=tasks[0]["task_id"]))[0] < USUAL
        _, queue = await tokens(app, "get_queue_status", limit=5)
        assert len(queue["waiting"]) == 5
        assert f"{queue['queued'] - 5} more waiting" in queue["notes"][-1]


async def walked(app: App, tool: str, rows: str) -> list[dict[str, Any]]:
    """All rows, page by page; each comes once."""
    seen: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        _, page = await tokens(app, tool, limit=100, **cursor)
        seen += page[rows]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len({str(row) for row in seen}) == len(seen)
    return seen
