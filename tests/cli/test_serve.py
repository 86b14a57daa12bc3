"""What befalls `serve` before it serves, and how it ends when it must not."""

from __future__ import annotations

import json
import signal
from functools import partial
from pathlib import Path

import pytest
import trio

from support.crash import crashed
from support.processes import START, daemon, site

STATUS = "/proc/{}/status"
HELD = 1 << (signal.SIGHUP - 1)


def holds_back(process: trio.Process) -> bool:
    lines = Path(STATUS.format(process.pid)).read_text().splitlines()
    blocked = next(line.split()[1] for line in lines if line.startswith("SigBlk"))
    return bool(int(blocked, 16) & HELD)


@pytest.mark.slow
@pytest.mark.skipif(not Path(STATUS.format("self")).exists(), reason="no /proc here")
async def test_a_reload_during_the_start_is_done_after_it(tmp_path: Path) -> None:
    place = site(tmp_path, [])
    log = tmp_path / "daemon.log"
    with log.open("wb") as output:
        async with trio.open_nursery() as nursery:
            run = partial(
                trio.run_process, place.argv("serve"),
                stdout=output, stderr=output, env=place.environ,
            )  # fmt: skip
            process: trio.Process = await nursery.start(run)
            with trio.fail_after(START):
                while not holds_back(process):  # noqa: ASYNC110 - it happens in another process
                    await trio.sleep(0.001)
                process.send_signal(signal.SIGHUP)
                while log.read_text().count("config_loaded") < 2:  # noqa: ASYNC110 - as above
                    await trio.sleep(0.02)
            process.terminate()
    assert log.read_text().count("config_loaded") == 2


def lines(log: Path) -> list[dict[str, object]]:
    """The log, without what is not of it."""
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


@pytest.mark.slow
async def test_a_daemon_that_was_killed_is_told_of_by_the_next(tmp_path: Path) -> None:
    place = site(tmp_path, [])
    log = tmp_path / "daemon.log"
    async with daemon(place) as process:
        process.kill()
    async with daemon(place):
        pass
    told = [line["pid"] for line in lines(log) if line["event"] == "died_before"]
    assert told == [process.pid]


@pytest.mark.slow
async def test_a_fault_of_the_interpreter_is_told(tmp_path: Path) -> None:
    async with daemon(site(tmp_path, [])) as process:
        process.send_signal(signal.SIGBUS)
        await process.wait()
    said = (tmp_path / "daemon.log").read_text()
    assert "Fatal Python error: Bus error" in said


@pytest.mark.slow
@pytest.mark.parametrize("error", ["StoreUnavailable('the disk is gone')", "MemoryError()"])
def test_whatever_ends_a_daemon_that_was_up_is_in_the_log(error: str, tmp_path: Path) -> None:
    said = crashed(site(tmp_path, []), error).splitlines()
    last = [json.loads(line) for line in said if line.startswith("{")][-1]
    assert last["event"] == "crashed"
    assert error.split("(")[0] in last["exception"]
