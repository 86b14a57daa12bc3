"""stdin and stdout of a real process: protocol only, and prompt ends."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from mcp import Client, StdioServerParameters

from support.mcp_wire import call, opened, works
from support.patience import slowness

LIB = Path(__file__).parents[1] / "lib"
ENV = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(LIB)}
COMMAND = [sys.executable, "-m", "support.mcp_stdio"]


Pipes = trio.StapledStream[Any, Any]


@asynccontextmanager
async def server() -> AsyncIterator[tuple[trio.Process, Pipes]]:
    process = await trio.lowlevel.open_process(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=ENV,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, trio.StapledStream(process.stdin, process.stdout)
    finally:
        if process.poll() is None:
            process.kill()
        await process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            await pipe.aclose()


@pytest.mark.slow
async def test_the_official_client_starts_and_ends_it() -> None:
    command = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], env=ENV)
    with trio.fail_after(20):
        async with Client(command) as client:
            result = await client.call_tool("echo", {"text": "x"})
    assert result.structured_content is not None
    assert result.structured_content["actor"] == f"uid:{os.getuid()}"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["end of input", "SIGTERM", "SIGINT"])
async def test_it_ends_with_code_0_though_a_call_is_under_way(how: str) -> None:
    async with server() as (process, stream):
        await opened(stream)
        await stream.send_all(call(1, "hold"))
        started = trio.current_time()
        if how == "end of input":
            await stream.send_stream.aclose()
        else:
            process.send_signal(signal.Signals[how])
        assert await process.wait() == 0
        assert trio.current_time() - started < 2 * await slowness()


@pytest.mark.slow
async def test_what_is_printed_does_not_get_between_the_lines() -> None:
    async with server() as (process, stream):
        lines = await opened(stream)
        assert await works(stream, lines)
        await stream.send_stream.aclose()
        assert process.stderr is not None
        said = b""
        async for chunk in process.stderr:
            said += chunk
        assert b"printed after the claim" in said
        assert b"from a child" in said
        assert await stream.receive_some() == b""


@pytest.mark.slow
async def test_a_file_as_stdin_and_as_stdout(tmp_path: Path) -> None:
    asked, answered = tmp_path / "in", tmp_path / "out"
    asked.write_bytes(call(1, "echo", text="x"))
    with asked.open() as stdin, answered.open("w") as stdout:
        result = await trio.run_process(COMMAND, stdin=stdin, stdout=stdout, env=ENV)
    assert result.returncode == 0
    # Not initialized, so refused; what matters is that it was read and answered.
    assert b'"id":1' in answered.read_bytes()


@pytest.mark.slow
async def test_a_terminal_is_left_as_it_was() -> None:
    ours, theirs = pty.openpty()
    blocking = os.get_blocking(theirs)
    process = await trio.lowlevel.open_process(
        COMMAND, stdin=theirs, stdout=subprocess.PIPE, env=ENV
    )
    assert process.stdout is not None
    os.write(ours, b"{]\n")
    assert b"-32700" in await process.stdout.receive_some()
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert os.get_blocking(theirs) == blocking
    await process.stdout.aclose()
    os.close(ours)
    os.close(theirs)
