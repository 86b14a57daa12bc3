"""The largest answers of all tools, with the densest texts that hosts write, have under 10,000
tokens, and say where there is more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call
from nessus_sched.api.tools import ALL_TOOLS
from nessus_sched.api.untrusted import for_model
from nessus_sched.core.masking import Masker
from nessus_sched.ipc.peer import Peer
from nessus_sched.mcp.bounded import bounded
from support import patched_network
from support.dense_texts import dense_texts
from support.ledger_book import INFORMATION
from support.living_app import living_app
from support.nessus_xml import document, element, host, item
from support.tokens import tokens_in

MOST = 10_000
CUT = "because the answer would be too long"
TEXTS = dense_texts(20_000)
PLUGINS = {kind: 300_001 + number for number, kind in enumerate(TEXTS)}
HOSTS = [f"192.0.2.{number}" for number in range(1, 13)]
WIDE = {"profile": "full", "page_size": 1000, "max_bytes": 40_000}
MINIMAL = {**WIDE, "profile": "minimal"}


def dense_report(_network: object, number: int) -> bytes:
    """A report in which every text is long and dense."""
    items = [
        item(
            plugin,
            element("plugin_output", TEXTS[kind]),
            element("solution", TEXTS[kind][:3000]),
            element("synopsis", TEXTS[kind][:600]),
            element("description", TEXTS[kind][:6000]),
            element("risk_factor", "Critical"),
            element("cvss3_base_score", "9.8"),
            element("exploit_available", "true"),
            element("cisa-known-exploited", "2026/01/31"),
            *(element("cve", f"CVE-2026-{plugin % 1000}{each:04}") for each in range(30)),
            severity=4, port=40_000 + number, pluginName=TEXTS[kind][:180].replace("\n", " "),
        )
        for kind, plugin in PLUGINS.items()
    ]  # fmt: skip
    info = item(19506, element("plugin_output", INFORMATION))
    tags = {"host-fqdn": "a-very-long-name-of-a-host.department.example.com"}
    return document(*(host(name, info, *items, tags=tags) for name in HOSTS))


@asynccontextmanager
async def dense_app(directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    monkeypatch.setattr(patched_network, "report", dense_report)
    async with living_app(directory) as (app, _):
        yield app


async def ask(app: App, tool: str, **arguments: Any) -> dict[str, Any]:
    """The answer, which is that of the server, and is short enough."""
    found = ALL_TOOLS.get(tool)
    assert found is not None
    args: Any = validation.parse(found.arguments, arguments)
    value = await found.fn(app, Call(peer=Peer(connection="t", uid=0)), args)
    data, text = validation.answer(value, bounded(lambda answer: for_model(answer, Masker())))
    tokens = tokens_in(text)
    print(f"{tool:<20}{tokens:>7}{len(text.encode()):>8}  {json.dumps(arguments)[:90]}")
    assert tokens <= MOST, (tool, arguments)
    if "next_cursor" in data or "page" in data:  # a page is short by itself, or rows get lost
        assert CUT not in text, (tool, arguments)
    return data


@pytest.mark.slow
async def test_the_largest_answers_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with dense_app(tmp_path, monkeypatch) as app:
        tasks = (await ask(app, "list_tasks", limit=100))["tasks"]
        last, first = tasks[0]["task_id"], tasks[-1]["task_id"]
        both = {"before_task_id": first, "after_task_id": last}
        for asked in ({}, WIDE, MINIMAL, {**WIDE, "profile": "summary"}):
            await ask(app, "get_scan_results", task_id=last, **asked)
            await ask(app, "search_findings", **asked)
            await ask(app, "search_findings", task_ids=[last], **asked)
            for change in ("new", "fixed"):
                await ask(app, "compare_scans", change=change, **both, **asked)
        for by in ("plugin", "host"):
            await ask(app, "get_scan_results", task_id=last, group_by=by, page_size=1000,
                      max_bytes=40_000)  # fmt: skip
            await ask(app, "search_findings", group_by=by, page_size=1000, max_bytes=40_000)
        for detail in ("concise", "full"):
            await ask(app, "get_scan_summary", task_id=last, detail=detail)
        await ask(app, "get_scan_status", task_id=last)
        await ask(app, "list_credentials")
        await ask(app, "get_coverage", targets=["192.0.2.0/24"], limit=500)
        await ask(app, "verify_fix", hosts=HOSTS[:2], dry_run=True)
        await ask(app, "get_plan", hours=744, timeline=True)


@pytest.mark.slow
async def test_each_kind_of_text_is_bounded_and_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with dense_app(tmp_path, monkeypatch) as app:
        task = (await ask(app, "list_tasks"))["tasks"][0]["task_id"]
        for kind, plugin in PLUGINS.items():
            asked = {"task_id": task, "fields": ["plugin_output"], "max_bytes": 40_000}
            about = f"plugin_id={plugin}"
            page = await ask(app, "get_scan_results", filters=[about], **asked)
            assert page["next_cursor"] is not None
            alone = await ask(app, "get_scan_results", filters=[about, f"host={HOSTS[0]}"], **asked)
            (row,) = alone["findings"]
            if "… (+" in row["plugin_output"]:
                assert any("results export" in note for note in alone["notes"]), kind
            if kind == "english":
                assert len(row["plugin_output"]) > 10_000


@pytest.mark.slow
async def test_cut_lists_lead_to_all_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with dense_app(tmp_path, monkeypatch) as app:
        for tool, rows, total, asked in (
            ("get_host", "findings", len(PLUGINS) * 6, {"host": HOSTS[0], "shown": "all"}),
            ("get_changes", "rows", len(PLUGINS) * 6,
             {"since": "2020-01-01T00:00:00Z", "targets": HOSTS[:1]}),
        ):  # fmt: skip
            found = await pages(app, tool, rows, {**asked, "limit": 200})
            assert len(found) == len({json.dumps(row) for row in found}) >= total, tool


async def pages(app: App, tool: str, rows: str, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await ask(app, tool, **asked, **cursor)
        found += page[rows]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    if "total" in page:
        assert len(found) == page["total"]
    return found
