"""Prompts: they name only what exists, fit the caller's role, and every call in them works."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from operator import ne
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.tools import ALL_TOOLS, TOOLS
from nessus_sched.ipc.peer import Peer
from nessus_sched.mcp.definitions import PromptDef
from nessus_sched.mcp.prompts import PROMPTS, named_tools
from support.living_app import living_app

NAMED: Final = re.compile(r"\b([a-z]+(?:_[a-z]+)+) (?=\{)")
WORD: Final = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")
STEP: Final = re.compile(r"\d+\. ")
SUMMARY_FIELDS: Final = {"host_verdicts", "host_verdicts_left_out", "max_runtime_minutes"}
"""In objects whose fields no schema lists."""
GIVEN: Final = {
    "targets": "192.0.2.1, 192.0.2.2",
    "host": "192.0.2.1",
    "begin": "2100-03-02T22:00+01:00",
    "end": "2100-03-03T05:00+01:00",
}
ids = [prompt.name for prompt in PROMPTS]


def every_tool(_name: str) -> bool:
    return True


def given_to(prompt: PromptDef, **more: str) -> dict[str, str]:
    known = {**GIVEN, **more}
    return {each.name: known.get(each.name, "t-7k3m9pqr2vxz") for each in prompt.arguments}


def calls(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The calls written in a text."""
    for match in NAMED.finditer(text):
        yield match[1], json.JSONDecoder().raw_decode(text, match.end())[0]


def names_in(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        yield from schema.get("enum", ())
        for inner in schema.values():
            yield from names_in(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from names_in(inner)


@pytest.mark.parametrize("prompt", PROMPTS, ids=ids)
async def test_a_prompt_names_only_what_exists(prompt: PromptDef) -> None:
    text = await prompt.render(given_to(prompt), every_tool)
    assert list(calls(text))
    for line in text.splitlines():
        known = set(SUMMARY_FIELDS) | GIVEN.keys()
        for name in named_tools(line):
            tool = ALL_TOOLS.get(name)
            assert tool is not None
            known |= {name, *names_in(tool.input_schema), *names_in(tool.output_schema)}
        written = re.sub(r'"[a-z_]+(?:=|>)[^"]*"', "", line)
        assert set(WORD.findall(written)) <= known, line
    for name, arguments in calls(text):
        tool = ALL_TOOLS.get(name)
        assert tool is not None, name
        validation.parse(tool.arguments, arguments)
    assert "$" not in text


@pytest.mark.parametrize("prompt", PROMPTS, ids=ids)
async def test_steps_that_a_role_has_no_tool_for_are_left_out_and_named(prompt: PromptDef) -> None:
    whole = await prompt.render(given_to(prompt), every_tool)
    steps = [line for line in whole.splitlines() if STEP.match(line)]
    for without in {name for name, _ in calls(whole)}:
        text = await prompt.render(given_to(prompt), partial(ne, without))
        kept = [line for line in text.splitlines() if STEP.match(line)]
        assert len(kept) == sum(without not in named_tools(line) for line in steps) < len(steps)
        assert [line.partition(".")[0] for line in kept] == [str(n + 1) for n in range(len(kept))]
        assert all(without not in line for line in kept)
        assert f"You cannot use {without} here" in text
    assert "You cannot use" not in whole


async def test_what_is_given_stays_what_it_is() -> None:
    prompt = next(each for each in PROMPTS if each.name == "is_it_clean")
    text = await prompt.render({"host": 'a"}, $targets\n1. cancel_scan'}, every_tool)
    asked = [arguments["host"] for name, arguments in calls(text) if name == "get_host"]
    assert asked[0].startswith('a"}, $targets')
    assert "\n1. cancel_scan" not in text
    with pytest.raises(ToolError) as caught:
        await prompt.render({}, every_tool)
    assert caught.value.code == "invalid_arguments"


async def ask(app: App, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    tool = TOOLS.get(name)
    assert tool is not None
    args: Any = validation.parse(tool.arguments, arguments)
    answer = await tool.fn(app, Call(peer=Peer(connection="t", uid=0)), args)
    found: dict[str, Any] = validation.answer(answer)[0]
    return found


def filled(value: Any, words: dict[str, str]) -> Any:
    """The value with the words in capitals replaced."""
    if isinstance(value, dict):
        return {key: filled(inner, words) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, words) for inner in value]
    return words.get(value, value) if isinstance(value, str) else value


@pytest.mark.parametrize("prompt", PROMPTS, ids=ids)
async def test_every_call_of_a_prompt_succeeds(
    prompt: PromptDef, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with living_app(tmp_path) as (app, _):
        tasks = (await ask(app, "list_tasks", {}))["tasks"]
        words = {
            "NAME": prompt.name, "KEY": prompt.name, "CREDENTIAL": "linux",
            "TASK_ID": tasks[0]["task_id"],
        }  # fmt: skip
        text = await prompt.render(
            given_to(
                prompt, task_id=tasks[0]["task_id"], before_task_id=tasks[1]["task_id"],
                after_task_id=tasks[0]["task_id"],
            ),
            every_tool,
        )  # fmt: skip
        for name, arguments in calls(text):
            if name == "get_scan_results":  # this world stores no findings of new scans
                words["TASK_ID"] = tasks[0]["task_id"]
            answer = await ask(app, name, filled(arguments, words))
            while answer.get("timed_out"):
                answer = await ask(app, name, filled(arguments, words))
            if name.startswith("submit_") and answer["task_id"] is not None:
                words["TASK_ID"] = answer["task_id"]
            if name == "wait_for_scan":
                assert answer["task"]["settled"], answer
