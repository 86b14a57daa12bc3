"""The Unix socket: who may connect, who does, and what is there before and after."""

from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
from mcp import Client

from nessus_sched.ipc.listener import (
    MAX_PATH,
    Connections,
    Guest,
    SocketError,
    accept,
    unix_listener,
)
from support.mcp_app import App, client_streams
from support.mcp_daemon import daemon
from support.mcp_wire import call, opened, until, works


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_peer_is_who_the_kernel_says(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "s"
    async with daemon(path, App()):
        stream = await trio.open_unix_socket(path)
        async with Client(client_streams(stream), mode=mode) as client:
            result = await client.call_tool("echo", {"text": "x"})
        await stream.aclose()
    assert result.structured_content is not None
    assert result.structured_content["actor"] == f"uid:{os.getuid()}"


async def test_mode_group_and_unlinking(tmp_path: Path) -> None:
    path = tmp_path / "s"
    import grp

    group = grp.getgrgid(os.getgid()).gr_name
    async with unix_listener(path, mode=0o660, group=group):
        found = path.stat()
        assert stat.S_IMODE(found.st_mode) == 0o660
        assert found.st_gid == os.getgid()
        assert os.listdir(tmp_path) == ["s"]
    assert not path.exists()


async def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(path))
    async with daemon(path, App()):
        stream = await trio.open_unix_socket(path)
        assert await works(stream, await opened(stream))
        await stream.aclose()


async def test_a_socket_that_somebody_answers_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with daemon(path, App()):
        with pytest.raises(SocketError, match="another daemon"):
            async with unix_listener(path):
                pass
        stream = await trio.open_unix_socket(path)
        assert await works(stream, await opened(stream))
        await stream.aclose()


async def test_somebody_elses_socket_is_not_unlinked(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with unix_listener(path):
        path.unlink()
        path.touch()
    assert path.exists()


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (lambda path: path.write_text("x"), "not a socket"),
        (lambda path: path.mkdir(), "not a socket"),
    ],
)
async def test_what_cannot_be_is_said(tmp_path: Path, prepare: Any, why: str) -> None:
    path = tmp_path / "s"
    prepare(path)
    with pytest.raises(SocketError, match=why):
        async with unix_listener(path):
            pass


async def test_other_troubles_are_said(tmp_path: Path) -> None:
    for path, group, why in (
        (tmp_path / "s", "no-such-group", "no group 'no-such-group'"),
        (tmp_path / "none" / "s", None, "cannot listen"),
        (tmp_path / ("x" * MAX_PATH), None, "longer than"),
    ):
        with pytest.raises(SocketError, match=why):
            async with unix_listener(path, group=group):
                pass
        assert os.listdir(tmp_path) == []


async def test_a_client_that_dies_in_the_middle_harms_nobody(tmp_path: Path) -> None:
    path, app = tmp_path / "s", App()
    async with daemon(path, app) as connections:
        other = await trio.open_unix_socket(path)
        lines = await opened(other)
        for _ in range(5):
            dying = await trio.open_unix_socket(path)
            await opened(dying)
            await dying.send_all(call(1, "hold") + call(2, "echo", text="x" * 900))
            await until(lambda: app.running == 1)
            await dying.aclose()
            await until(lambda: app.running == 0)
        assert await works(other, lines)
        assert connections.statistics().connected == 1
        assert connections.statistics().idle_since is None
        await other.aclose()
        while connections.statistics().connected:
            await connections.changed.wait()
        assert connections.statistics().total == 6
        assert connections.statistics().idle_since is not None
    assert app.canceled == 5


async def test_a_handler_that_crashes_ends_its_client_only(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def handler(stream: trio.SocketStream, guest: Guest) -> None:
        seen.append(structlog.contextvars.get_contextvars()["connection"])
        raise RuntimeError("a mistake of ours")

    async with unix_listener(tmp_path / "s") as listener, trio.open_nursery() as nursery:
        nursery.start_soon(accept, listener, handler, Connections())
        for _ in range(3):
            stream = await trio.open_unix_socket(tmp_path / "s")
            assert await stream.receive_some() == b""
            await stream.aclose()
        nursery.cancel_scope.cancel()
    assert len(set(seen)) == 3


async def test_too_many_clients_are_turned_away(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with daemon(path, App(), most=2) as connections:
        first, second, third = [await trio.open_unix_socket(path) for _ in range(3)]
        said = json.loads(await third.receive_some())
        assert said["id"] is None
        assert said["error"]["message"].startswith("limits.connections: the limit is reached (2).")
        assert said["error"]["data"] == {"closing": True}
        assert await third.receive_some() == b""
        assert await works(first, await opened(first))
        assert connections.statistics().refused["limits.connections"] == 1
        for stream in (first, second, third):
            await stream.aclose()


async def test_a_client_that_does_not_read_is_held_up_and_not_stored(tmp_path: Path) -> None:
    path, app = tmp_path / "s", App()
    async with daemon(path, app):
        deaf = await trio.open_unix_socket(path)
        await opened(deaf)
        with trio.move_on_after(0.5):
            for number in range(1, 100_000):
                await deaf.send_all(call(number, "echo", text="x" * 1000, times=5))
        done = -1
        while done != app.calls:  # what it has sent already is still being worked on
            done = app.calls
            await trio.sleep(0.3)
        other = await trio.open_unix_socket(path)
        assert await works(other, await opened(other))
        assert app.calls == done + 1 < 1000  # its answers would not fit anywhere
        await deaf.aclose()
        await other.aclose()
