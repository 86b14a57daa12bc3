"""What befalls `serve` before it serves."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

import pytest
import trio

from support.processes import START, site

STATUS = "/proc/{}/status"
HELD = 1 << (signal.SIGHUP - 1)


def holds_back(process: trio.Process) -> bool:
    lines = Path(STATUS.format(process.pid)).read_text().splitlines()
    blocked = next(line.split()[1] for line in lines if line.startswith("SigBlk"))
    return bool(int(blocked, 16) & HELD)


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
