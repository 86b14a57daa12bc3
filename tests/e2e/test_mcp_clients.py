"""The official clients, each starting `nessus-sched mcp` and calling every tool.

The Python SDK is always there; the TypeScript SDKs and the Inspector are tested when they
are installed (`support.npm` says how).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from mcp import MCPError

from nessus_sched.api.operators.tools import OPERATOR_TOOLS
from nessus_sched.api.tools import ALL_TOOLS, TOOLS
from nessus_sched.mcp.client import CallFailed, Tools
from nessus_sched.sim.options import SimOptions
from support import npm
from support.every_call import AUDITS, CREDENTIALS, ROLES, Step, prepared, wrong
from support.processes import PROGRAM, client
from support.standing import Standing, standing

pytestmark = pytest.mark.slow

NAMES = [tool.name for tool in ALL_TOOLS]
OPERATOR_NAMES = [tool.name for tool in OPERATOR_TOOLS]
JUDGES = Path(npm.__file__).parent
AUDIT = '<check_type:"Unix">\n</check_type>\n'


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    directory = tmp_path_factory.mktemp("clients")
    (directory / "base.audit").write_text(AUDIT)
    scanners = {
        "fast": SimOptions(seed=1, scans_take=0.3, export_takes=0.05),
        "slow": SimOptions(seed=2, scans_take=600.0),
    }
    audits = [{**AUDITS[0], "file": str(directory / "base.audit")}, *AUDITS[1:]]
    changes: dict[str, Any] = {"credentials": CREDENTIALS, "audits": audits, "roles": ROLES}
    with standing(directory, scanners, **changes) as stand:
        yield stand


async def steps_for(stand: Standing, name: str) -> list[Step]:
    async with client(stand.place) as tools:
        return await prepared(tools, name, fast="fast", slow="slow")


async def called(tools: Tools, step: Step) -> dict[str, Any]:
    """The answer; what takes effect on a scanner a little later is asked for again."""
    with trio.fail_after(20):
        while True:
            try:
                return await tools.call(step.tool, **step.arguments)
            except CallFailed as error:
                if not str(error).endswith("[not_possible_now]"):
                    raise
            await trio.sleep(0.1)


async def test_the_python_client_calls_every_tool_right_and_wrong(stand: Standing) -> None:
    steps = await steps_for(stand, "python")
    async with client(stand.place) as tools:
        assert await tools.names() == NAMES
        assert {step.tool for step in steps} == {step.tool for step in wrong()} == set(NAMES)
        for step in steps:
            assert await called(tools, step), step.tool
        for step in wrong():
            with pytest.raises(CallFailed) as caught:
                await tools.call(step.tool, **step.arguments)
            assert str(caught.value).endswith(f"[{step.code}]"), (step.tool, str(caught.value))


async def test_without_a_role_for_them_there_are_no_operator_tools(tmp_path: Path) -> None:
    scanner = {"fast": SimOptions(seed=1)}
    with standing(tmp_path, scanner) as other:
        async with client(other.place) as tools:
            assert await tools.names() == [tool.name for tool in TOOLS]
            for step in wrong():
                if step.tool in OPERATOR_NAMES:
                    with pytest.raises(MCPError, match=f"Unknown tool: {step.tool}"):
                        await tools.call(step.tool, **step.arguments)


@pytest.mark.parametrize(
    ("script", "needs", "mode"),
    [
        ("every_call_v1.mjs", "@modelcontextprotocol/sdk", "legacy"),
        ("every_call_v2.mjs", "@modelcontextprotocol/client", "legacy"),
        ("every_call_v2.mjs", "@modelcontextprotocol/client", "auto"),
    ],
)
async def test_the_typescript_client_calls_every_tool_right_and_wrong(
    stand: Standing, tmp_path: Path, script: str, needs: str, mode: str
) -> None:
    npm.package(needs)
    happy = await steps_for(stand, f"{script} {mode}")
    steps = [*happy, *wrong()]
    done = next(step for step in happy if step.tool == "get_scan_status").arguments["task_id"]
    plan = {
        "argv": stand.place.argv("mcp"),
        "env": stand.place.environ,
        "steps": [attrs.asdict(step) for step in steps],
        "resources": [
            "nessus-sched://queue",
            *(f"nessus-sched://task/{done}{part}" for part in ("", "/summary", "/results")),
        ],
    }
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan))
    output = await run([npm.node(), str(JUDGES / script), str(npm.root()), str(file)], MODE=mode)
    seen = json.loads(output)
    assert seen["listed"] == NAMES
    assert seen["prompts"]
    assert len(seen["templates"]) == 4
    assert json.loads(seen["resources"][1])["task_id"] == done
    for step, answer in zip(steps, seen["answers"], strict=True):
        assert answer["error"] is (step.code is not None), (step.tool, answer["text"])
        if step.code is None:
            assert json.loads(answer["text"]) == answer["data"]
        else:
            assert answer["text"].endswith(f"[{step.code}]"), answer["text"]


async def test_the_inspector_lists_and_calls_every_tool(stand: Standing) -> None:
    cli = npm.package("@modelcontextprotocol/inspector") / "cli" / "build" / "cli.js"
    env = {**stand.place.environ, "NESSUS_SCHED_CONFIG": str(stand.place.file)}
    given = ("NESSUS_SCHED_CONFIG", "XDG_RUNTIME_DIR")  # it takes --config for its own
    words = [word for name in given for word in ("-e", f"{name}={env[name]}")]
    base = [npm.node(), str(cli), "--cli", *words, *PROGRAM, "mcp"]
    listed = json.loads(await run([*base, "--method", "tools/list"], **env))
    assert [tool["name"] for tool in listed["tools"]] == NAMES
    steps = await steps_for(stand, "inspector")
    in_turn = {
        "create_schedule", "change_schedule", "pause_scan", "resume_scan", "cancel_scan",
        *OPERATOR_NAMES,
    }  # fmt: skip
    room = trio.CapacityLimiter(2)

    async def one(step: Step) -> None:
        async with room:
            words = [*base, "--method", "tools/call", "--tool-name", step.tool]
            for name, value in step.arguments.items():
                text = value if isinstance(value, str) else json.dumps(value)
                words += ["--tool-arg", f"{name}={text}"]
            answer = json.loads(await run(words, **env))
            text = answer["content"][0]["text"]
            if step.code is None and text.endswith("[not_possible_now]"):
                await trio.sleep(0.5)
                answer = json.loads(await run(words, **env))
            assert not answer.get("isError"), (step.tool, answer)

    async with trio.open_nursery() as nursery:
        for step in steps:
            if step.tool not in in_turn:
                nursery.start_soon(one, step)
    for step in steps:
        if step.tool in in_turn:
            await one(step)


async def run(argv: Sequence[str], **environ: str) -> str:
    done = await trio.run_process(
        argv, capture_stdout=True, capture_stderr=True, check=False, env={**os.environ, **environ}
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:] + done.stdout.decode()[-1000:]
    return done.stdout.decode()
