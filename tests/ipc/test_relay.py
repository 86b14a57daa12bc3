"""The relay as hosts start it: a process of its own between pipes and a daemon's socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from mcp import Client

from nessus_sched.api.tools import TOOLS
from nessus_sched.ipc.framing import closing_line
from nessus_sched.ipc.relay_messages import READING_TOOLS, is_safe_to_retry
from support.mcp_app import App, client_streams
from support.mcp_daemon import daemon, turned_away
from support.mcp_wire import LineBuffer, call, notification, opened, request, until, works
from support.patience import slowness

BARE = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[1] / "lib")}


@asynccontextmanager
async def relay(path: Path, *command: str) -> AsyncIterator[trio.Process]:
    argv = [*(command or (sys.executable, "-m", "nessus_sched", "mcp")), "--socket", str(path)]
    process = await trio.lowlevel.open_process(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=BARE
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        await process.wait()
        await pipes(process).aclose()


def pipes(process: trio.Process) -> trio.StapledStream[Any, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    return trio.StapledStream(process.stdin, process.stdout)


def catches(process: trio.Process, signal_number: signal.Signals) -> bool:
    status = Path(f"/proc/{process.pid}/status").read_text()
    (caught,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(int(caught, 16) >> (signal_number - 1) & 1)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["legacy", "auto", "2026-07-28"])
async def test_the_official_client_works_through_it(tmp_path: Path, mode: str) -> None:
    async with (
        daemon(tmp_path / "s", App()),
        relay(tmp_path / "s") as process,
        Client(client_streams(pipes(process)), mode=mode) as client,
    ):
        assert len((await client.list_tools()).tools) == 6
        result = await client.call_tool("echo", {"text": "ä" * 900, "times": 5})
        assert result.structured_content is not None
        assert len(result.structured_content["text"]) == 4500


@pytest.mark.parametrize("how", ["end of input", "SIGTERM", "SIGINT"])
@pytest.mark.parametrize("daemon_there", [True, False])
async def test_it_ends_within_a_second_with_code_0(
    tmp_path: Path, how: str, daemon_there: bool
) -> None:
    async with daemon(tmp_path / "s", App()), relay(tmp_path / "s") as process:
        if daemon_there:
            await opened(pipes(process))
            await pipes(process).send_all(call(1, "hold"))
        else:
            await until(lambda: catches(process, signal.SIGTERM))
        started = trio.current_time()
        if how == "end of input":
            assert process.stdin is not None
            await process.stdin.aclose()
        else:
            process.send_signal(signal.Signals[how])
        assert await process.wait() == 0
        assert trio.current_time() - started < 1 * await slowness()


async def test_a_person_who_starts_it_is_told_what_it_is_for(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nessus_sched", "mcp", "--socket", str(tmp_path / "s")]
    done = await trio.run_process(command, stdin=b"", capture_stderr=True, env=BARE)
    assert done.stderr.startswith(b"nessus-sched mcp: no input")
    assert done.stderr.count(b"\n") == 1


async def test_the_end_of_input_is_no_reason_to_lose_answers(tmp_path: Path) -> None:
    async with daemon(tmp_path / "s", App()), relay(tmp_path / "s") as process:
        lines = await opened(pipes(process))
        await pipes(process).send_all(call(1, "steps"))
        assert process.stdin is not None
        await process.stdin.aclose()
        assert (await lines.next())["result"]["structuredContent"] == {"done": 3}
        assert await process.wait() == 0


async def test_a_daemon_that_restarts_is_found_again(tmp_path: Path) -> None:
    path, app = tmp_path / "s", App()
    async with relay(path) as process:
        stream = pipes(process)
        async with daemon(path, app):
            lines = await opened(stream)
            await stream.send_all(call(7, "hold"))
            await until(lambda: app.running == 1)
        lost = await lines.next()
        # Either the daemon still said that it closes, or the relay says that it is gone.
        assert lost["id"] == 7
        assert lost["error"]["code"] in (-32000, -32603)
        await stream.send_all(call(8, "echo", text="x"))
        await trio.sleep(0.2)  # the request waits while nobody is there
        async with daemon(path, app):
            answer = await lines.next()
            assert answer["id"] == 8
            assert answer["result"]["structuredContent"]["text"] == "x"
            assert await works(stream, lines)


@pytest.mark.slow
async def test_a_daemon_that_is_killed_leaves_nothing_unanswered(tmp_path: Path) -> None:
    path = tmp_path / "s"
    argv = [sys.executable, "-m", "support.mcp_daemon", str(path)]
    async with relay(path) as process:
        stream = pipes(process)
        for round_ in range(2):
            serving = await trio.lowlevel.open_process(argv, env=BARE)
            await until(path.exists)
            if round_ == 0:
                lines = await opened(stream)
                await stream.send_all(call("a", "hold") + call(5, "hold"))
                await works(stream, lines)
            else:
                assert await works(stream, lines)
            serving.kill()
            await serving.wait()
            if round_ == 0:
                gone = [await lines.next(), await lines.next()]
                assert {answer["id"] for answer in gone} == {"a", 5}
                assert all(answer["error"]["code"] == -32603 for answer in gone)
                assert "list_tasks" in gone[0]["error"]["message"]


async def serve_until(path: Path, stop: trio.Event, **status: Any) -> None:
    async with daemon(path, App()):
        status["task_status"].started()
        await stop.wait()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_client_does_not_notice_a_restart(tmp_path: Path, mode: str) -> None:
    path, stop = tmp_path / "s", trio.Event()
    async with relay(path) as process, trio.open_nursery() as nursery:
        await nursery.start(serve_until, path, stop)
        async with Client(client_streams(pipes(process)), mode=mode) as client:
            assert not (await client.call_tool("echo", {"text": "x"})).is_error
            stop.set()
            await until(lambda: not path.exists())
            await trio.sleep(0.1)
            async with daemon(path, App()):
                assert not (await client.call_tool("echo", {"text": "x"})).is_error


@pytest.mark.slow
@pytest.mark.parametrize("method", ["initialize", "server/discover", "tools/call"])
async def test_without_a_daemon_it_says_what_to_do(tmp_path: Path, method: str) -> None:
    async with relay(tmp_path / "s") as process:
        stream = pipes(process)
        lines = LineBuffer(stream)
        started = trio.current_time()
        await stream.send_all(notification("notifications/initialized") + b"{]\n")
        await stream.send_all(request(1, method))
        assert (await lines.next())["error"]["code"] == -32700
        answer = await lines.next()
        assert answer["id"] == 1
        assert answer["error"]["code"] == -32603
        assert "systemctl start nessus-sched" in answer["error"]["message"]
        assert str(tmp_path / "s") in answer["error"]["message"]
        assert 0.8 < trio.current_time() - started < 2 * await slowness()


async def test_a_host_may_come_a_little_before_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with relay(path) as process, trio.open_nursery() as nursery:
        ready = trio.Event()

        async def late() -> None:
            await trio.sleep(0.3)
            async with daemon(path, App()):
                await ready.wait()

        nursery.start_soon(late)
        lines = await opened(pipes(process))
        assert await works(pipes(process), lines)
        ready.set()


@pytest.mark.slow
async def test_many_copies_work_and_die_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "s"

    async def one(number: int) -> None:
        async with relay(path) as process:
            if number % 3 == 0:
                process.kill()
                return
            lines = await opened(pipes(process))
            for _ in range(5):
                assert await works(pipes(process), lines)

    async with daemon(path, App()), trio.open_nursery() as nursery:
        for number in range(9):
            nursery.start_soon(one, number)


@pytest.mark.slow
async def test_the_daemon_answers_broken_lines_and_the_relay_huge_ones(tmp_path: Path) -> None:
    async with daemon(tmp_path / "s", App()), relay(tmp_path / "s") as process:
        stream = pipes(process)
        lines = await opened(stream)
        await stream.send_all(b"{]\n[1]\n5\n" + b"[" * 100_000 + b"\n")
        codes = [(await lines.next())["error"]["code"] for _ in range(4)]
        assert codes == [-32700, -32600, -32600, -32600]
        await stream.send_all(b"x" * (9 * 1024 * 1024) + b"\n")
        assert (await lines.next())["error"]["message"] == "The line is too long"
        assert await works(stream, lines)


@pytest.mark.slow
async def test_thousands_of_calls_pass_through_both_ways(tmp_path: Path) -> None:
    async with daemon(tmp_path / "s", App()), relay(tmp_path / "s") as process:
        stream = pipes(process)
        lines = await opened(stream)
        async with trio.open_nursery() as nursery:
            data = b"".join(call(n, "echo", text="x" * 1000, times=5) for n in range(1, 901))
            nursery.start_soon(stream.send_all, data)
            seen = {(await lines.next())["id"] for _ in range(900)}
        assert seen == set(range(1, 901))


@pytest.mark.slow
async def test_a_host_that_does_not_read_costs_no_memory(tmp_path: Path) -> None:
    async with daemon(tmp_path / "s", App()), relay(tmp_path / "s") as process:
        stream = pipes(process)
        await opened(stream)
        with trio.move_on_after(0.7):
            for number in range(1, 100_000):
                await stream.send_all(call(number, "echo", text="x" * 1000, times=5))
        status = Path(f"/proc/{process.pid}/status").read_text()
        (resident,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
        assert int(resident.split()[1]) < 40_000


async def test_only_protocol_is_on_stdout_and_nothing_is_imported(tmp_path: Path) -> None:
    console_script = "import sys; from nessus_sched.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-X", "importtime", "-c", console_script]
    result = await trio.run_process(
        [*command, "mcp", "--socket", str(tmp_path / "s")],
        stdin=b"", capture_stdout=True, capture_stderr=True, env=BARE,
    )  # fmt: skip
    assert result.stdout == b""
    modules = {line.split("|")[-1].strip() for line in result.stderr.decode().splitlines()[1:]}
    roots = {module.partition(".")[0] for module in modules}
    assert not roots & {
        "trio", "mcp", "attr", "attrs", "cattrs", "click", "structlog", "httpx", "ruamel",
        "typing", "contextlib", "logging", "argparse", "asyncio", "subprocess", "hashlib",
        "importlib", "inspect", "pathlib", "threading", "tempfile", "random",
    }  # fmt: skip
    ours = {module for module in modules if module.startswith("nessus_sched.")}
    assert ours <= {
        "nessus_sched.__main__",
        "nessus_sched.ipc",
        "nessus_sched.ipc.framing",
        "nessus_sched.ipc.relay",
        "nessus_sched.ipc.relay_messages",
        "nessus_sched.ipc.leaders",
        "nessus_sched.ipc.discovery",
    }
    assert len(modules) < 75


async def test_the_console_script_is_the_relay(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("nessus-sched")
    if not script.exists():
        pytest.skip("the console script is not installed")
    async with daemon(tmp_path / "s", App()), relay(tmp_path / "s", str(script), "mcp") as process:
        assert await works(pipes(process), await opened(pipes(process)))


@pytest.mark.slow
async def test_it_starts_about_as_fast_as_an_interpreter(tmp_path: Path) -> None:
    async def best(*arguments: str) -> float:
        times = []
        for _ in range(5):
            started = time.perf_counter()
            await trio.run_process([sys.executable, *arguments], stdin=b"", env=BARE)
            times.append(time.perf_counter() - started)
        return min(times)

    bare = await best("-c", "pass")
    ours = await best("-m", "nessus_sched", "mcp", "--socket", str(tmp_path / "s"))
    assert ours < 5 * bare + 0.03


async def test_a_socket_one_may_not_use_is_said_so(tmp_path: Path) -> None:
    if os.getuid() == 0:
        pytest.skip("root may use every socket")
    async with daemon(tmp_path / "s", App()), relay(tmp_path / "s") as process:
        os.chmod(tmp_path / "s", 0)
        lines = LineBuffer(pipes(process))
        await pipes(process).send_all(request(1, "initialize"))
        assert "group" in (await lines.next())["error"]["message"]


async def test_a_refused_initialize_is_not_repeated_later(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with relay(path) as process:
        await pipes(process).send_all(request(1, "initialize"))
        assert "not running" in (await LineBuffer(pipes(process)).next())["error"]["message"]
        async with daemon(path, App()):
            lines = await opened(pipes(process))
            assert await works(pipes(process), lines)


def test_unknown_arguments_are_for_the_command_line_interface() -> None:
    from nessus_sched.ipc import relay as module

    assert module.main(["--print-config"]) is None
    assert module.main(["--config"]) is None


def test_json_ids_of_every_kind_are_told_apart() -> None:
    from nessus_sched.ipc.framing import error_line

    assert json.loads(error_line(-1, "ä", "1"))["id"] == "1"
    assert json.loads(error_line(-1, "ä", 1))["id"] == 1


@pytest.mark.parametrize(
    ("request_", "may_be_asked_again"),
    [
        ({"method": "tools/list"}, True),
        ({"method": "tools/call", "params": {"name": "get_scan_status"}}, True),
        ({"method": "tools/call", "params": {"name": "wait_for_scan"}}, True),
        ({"method": "tools/call", "params": {"name": "submit_scan"}}, False),
        ({"method": "tools/call", "params": {"name": "cancel_scan"}}, False),
        ({"method": "tools/call", "params": None}, False),
        ({"method": "operator/call", "params": {"name": "get_anything"}}, False),
    ],
)
def test_only_what_changes_nothing_is_asked_again(
    request_: dict[str, Any], may_be_asked_again: bool
) -> None:
    assert is_safe_to_retry(request_) is may_be_asked_again


def test_no_tool_that_writes_is_taken_for_a_reading_one() -> None:
    reading = {tool.name for tool in TOOLS if tool.name.startswith(READING_TOOLS)}
    assert reading == {tool.name for tool in TOOLS if not tool.writes}


async def test_who_is_turned_away_reads_why(tmp_path: Path) -> None:
    why = "no role names your user"
    async with (
        daemon(tmp_path / "s", App(), admit=turned_away(why)),
        relay(tmp_path / "s") as process,
    ):
        lines = LineBuffer(pipes(process))
        for number in (1, 2):
            await pipes(process).send_all(request(number, "initialize"))
            with trio.fail_after(30):
                answer = await lines.next()
            assert answer["id"] == number
            said = answer["error"]["message"]
            assert said == f"The nessus-sched daemon closed the connection: {why}."


async def test_the_reason_for_closing_is_read_even_when_sending_fails_first(tmp_path: Path) -> None:
    """The daemon hangs up while the relay still has something to send."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        async with relay(tmp_path / "s") as process, trio.open_nursery() as nursery:
            more_than_fits = call(1, "submit_scan", text="x" * 2**20)
            nursery.start_soon(pipes(process).send_all, more_than_fits)
            daemon_end, _ = await trio.to_thread.run_sync(listener.accept)
            process.send_signal(signal.SIGSTOP)
            await trio.to_thread.run_sync(os.waitpid, process.pid, os.WUNTRACED)
            daemon_end.sendall(closing_line("too busy"))
            daemon_end.close()
            process.send_signal(signal.SIGCONT)
            with trio.fail_after(30):
                answer = await LineBuffer(pipes(process)).next()
    assert answer["id"] == 1
    assert "closed the connection: too busy." in answer["error"]["message"]
