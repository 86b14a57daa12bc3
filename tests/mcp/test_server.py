"""The server through the official client: both eras, tools, errors, resources, prompts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.types import CallToolResult, TextContent

from nessus_sched.api.operations import ToolDef
from nessus_sched.ipc.peer import Peer
from nessus_sched.mcp.server import ERROR_META, OPERATOR_CALL
from support.mcp_app import TOOLS, App, client_streams, server_of, wire

ERAS = ("legacy", "2026-07-28")


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@pytest.mark.parametrize("mode", [*ERAS, "auto"])
async def test_a_client_of_either_era_lists_and_calls(mode: str) -> None:
    app = App()
    async with (
        wire(app, peer=Peer(connection="c1", uid=1000)) as stream,
        Client(client_streams(stream), mode=mode) as client,
    ):
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools] == [
            "echo", "crash", "refuse", "hold", "slow", "steps",
        ]  # fmt: skip
        result = await client.call_tool("echo", {"text": "hi", "times": 2, "tags": ["ä"]})
    assert result.structured_content is not None
    assert len(result.structured_content["trace_id"]) == 32
    assert result.structured_content == {
        "text": "hihi",
        "color": None,
        "tags": ["ä"],
        "actor": "uid:1000",
        "trace_id": result.structured_content["trace_id"],
        "at": "2026-01-31T09:30:00+00:00",
    }
    assert json.loads(text_of(result)) == result.structured_content
    assert app.calls == 1


@pytest.mark.parametrize("mode", ERAS)
async def test_all_annotations_are_said(mode: str) -> None:
    async with Client(server_of(App()), mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    for tool in tools.values():
        assert tool.annotations is not None
        hints = tool.annotations.model_dump(exclude={"title"})
        assert all(isinstance(hint, bool) for hint in hints.values()), tool.name
        assert tool.output_schema is not None
        assert tool.output_schema["type"] == tool.input_schema["type"] == "object"
    assert tools["crash"].annotations is not None
    assert tools["crash"].annotations.destructive_hint is True


@pytest.mark.parametrize("mode", ERAS)
async def test_a_crash_leaks_nothing_and_ends_nothing(mode: str) -> None:
    async with Client(server_of(App()), mode=mode) as client:
        result = await client.call_tool("crash", {})
        assert result.is_error
        assert "hunter2" not in result.model_dump_json()
        assert "incident" in text_of(result)
        assert not (await client.call_tool("echo", {"text": "x"})).is_error


@pytest.mark.parametrize("mode", ERAS)
async def test_a_refusal_has_a_sentence_a_hint_and_a_code(mode: str) -> None:
    async with Client(server_of(App()), mode=mode) as client:
        result = await client.call_tool("refuse", {})
    assert result.is_error
    assert text_of(result) == "No task 'x'. Call list_tasks. [no_such_task]"
    assert result.meta is not None
    assert result.meta[ERROR_META]["code"] == "no_such_task"


async def test_wrong_arguments_are_a_tool_error_that_names_all_of_them() -> None:
    async with Client(server_of(App()), mode="legacy") as client:
        result = await client.call_tool("echo", {"times": 9, "txt": "x"})
    assert result.is_error
    text = text_of(result)
    assert "missing required argument 'text'" in text
    assert "unknown argument 'txt' (did you mean 'text'?)" in text
    assert "'times' is 9, greater than the maximum of 5" in text
    assert text.endswith("[invalid_arguments]")


@pytest.mark.parametrize("mode", ERAS)
async def test_an_unknown_tool_is_a_protocol_error(mode: str) -> None:
    async with Client(server_of(App()), mode=mode) as client:
        with pytest.raises(MCPError) as caught:
            await client.call_tool("ecco", {})
    assert caught.value.error.code == -32602
    assert str(caught.value) == "Unknown tool: ecco (did you mean 'echo'?)"


async def test_a_tool_that_takes_too_long_is_cut(autojump_clock: Any) -> None:
    async with Client(server_of(App()), mode="legacy") as client:
        result = await client.call_tool("slow", {})
    assert result.is_error
    assert "had no answer within 2 s" in text_of(result)


async def test_progress_reaches_the_client() -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with wire(App()) as stream, Client(client_streams(stream), mode="legacy") as client:
        await client.call_tool("steps", {}, progress_callback=note)
    assert (1, 3, "step 1") in seen


async def test_the_trace_of_the_client_is_taken_over() -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    meta: Any = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    async with Client(server_of(App()), mode="legacy") as client:
        result = await client.call_tool("echo", {"text": "x"}, meta=meta)
    assert result.structured_content is not None
    assert result.structured_content["trace_id"] == trace


async def test_what_a_peer_may_not_do_is_not_there_for_it() -> None:
    def reads_only(_peer: Peer, tool: ToolDef) -> bool:
        return not tool.writes

    async with Client(server_of(App(), permits=reads_only), mode="legacy") as client:
        assert "crash" not in {tool.name for tool in (await client.list_tools()).tools}
        with pytest.raises(MCPError):
            await client.call_tool("crash", {})


@pytest.mark.parametrize("mode", ERAS)
async def test_times_are_in_the_operators_zone(mode: str) -> None:
    async with Client(server_of(App(), zone=lambda: "Europe/Berlin"), mode=mode) as client:
        result = await client.call_tool("echo", {"text": "x"})
        assert result.structured_content is not None
        assert result.structured_content["at"] == "2026-01-31T10:30:00+01:00"
        assert "2026-01-31T10:30:00+01:00" in result.content[0].model_dump()["text"]


@pytest.mark.parametrize("mode", ERAS)
async def test_resources_and_prompts(mode: str) -> None:
    async with Client(server_of(App()), mode=mode) as client:
        (resource,) = (await client.list_resources()).resources
        assert resource.uri == "note://one"
        (template,) = (await client.list_resource_templates()).resource_templates
        assert template.uri_template == "note://{name}"
        read = await client.read_resource("note://one")
        assert read.contents[0].model_dump()["text"] == "first"
        (prompt,) = (await client.list_prompts()).prompts
        assert prompt.name == "hello"
        got = await client.get_prompt("hello", {"name": "Ada"})
        assert "Ada" in got.model_dump_json()
        for uri in ("note://two", "note://crash"):
            with pytest.raises(MCPError) as caught:
                await client.read_resource(uri)
            assert "hunter2" not in str(caught.value)


async def test_calls_are_observed() -> None:
    seen: list[tuple[str, str]] = []

    def observe(tool: str, status: str, seconds: float) -> None:
        seen.append((tool, status))

    async with Client(server_of(App(), observe=observe), mode="legacy") as client:
        for name in ("echo", "refuse", "crash"):
            await client.call_tool(name, {"text": "x"} if name == "echo" else {})
    assert seen == [("echo", "ok"), ("refuse", "no_such_task"), ("crash", "internal_error")]


@pytest.mark.parametrize("mode", ERAS)
async def test_discovery_says_who_we_are(mode: str) -> None:
    async with Client(server_of(App()), mode=mode) as client:
        if mode == "legacy":
            assert client.instructions == "Say hello."
            assert client.server_info is not None
            assert client.server_info.version == "1.2.3"


async def operated(name: str, arguments: bytes, **changes: Any) -> Any:
    """The answer of an operator action."""
    async with wire(App(), **changes) as stream:
        await stream.send_all(
            b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":'
            b'"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"0"}}}\n'
            b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
            b'{"jsonrpc":"2.0","id":2,"method":"' + OPERATOR_CALL.encode() + b'",'
            b'"params":{"name":"' + name.encode() + b'","arguments":' + arguments + b"}}\n"
        )
        received = b""
        while received.count(b"\n") < 2:
            received += await stream.receive_some()
    return json.loads(received.splitlines()[1])["result"]["structuredContent"]


async def test_operators_actions_are_callable_and_not_listed() -> None:
    assert await operated("drain", b"{}") == {"done": 7}


async def test_times_for_commands_are_in_the_same_zone_as_those_for_models() -> None:
    found = await operated("echo", b'{"text":"x"}', operators=TOOLS, zone=lambda: "Europe/Berlin")
    assert found["at"] == "2026-01-31T10:30:00+01:00"
