"""Many findings are counted by plugin before they are listed, and no text is said twice."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.outcomes.overview import listed
from nessus_sched.api.outcomes.search import SearchArgs
from nessus_sched.api.tools import TOOLS
from nessus_sched.ipc.peer import Peer
from nessus_sched.results.query.model import BadQuery, Query
from nessus_sched.results.query.page import Page
from support.assistant import tokens
from support.living_app import living_app

USUAL = 1_000
"""Tokens of a usual answer."""
TEXTS = {"synopsis", "description", "solution"}


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    async with living_app(tmp_path) as (app, _):
        yield app


async def ask(app: App, name: str, **arguments: Any) -> dict[str, Any]:
    tool = TOOLS.get(name)
    assert tool is not None
    args: Any = validation.parse(tool.arguments, arguments)
    answer = await tool.fn(app, Call(peer=Peer(connection="t", uid=0)), args)
    found: dict[str, Any] = validation.answer(answer)[0]
    return found


async def every(app: App, name: str, **arguments: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """All rows and the notes of the first page."""
    page = first = await ask(app, name, **arguments)
    rows = list(page["findings"])
    while page["next_cursor"]:
        page = await ask(app, name, **arguments, cursor=page["next_cursor"])
        assert (page["total"], page["groups_total"]) == (first["total"], first["groups_total"])
        rows += page["findings"]
    return rows, first["notes"]


async def asked_of(app: App, name: str) -> dict[str, Any]:
    if name == "search_findings":
        return {}
    tasks = (await ask(app, "list_tasks", states=["completed"]))["tasks"]
    return {"task_id": tasks[-1]["task_id"]}


@pytest.mark.parametrize("name", ["search_findings", "get_scan_results"])
async def test_many_findings_come_by_plugin_and_can_be_listed(app: App, name: str) -> None:
    about = await asked_of(app, name)
    rows, _ = await every(app, name, **about, profile="minimal", page_size=100)
    hosts: dict[int, set[str]] = defaultdict(set)
    for row in rows:
        hosts[row["plugin_id"]].add(row["host"])
    assert len(rows) > 20

    first = await ask(app, name, **about)
    assert tokens(json.dumps(first, separators=(",", ":"), ensure_ascii=False)) < USUAL
    assert (first["total"], first["groups_total"]) == (len(rows), len(hosts))
    assert len(first["findings"]) == min(8, len(hosts))
    assert all("solution" not in row for row in first["findings"])
    groups, notes = await every(app, name, **about)
    assert {row["plugin_id"]: row["hosts"] for row in groups} == {
        plugin: len(found) for plugin, found in hosts.items()
    }
    assert f"{len(rows)} findings of {len(hosts)} plugins" in " ".join(notes)
    for plugin in hosts:
        listed, _ = await every(app, name, **about, filters=[f"plugin_id={plugin}"])
        assert {row["host"] for row in listed} == hosts[plugin]


@pytest.mark.parametrize("name", ["search_findings", "get_scan_results"])
async def test_who_says_how_to_list_gets_a_list(app: App, name: str) -> None:
    about = await asked_of(app, name)
    for how in ({"page_size": 21}, {"profile": "brief"}, {"fields": ["host"]}, {"sort": ["host"]}):
        found = await ask(app, name, **about, **how)
        assert all("hosts" not in row and "host" in row for row in found["findings"]), how
    several = {"filters": ["plugin_id>0"], "max_bytes": 2000}
    found = await ask(app, name, **about, **several)
    assert found["next_cursor"]
    assert all("host" in row for row in found["findings"])
    few = await ask(app, name, **about, filters=["severity=critical"])
    assert few["findings"]
    assert all("host" in row for row in few["findings"])
    with pytest.raises(ToolError) as caught:
        await ask(app, name, **about, cursor="x")
    assert caught.value.code == "bad_query"


@pytest.mark.parametrize("cursor", [None, "c"])
async def test_findings_of_one_plugin_are_listed_page_by_page(cursor: str | None) -> None:
    list_page = Page(rows=({"host": "192.0.2.1"},), total=60, severities={}, next_cursor="d")

    async def read(query: Query) -> Page:
        if query.group_by is None:
            return list_page
        if query.cursor is not None:
            raise BadQuery("cursor: belongs to another question")
        return Page(rows=({"plugin_id": 1, "hosts": 60},), total=60, severities={}, groups=1)

    assert await listed(SearchArgs(), Query(cursor=cursor), read) == list_page


@pytest.mark.parametrize("name", ["search_findings", "get_scan_results"])
async def test_texts_of_a_plugin_come_once_a_page(app: App, name: str) -> None:
    about = await asked_of(app, name)
    found = await ask(app, name, **about, profile="brief", filters=["severity>=low"], page_size=50)
    seen = set()
    again = 0
    for row in found["findings"]:
        assert (row["plugin_id"] in seen) is TEXTS.isdisjoint(row)
        again += row["plugin_id"] in seen
        seen.add(row["plugin_id"])
    assert again
    assert any("first row" in note for note in found["notes"])
    whole = await ask(app, name, **about, fields=["solution", "host"], page_size=50)
    assert all("solution" in row for row in whole["findings"])
