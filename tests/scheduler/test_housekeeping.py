"""Housekeeping: what has been kept long enough goes, and nothing else."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.config.schema import (
    Config,
    PollingSettings,
    RetentionSettings,
    SchedulingSettings,
)
from nessus_sched.core.scanner import Refused, ScannerError
from nessus_sched.core.states import TaskState
from nessus_sched.scheduler.housekeeping import Housekeeping
from nessus_sched.store.executor import Inline
from nessus_sched.store.exports import ExportStore
from nessus_sched.store.findings.store import FindingsStore, open_findings
from support.fake_scanner import FakeScanner, unreachable
from support.seals import marker
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
    journal=0.0,
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
    async with aclosing(await open_findings(directory / "findings.db", Inline())) as findings:
        yield Housekeeping(w.context, w.fleet, findings, exports, deleted, run_sync=in_line)


def fails(scanner: FakeScanner, failing: str, error: ScannerError) -> None:
    scanner.fault = lambda request: Trouble(error=error) if request == failing else None


@pytest.mark.slow
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
            for troubled, error in (("delete", Refused("not now")), ("list_scans", unreachable())):
                fails(scanner, troubled, error)
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


@pytest.mark.slow
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


@pytest.mark.slow
async def test_other_peoples_scans_and_those_of_unknown_tasks_are_never_touched(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    scanner = FakeScanner(virtual_now())
    async with world(configured(tmp_path), {"a": scanner}) as w:
        foreign = scanner.add_foreign("weekly", 10.0)
        unknown = scanner.add_foreign("someone's [ns:t-23456789abcdef.1]", 10.0)
        unknown.ours = True
        task = await w.submit("192.0.2.1")
        await w.settled(task.task_id)
        moved = scanner.add_foreign("taken out of our folder " + marker(task.task_id, 1), 10.0)
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
        findings, exports = keeper._findings, ExportStore(tmp_path / "exports")
        assert isinstance(findings, FindingsStore)
        for name, days in (("t-old", 21), ("t-young", 19), ("t-new", 9)):
            at = EPOCH - days * DAY
            await findings.put(name, [], at=at)
            os.utime(exports.directory / exports.write(name, BytesIO(b"a report")), (at, at))
        for dry_run in (True, False):
            assert (
                set(exports.latest())
                == set(await findings.imports())
                == {"t-old", "t-young", "t-new"}
            )
            counts = await keeper.sweep(dry_run=dry_run)
            assert (counts["findings"], counts["exports"]) == (1, 2)
        assert set(await findings.imports()) == {"t-young", "t-new"}
        assert set(exports.latest()) == {"t-new"}
    assert deleted.counts == {"findings": 1, "exports": 2}


@pytest.mark.slow
async def test_each_kind_of_end_has_its_term_and_all_of_a_task_goes_with_it(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    config = configured(tmp_path, findings=1000 * DAY, exports=1000 * DAY)
    scanner = FakeScanner(virtual_now(), duration=lambda _order: DAY)
    async with (
        world(config, {"a": scanner}) as w,
        housekeeping(w, tmp_path, Deleted()) as keeper,
    ):
        findings, exports = keeper._findings, ExportStore(tmp_path / "exports")
        assert isinstance(findings, FindingsStore)
        ends = [await w.running(f"192.0.2.{n}", max_runtime=2.0 * DAY / n) for n in (1, 4)]
        ends += [await w.submit(f"192.0.2.{n}") for n in (5, 6)]
        await w.service.cancel(ends[2].task_id, actor="me")
        for task in ends[:2]:
            await w.settled(task.task_id)
        await w.until(ends[3].task_id, TaskState.RUNNING)
        scanner.remove(scanner.active()[0])
        states = [(await w.settled(task.task_id)).state for task in ends]
        assert states == [
            TaskState.COMPLETED, TaskState.TIMED_OUT, TaskState.CANCELED, TaskState.DEAD
        ]  # fmt: skip
        completed, timed_out, canceled, dead = (task.task_id for task in ends)
        for task_id in (completed, timed_out, canceled, dead):
            await findings.put(task_id, [], at=w.context.now())
            exports.write(task_id, BytesIO(b"a report"))
        for day, left in ((11, {completed, dead}), (34, {dead}), (95, set())):
            await trio.sleep_until(day * DAY)
            foreseen = await keeper.sweep(dry_run=True)
            assert await keeper.sweep() == foreseen
            assert set(exports.latest()) == set(await findings.imports()) == left
            assert {task.task_id for task in (await w.store.list(limit=10)).tasks} == left
            events = [each.entry.event for each in await w.store.journal_of(completed)]
            assert ("submitted" in events) == (day < 90)
        await trio.sleep_until(200 * DAY)
        await keeper.sweep(dry_run=True)
        assert await w.store.journal_of(dead)
        await keeper.sweep()
        assert not await w.store.journal_of(dead)
        assert (await w.store.verify()).ok
