"""What the tools cost a model before it has called one: `pytest -s` prints the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mcp import Client
from trio.testing import MockClock

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call
from nessus_sched.api.tools import ALL_TOOLS, INSTRUCTIONS
from nessus_sched.ipc.peer import Peer
from nessus_sched.mcp.server import ServerParts, build_server
from support.living_app import living_app
from support.tokens import tokens_in, tokens_of

USUAL = 1_000
"""Tokens of an answer."""
INPUTS, OUTPUTS, TOLD = 8_000, 6_000, 600
"""Tokens of all names, descriptions and arguments; of all answers' schemas; of the instructions.
The operator tools, which most models are not shown, are among them."""


async def test_descriptions_and_schemas_are_within_the_budget() -> None:
    parts = ServerParts(app=None, tools=ALL_TOOLS)
    server = build_server(parts, version="0", instructions=INSTRUCTIONS)
    async with Client(server, mode="legacy") as client:
        listed = (await client.list_tools()).tools
    operators = {tool.name for tool in ALL_TOOLS if tool.operator}
    rows = []
    for tool in listed:
        shown = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
        given = {key: shown[key] for key in ("name", "description", "inputSchema")}
        cost = tokens_of(given), tokens_of(shown["outputSchema"])
        rows.append((*cost, tool.name in operators, tool.name))
    print(f"\n{'tool':<24}{'input':>7}{'output':>7}")
    for tokens, answered, operator, name in sorted(rows, reverse=True):
        print(f"{name:<24}{tokens:>7}{answered:>7}{'  operator' if operator else ''}")
    for title, some in (
        ("usual", [row for row in rows if not row[2]]),
        ("operator", [row for row in rows if row[2]]),
        ("all", rows),
    ):
        inputs, outputs = sum(row[0] for row in some), sum(row[1] for row in some)
        print(f"{title:<24}{inputs:>7}{outputs:>7}")
    print(f"{'instructions':<24}{tokens_in(INSTRUCTIONS):>7}")
    assert {tool.name for tool in listed} == {tool.name for tool in ALL_TOOLS}
    assert inputs <= INPUTS
    assert outputs <= OUTPUTS
    assert tokens_in(INSTRUCTIONS) <= TOLD


@pytest.mark.slow
async def test_usual_answers_are_short(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with living_app(tmp_path) as (app, network):
        task = (await answer(app, "list_tasks"))["tasks"][0]["task_id"]
        host = network.hosts()[0]
        calls: dict[str, dict[str, Any]] = {
            "submit_scan": {"targets": ["192.0.2.0/27"], "dry_run": True},
            "list_tasks": {"limit": 5},
            "get_scan_status": {"task_id": task},
            "wait_for_scan": {"task_id": task},
            "get_scan_results": {"task_id": task},
            "get_scan_summary": {"task_id": task},
            "search_findings": {},
            "get_coverage": {"targets": ["192.0.2.0/27"]},
            "get_host": {"host": host},
            "get_changes": {},
            "list_schedules": {},
            "get_plan": {},
            "list_exceptions": {},
            "get_queue_status": {},
            "list_scanners": {},
            "list_dead_letters": {},
            "list_credentials": {},
        }
        found = {name: tokens_of(await answer(app, name, **calls[name])) for name in calls}
    for name, tokens in sorted(found.items(), key=lambda item: -item[1]):
        print(f"{name:<24}{tokens:>7}")
    for name, tokens in found.items():
        assert tokens <= USUAL, name


async def answer(app: App, name: str, **arguments: Any) -> dict[str, Any]:
    tool = ALL_TOOLS.get(name)
    assert tool is not None
    args: Any = validation.parse(tool.arguments, arguments)
    made = await tool.fn(app, Call(peer=Peer(connection="t", uid=0)), args)
    document: dict[str, Any] = validation.answer(made)[0]
    for schema in (tool.output_schema, tool.shown_answer):
        Draft202012Validator(schema).validate(document)
    return document
