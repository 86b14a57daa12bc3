"""A scanner that answers, but fails whenever it is asked about one of our scans."""

from __future__ import annotations

from pathlib import Path

from trio.testing import MockClock

from nessus_sched.core.scanner import TransientError
from nessus_sched.core.states import TaskState
from support.fake_scanner import FakeScanner
from support.trouble import Effect, Trouble, lost
from support.world import one_scanner, seen

BROKEN = Trouble(error=TransientError("GET /scans/1 failed (500)."))


def tells_no_details(scanner: FakeScanner) -> None:
    scanner.fault = lambda request: BROKEN if request == "details" else None


async def test_it_is_shown_once_and_the_scan_ends_by_the_list(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        export = iter([BROKEN, BROKEN])
        scanner.fault = lambda request: (
            BROKEN if request == "details" else next(export, None) if request == "export" else None
        )
        task = await w.running()
        await seen(lambda: scanner.requests["details"] > 3)
        shown = (await w.task(task.task_id)).last_error
        assert shown is not None
        assert (shown.kind, shown.message) == ("scanner_trouble", "GET /scans/1 failed (500).")
        assert (await w.settled(task.task_id, within=7200)).state is TaskState.COMPLETED
        assert (await w.events(task)).count("scan_not_followed") == 1


async def test_a_cancel_is_obeyed_all_the_same(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        tells_no_details(scanner)
        task = await w.running()
        await w.service.cancel(task.task_id, actor="me")
        assert (await w.settled(task.task_id, within=30)).state is TaskState.CANCELED
        assert not scanner.active()


async def test_a_launch_in_doubt_is_followed_without_them(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        launch = iter([lost(Effect.DONE)])
        scanner.fault = lambda request: (
            next(launch, None) if request == "launch" else BROKEN if request == "details" else None
        )
        task = await w.submit()
        assert (await w.settled(task.task_id, within=7200)).state is TaskState.COMPLETED
        assert scanner.launches.total() == 1
