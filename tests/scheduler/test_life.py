"""The life of a task, from submission to its end, over a scanner in virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from nessus_sched.core.states import TaskState
from support.fake_scanner import FakeScanner
from support.seals import marker
from support.world import config_of, scanner_settings, virtual_now, world


async def test_a_scan_is_launched_followed_exported_and_completed(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    scanner = FakeScanner(virtual_now())
    async with world(config_of(tmp_path, scanner_settings("a")), {"a": scanner}) as w:
        task = await w.submit("192.0.2.0/28", name="weekly")
        done = await w.settled(task.task_id)
    assert done.state is TaskState.COMPLETED
    assert done.summary is not None
    assert done.summary["findings"] == 1
    assert list(scanner.launches.values()) == [1]
    assert scanner.orders[1].targets == ("192.0.2.0/28",)
    assert scanner.orders[1].name == f"weekly {marker(task.task_id, 1)}"


async def test_the_journal_tells_the_whole_life(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(
        config_of(tmp_path, scanner_settings("a")), {"a": FakeScanner(virtual_now())}
    ) as w:
        task = await w.submit()
        await w.settled(task.task_id)
        events = [record.entry.event for record in await w.queries.history(task.task_id)]
    assert events == [
        "submitted",
        "taken",
        "scan_created",
        "launched",
        "scan_finished",
        "completed",
    ]


@pytest.mark.slow
async def test_no_more_scans_run_than_the_limit_allows(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    scanners = {"a": FakeScanner(virtual_now()), "b": FakeScanner(virtual_now())}
    config = config_of(tmp_path, scanner_settings("a", 2), scanner_settings("b", 3))
    async with world(config, scanners) as w:
        tasks = [await w.submit(f"192.0.2.{n}") for n in range(1, 31)]
        for task in tasks:
            assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
    assert scanners["a"].most_running == 2
    assert scanners["b"].most_running == 3
    assert sum(scanners["a"].launches.values()) + sum(scanners["b"].launches.values()) == 30
