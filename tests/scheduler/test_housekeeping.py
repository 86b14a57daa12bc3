"""Housekeeping: what has been kept long enough goes, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from nessus_sched.config.schema import (
    Config,
    PollingSettings,
    RetentionSettings,
    SchedulingSettings,
)
from nessus_sched.core.scanner import Refused
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import marker
from nessus_sched.scheduler.housekeeping import Housekeeping
from nessus_sched.store.executor import InLine
from nessus_sched.store.exports import ExportStore
from nessus_sched.store.findings import open_findings
from support.fake_scanner import FakeScanner
from support.trouble import Trouble
from support.world import EPOCH, World, config_of, scanner_settings, virtual_now, world

DAY = 86400.0
KEPT = RetentionSettings(
    completed=30 * DAY,
    canceled=7 * DAY,
    dead=90 * DAY,
    findings=20 * DAY,
    exports=10 * DAY,
    remote_scans=DAY,
)


def configured(directory: Path, **retention: float) -> Config:
    kept = attrs.evolve(KEPT, **retention)
    # Months pass here: look at the scanner now and then only.
    polling = PollingSettings(fastest=3600.0, slowest=DAY / 4, info=DAY)
    return config_of(directory, scanner_settings("a"), retention=kept, polling=polling)


@attrs.define
class Deleted:
    counts: Counter[str] = attrs.field(factory=Counter)

    def __call__(self, what: str, count: int) -> None:
        self.counts[what] += count


async def in_line(work: Callable[..., object], *args: object) -> object:
    """Virtual time does not see threads."""
    return work(*args)


@asynccontextmanager
async def housekeeping(w: World, directory: Path, deleted: Any) -> AsyncIterator[Housekeeping]:
    exports = ExportStore(directory / "exports")
    exports.prepare()
    async with aclosing(await open_findings(directory / "findings.db", InLine())) as findings:
        yield Housekeeping(w.context, w.fleet, findings, exports, deleted, run_sync=in_line)


async def test_finished_scans_leave_the_scanner_and_then_tasks_leave_the_store(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    scanner, deleted = FakeScanner(virtual_now()), Deleted()
    async with world(configured(tmp_path), {"a": scanner}) as w:
        done = await w.submit("192.0.2.1")
        await w.settled(done.task_id)
        async with housekeeping(w, tmp_path, deleted) as keeper:
            assert not any((await keeper.sweep()).values())
            assert len(scanner.scans) == 1

            await trio.sleep(2 * DAY)
            assert (await keeper.sweep(dry_run=True))["scans"] == 1
            assert len(scanner.scans) == 1
            scanner.fault = lambda request: (
                Trouble(error=Refused("not now")) if request == "delete" else None
            )
            assert (await keeper.sweep())["scans"] == 0
            scanner.fault = lambda _request: None
            assert (await keeper.sweep())["scans"] == 1
            assert not scanner.scans
            assert (await w.task(done.task_id)).state is TaskState.COMPLETED

            await trio.sleep(30 * DAY)
            assert (await keeper.sweep(dry_run=True))["completed_tasks"] == 1
            assert (await keeper.sweep())["completed_tasks"] == 1
            assert await w.store.get(done.task_id) is None
            assert (await w.store.verify()).ok
    assert deleted.counts == {"scans": 1, "completed_tasks": 1}


async def test_scans_that_run_or_wait_for_their_task_are_left_alone(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    scanner = FakeScanner(virtual_now(), duration=lambda _order: 10 * DAY)
    config = attrs.evolve(
        configured(tmp_path), scheduling=attrs.evolve(Config().scheduling, max_runtime=30 * DAY)
    )
    async with world(config, {"a": scanner}) as w:
        running = await w.submit("192.0.2.1")
        await w.until(running.task_id, TaskState.RUNNING)
        await trio.sleep(3 * DAY)
        async with housekeeping(w, tmp_path, Deleted()) as keeper:
            assert not any((await keeper.sweep()).values())
            assert (await w.settled(running.task_id)).state is TaskState.COMPLETED
            assert not any((await keeper.sweep()).values()), "kept from its end on"


async def test_other_peoples_scans_and_those_of_unknown_tasks_are_never_touched(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    scanner = FakeScanner(virtual_now())
    async with world(configured(tmp_path), {"a": scanner}) as w:
        foreign = scanner.add_foreign("weekly", 10.0)
        unknown = scanner.add_foreign("somebody's [ns:t-23456789abcdef.1]", 10.0)
        unknown.ours = True
        task = await w.submit("192.0.2.1")
        await w.settled(task.task_id)
        moved = scanner.add_foreign("taken out of our folder " + task.marker, 10.0)
        scanner.remove(next(scan for scan in scanner.scans.values() if not scan.foreign))
        await trio.sleep(20 * DAY)
        async with housekeeping(w, tmp_path, Deleted()) as keeper:
            assert not any((await keeper.sweep()).values())
    assert set(scanner.scans) == {foreign.scan_id, unknown.scan_id, moved.scan_id}
    assert not scanner.requests["delete"]


async def test_an_aborted_attempt_is_cleared_away(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    scanner = FakeScanner(virtual_now(), duration=lambda _order: 5 * DAY)
    config = attrs.evolve(
        configured(tmp_path), scheduling=attrs.evolve(Config().scheduling, max_runtime=30 * DAY)
    )
    async with world(config, {"a": scanner}) as w:
        task = await w.running("192.0.2.1")
        scanner.restart()
        await w.until(task.task_id, TaskState.RETRY_WAIT)
        await w.until(task.task_id, TaskState.RUNNING)
        await trio.sleep(2 * DAY)
        async with housekeeping(w, tmp_path, Deleted()) as keeper:
            assert (await keeper.sweep())["scans"] == 1
            assert set(scanner.scans) == {(await w.task(task.task_id)).nessus_scan_id}


async def test_the_scans_of_a_purged_dead_letter_go(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    scanner = FakeScanner(virtual_now())
    config = attrs.evolve(configured(tmp_path), scheduling=SchedulingSettings(max_attempts=1))
    async with world(config, {"a": scanner}) as w:
        task = await w.running("192.0.2.1")
        scanner.restart()
        assert (await w.settled(task.task_id)).state is TaskState.DEAD
        async with housekeeping(w, tmp_path, Deleted()) as keeper:
            assert (await keeper.sweep())["scans"] == 0
            running = scanner.add_foreign("of the same task " + marker(task.task_id, 2), 5 * DAY)
            running.ours = True

            await w.store.purge_tasks([task.task_id], at=w.context.now())
            assert (await keeper.sweep())["scans"] == 1
            assert set(scanner.scans) == {running.scan_id}


async def test_exports_and_findings_have_terms_of_their_own(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    deleted = Deleted()
    async with (
        world(configured(tmp_path), {"a": FakeScanner(virtual_now())}) as w,
        housekeeping(w, tmp_path, deleted) as keeper,
    ):
        findings = keeper._findings
        await findings.put("t-old", [], at=EPOCH - 21 * DAY)
        await findings.put("t-new", [], at=EPOCH - 19 * DAY)
        counts = await keeper.sweep()
        assert counts["findings"] == 1
        assert set(await findings.imports()) == {"t-new"}
    assert deleted.counts == {"findings": 1}
