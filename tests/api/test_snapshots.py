"""Every tool as hosts see it, against its snapshot: nothing changes for models by accident.

After a change on purpose: `UPDATE_SNAPSHOTS=1 pytest tests/api/test_snapshots.py`, and read
the difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import trio
from jsonschema import Draft202012Validator
from mcp import Client

from nessus_sched.api.operations import MAX_DESCRIPTION
from nessus_sched.api.tools import ALL_TOOLS, INSTRUCTIONS
from nessus_sched.mcp.prompts import PROMPTS
from nessus_sched.mcp.server import ServerParts, build_server

SNAPSHOTS = Path(__file__).parent / "snapshots"
WRITE = bool(os.environ.get("UPDATE_SNAPSHOTS"))
ORDER = (
    "submit_scan", "submit_trusted_scan", "submit_privileged_scan", "submit_custom_scan",
    "submit_quick_scan", "submit_compliance_scan", "rescan", "verify_fix",
    "create_schedule",
    "list_schedules", "change_schedule", "get_plan", "get_scan_status",
    "wait_for_scan", "list_tasks", "cancel_scan", "pause_scan", "resume_scan", "get_scan_results",
    "get_scan_summary", "compare_scans", "search_findings", "get_coverage", "get_host",
    "get_changes", "create_report", "propose_exception", "list_exceptions", "get_queue_status",
    "list_scanners", "list_dead_letters", "list_scan_templates", "list_credentials",
    "pause_everything", "resume_everything", "drain_scanner", "undrain_scanner",
    "retry_dead_letters", "purge_dead_letters", "decide_exception",
)  # fmt: skip

EXPLAINING = ("submit_scan", "get_scan_results")
"""Tools that describe arguments for others, too."""
READING = ("get_", "list_", "wait_", "compare_", "search_")


async def listed(mode: str = "legacy") -> list[dict[str, Any]]:
    server = build_server(
        ServerParts(app=None, tools=ALL_TOOLS), version="0", instructions=INSTRUCTIONS
    )
    async with Client(server, mode=mode) as client:
        tools = (await client.list_tools()).tools
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]


async def test_the_order_is_fixed() -> None:
    assert tuple(tool["name"] for tool in await listed()) == ORDER
    assert await listed() == await listed()


@pytest.fixture(scope="module")
def once() -> list[dict[str, Any]]:
    """The tools, listed once for many tests."""
    return trio.run(listed)


@pytest.mark.parametrize("name", ORDER)
def test_a_tool_is_as_its_snapshot_says(name: str, once: list[dict[str, Any]]) -> None:
    (tool,) = [each for each in once if each["name"] == name]
    file = SNAPSHOTS / f"{name}.json"
    if WRITE:
        file.write_text(json.dumps(tool, indent=2, ensure_ascii=False) + "\n")
    assert json.loads(file.read_text()) == tool


def test_there_is_no_snapshot_without_a_tool() -> None:
    assert {file.stem for file in SNAPSHOTS.glob("*.json")} == set(ORDER)


async def test_both_eras_are_shown_the_same() -> None:
    assert await listed("legacy") == await listed("2026-07-28")


async def test_schemas_are_valid_objects_without_references() -> None:
    tools = await listed()
    arguments = {tool["name"]: tool["inputSchema"]["properties"] for tool in tools}
    for tool in tools:
        for schema in (tool["inputSchema"], tool["outputSchema"]):
            Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object"
            assert "$ref" not in json.dumps(schema)
        for name, argument in tool["inputSchema"]["properties"].items():
            explained = next((n for n in EXPLAINING if f"those of {n}." in tool["description"]), "")
            if "description" not in argument:
                argument = arguments[explained][name]
            assert argument["description"], (tool["name"], name)


async def test_all_four_annotations_are_said_and_true() -> None:
    for tool in await listed():
        hints = tool["annotations"]
        name = tool["name"]
        assert hints["readOnlyHint"] is name.startswith(READING)
        assert hints["destructiveHint"] is (
            name
            in (
                "cancel_scan",
                "change_schedule",
                "pause_everything",
                "purge_dead_letters",
                "decide_exception",
            )
        )
        assert hints["idempotentHint"] is not name.startswith(
            (
                "submit_",
                "rescan",
                "verify_fix",
                "change_schedule",
                "propose_exception",
                "create_report",
                "retry_",
            )
        )
        assert isinstance(hints["openWorldHint"], bool)


async def test_what_models_read_is_short_enough_for_hosts() -> None:
    tools = await listed()
    assert len(INSTRUCTIONS) <= MAX_DESCRIPTION
    assert all(0 < len(tool["description"]) <= MAX_DESCRIPTION for tool in tools)
    inputs = [{key: tool[key] for key in ("name", "description", "inputSchema")} for tool in tools]
    # What a host puts before every conversation.
    assert len(json.dumps(inputs)) / 4 < 10_000


async def test_the_usual_jobs_are_prompts() -> None:
    server = build_server(
        ServerParts(app=None, tools=ALL_TOOLS, prompts=PROMPTS),
        version="0",
        instructions=INSTRUCTIONS,
    )
    async with Client(server, mode="legacy") as client:
        for prompt in (await client.list_prompts()).prompts:
            given = {argument.name: "192.0.2.0/24" for argument in prompt.arguments or ()}
            (message,) = (await client.get_prompt(prompt.name, given)).messages
            assert "192.0.2.0/24" in message.model_dump_json()
            words = message.model_dump_json().replace('"', " ").replace(",", " ").split()
            named = {word.rstrip(".:") for word in words if "_scan" in word or "list_" in word}
            assert {name for name in named if name in ORDER}
