"""The wire: framing, hostile input, bounds, and clients that die in the middle."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from mcp import Client

from nessus_sched.mcp.transport import Limits
from support.mcp_app import App, client_streams, wire
from support.mcp_wire import call, notification, opened, works


@pytest.mark.parametrize(
    ("line", "code", "id_"),
    [
        (b"{]", -32700, None),
        (b"\xff\xfe", -32700, None),
        (b'"text"', -32600, None),
        (b"[]", -32600, None),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600, None),
        (b'{"jsonrpc":"1.0","id":7,"method":"ping"}', -32600, 7),
        (b'{"jsonrpc":"2.0","id":"a","method":5}', -32600, "a"),
        (b'{"jsonrpc":"2.0","id":true,"method":5}', -32600, None),
        (b"[" * 20_000, -32700, None),
        (b'{"a":' * 20_000, -32700, None),
        (b"[" * 100_000, -32600, None),
        (b'{"jsonrpc":"2.0","id":7,"a":' + b"{" * 50_000, -32600, 7),
        (b'{"method":"ping","params":[' + b"1," * 50_000 + b'1],"id":"x"}', -32600, "x"),
    ],
)
async def test_what_is_no_message_is_answered(line: bytes, code: int, id_: Any) -> None:
    async with wire(App()) as stream:
        lines = await opened(stream)
        await stream.send_all(line + b"\n")
        answer = await lines.next()
        assert answer["error"]["code"] == code
        assert answer["id"] == id_
        assert await works(stream, lines)


async def test_a_huge_line_is_refused_and_the_next_one_served() -> None:
    async with wire(App(), limits=Limits(max_line=3000)) as stream:
        lines = await opened(stream)
        await stream.send_all(call(1, "echo", text="x" * 100_000))
        assert (await lines.next())["error"]["message"] == "The line is too long"
        assert await works(stream, lines)


async def test_lines_may_come_in_pieces_and_in_bunches() -> None:
    async with wire(App()) as stream:
        lines = await opened(stream)
        message = call(1, "echo", text="ä")
        for byte in message:
            await stream.send_all(bytes([byte]))
        assert (await lines.next())["id"] == 1
        await stream.send_all(b"\n\r\n" + call(2, "echo", text="x") + call(3, "echo", text="y"))
        assert {(await lines.next())["id"], (await lines.next())["id"]} == {2, 3}


@pytest.mark.parametrize(
    "params",
    [None, 5, [], {"name": 5}, {"name": "echo", "arguments": 7}, {"name": "echo", "arguments": []}],
)
async def test_wrong_types_are_answered(params: Any) -> None:
    async with wire(App()) as stream:
        lines = await opened(stream)
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        await stream.send_all(json.dumps(message).encode() + b"\n")
        assert "error" in await lines.next()
        assert await works(stream, lines)


async def test_odd_values_are_tool_errors() -> None:
    odd = ["1e999", "NaN", "9" * 5000, "[[[[", "null", '"\\u0000"', '""', "true", "{}"]
    async with wire(App()) as stream:
        lines = await opened(stream)
        for number, value in enumerate(odd):
            await stream.send_all(
                b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"echo",'
                b'"arguments":{"text":"x","times":%s}}}\n' % (number, value.encode())
            )
            answer = await lines.next()
            if value not in ("null", '""'):  # both mean that the argument is absent
                assert "error" in answer or answer["result"]["isError"], value
        assert await works(stream, lines)


@pytest.mark.slow
async def test_thousands_of_calls_at_once_are_all_answered(autojump_clock: Any) -> None:
    app = App()
    async with wire(app) as stream, trio.open_nursery() as nursery:
        lines = await opened(stream)

        async def flood() -> None:
            for number in range(1, 3001):
                await stream.send_all(call(number, "echo", text="x"))

        nursery.start_soon(flood)
        seen = {(await lines.next())["id"] for _ in range(3000)}
    assert len(seen) == app.calls == 3000
    assert trio.current_time() >= (3000 - 1000) / 500 * 0.99  # the pace was kept


async def test_no_more_than_the_allowed_number_runs_at_once(autojump_clock: Any) -> None:
    app = App()
    async with wire(app) as stream, trio.open_nursery() as nursery:
        lines = await opened(stream)

        async def flood() -> None:
            for number in range(1, 101):
                await stream.send_all(call(number, "hold"))

        nursery.start_soon(flood)
        await trio.testing.wait_all_tasks_blocked()
        assert app.running == app.most == 32
        app.gate.set()
        assert {(await lines.next())["id"] for _ in range(100)} == set(range(1, 101))
    assert app.most == 32


@pytest.mark.slow
async def test_a_client_that_calls_too_often_waits_and_loses_nothing(autojump_clock: Any) -> None:
    async with wire(App(), limits=Limits(rate=10, burst=50)) as stream, trio.open_nursery() as all_:
        lines = await opened(stream)
        begun = trio.current_time()
        flood = b"".join(call(number, "echo", text="x") for number in range(1, 151))
        all_.start_soon(stream.send_all, flood)
        assert {(await lines.next())["id"] for _ in range(150)} == set(range(1, 151))
        assert 9.5 < trio.current_time() - begun < 11


async def test_canceled_calls_make_room_and_get_no_answer(autojump_clock: Any) -> None:
    app = App()
    async with wire(app, limits=Limits(in_flight=2)) as stream:
        lines = await opened(stream)
        for number in range(1, 21):
            await stream.send_all(call(number, "hold"))
            await trio.testing.wait_all_tasks_blocked()
            await stream.send_all(notification("notifications/cancelled", requestId=number))
        assert await works(stream, lines)
    assert app.canceled == 20


async def test_the_end_of_input_waits_a_little_for_answers() -> None:
    app = App()
    async with wire(app) as stream:
        lines = await opened(stream)
        await stream.send_all(call(1, "steps"))
        assert isinstance(stream, trio.StapledStream)
        await stream.send_stream.aclose()
        assert (await lines.next())["result"]["structuredContent"] == {"done": 3}


async def test_the_end_of_input_does_not_wait_for_ever(autojump_clock: Any) -> None:
    app = App()
    async with wire(app) as stream:
        lines = await opened(stream)
        await stream.send_all(call(1, "hold"))
        await trio.testing.wait_all_tasks_blocked()
        assert isinstance(stream, trio.StapledStream)
        await stream.send_stream.aclose()
        assert (await lines.next())["error"]["code"] == -32000
        assert trio.current_time() < 2
    assert app.canceled == 1


async def test_half_a_line_at_the_end_is_nothing() -> None:
    app = App()
    async with wire(app) as stream:
        lines = await opened(stream)
        await stream.send_all(call(1, "echo", text="x")[:-1])
        assert isinstance(stream, trio.StapledStream)
        await stream.send_stream.aclose()
        assert await stream.receive_some() == b""
        assert not list(lines.ready())
    assert app.calls == 0


async def test_a_cancel_during_a_call_through_the_official_client() -> None:
    app = App()
    async with wire(app) as stream, Client(client_streams(stream), mode="legacy") as client:
        with trio.move_on_after(0.05):
            await client.call_tool("hold", {})
        assert not (await client.call_tool("echo", {"text": "x"})).is_error
    assert app.canceled == 1


async def test_a_byte_order_mark_before_the_first_message_does_no_harm() -> None:
    async with wire(App()) as stream:
        await stream.send_all(b"\xef\xbb\xbf")
        assert await works(stream, await opened(stream))
