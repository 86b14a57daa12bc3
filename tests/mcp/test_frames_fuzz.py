"""Whatever a client sends, it is answered in JSON-RPC, and the next call is served."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from nessus_sched.ipc.relay_messages import is_safe_to_retry, parse_message
from support.mcp_app import App, wire
from support.mcp_wire import call, opened

METHODS = (
    "initialize", "notifications/initialized", "notifications/cancelled", "ping", "tools/list",
    "tools/call", "operator/call", "prompts/list", "prompts/get", "resources/list",
    "logging/setLevel", "completion/complete", "server/discover", "tasks/get", "rpc.discover",
)  # fmt: skip
KEYS = (
    "name", "arguments", "requestId", "cursor", "_meta", "progressToken", "uri", "level", "text",
    "protocolVersion", "capabilities", "clientInfo", "traceparent", "ref", "reason",
)  # fmt: skip
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["echo", "crash", "refuse", "steps", "2.0", "2025-11-25"])
    | st.sampled_from(["\ud800", "\0", "a" * 5000]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=12,
)
messages = st.fixed_dictionaries(
    {"method": st.sampled_from(METHODS) | anything},
    optional={
        "jsonrpc": st.just("2.0") | anything,
        "id": st.integers(1, 3) | anything,
        "params": st.dictionaries(st.sampled_from(KEYS), anything, max_size=6) | anything,
        "result": anything,
        "error": anything,
    },
).map(lambda message: {"jsonrpc": "2.0", **message})


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good line with some bytes replaced."""
    line = call(1, "echo", text="some text", more=[1, {"a": None}])[:-1]
    at = draw(st.integers(0, len(line)))
    return line[:at] + draw(st.binary(max_size=8)) + line[at + draw(st.integers(0, 8)) :]


lines = st.one_of(
    messages.map(lambda message: json.dumps(message).encode()),
    anything.map(lambda value: json.dumps(value).encode()),
    damaged(),
    st.binary(max_size=200),
)


@pytest.mark.slow
@given(st.lists(lines, max_size=12))
@settings(max_examples=150, deadline=None)
def test_the_server_goes_on(sent: list[bytes]) -> None:
    trio.run(answered, sent)


async def answered(sent: list[bytes]) -> None:
    async with wire(App()) as stream, trio.open_nursery() as nursery:
        answers = await opened(stream)
        flood = b"".join(line + b"\n" for line in sent) + call("the last", "echo", text="x")
        nursery.start_soon(stream.send_all, flood)
        with trio.fail_after(10):
            while (answer := await answers.next()).get("id") != "the last":
                assert answer["jsonrpc"] == "2.0"
    assert not answer["result"].get("isError")


@given(lines)
def test_the_relay_understands_or_passes_on(line: bytes) -> None:
    message: Any = parse_message(line)
    assert message is None or isinstance(message, dict)
    if message is not None:
        assert is_safe_to_retry(message) in (True, False)
