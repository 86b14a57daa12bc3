"""A real daemon whose wall clock is set by hours while it runs."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

import pytest
import trio

from nessus_sched.core.clock import system_now
from nessus_sched.sim.options import SimOptions
from support.processes import client, daemon, scanner_yaml, settled, simulators, site

SOURCE = Path(__file__).parent.parent / "lib" / "support" / "stepped_clock.c"
HOURS = 30


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for the preloaded clock")
async def test_a_clock_that_is_set_delays_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, ahead = tmp_path / "stepped_clock.so", tmp_path / "ahead"
    await trio.run_process(["cc", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"])
    ahead.write_text("0")
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("STEPPED_CLOCK", str(ahead))
    async with simulators(SimOptions(seed=1, scans_take=3.0, export_takes=0.05)) as (sim,):
        place = site(tmp_path, [scanner_yaml("east", sim, 1)])
        async with daemon(place), client(place) as tools:
            for hours in (HOURS, -HOURS):
                running = await tools.call("submit_scan", targets=["192.0.2.1"])
                waiting = await tools.call("submit_scan", targets=["192.0.2.2"])
                with trio.fail_after(60):
                    while not sim.nessus.engine.under_way():  # noqa: ASYNC110 - another program's
                        await trio.sleep(0.05)
                ahead.write_text(str(hours * 3600))
                for each in (running, waiting):
                    done = await settled(tools, each["task_id"])
                    assert done["status"] == "completed", done
                # It is the clock that was set which people are shown.
                status = await tools.call("get_scan_status", task_id=waiting["task_id"])
                ended = datetime.fromisoformat(status["entered"]["completed"])
                assert abs(ended.timestamp() - system_now() - hours * 3600) < 600
