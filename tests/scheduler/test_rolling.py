"""A scan that ends early keeps what it found, and only the rest is scanned."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.schema import SchedulingSettings
from nessus_sched.core.scanner import ScanStatus
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets.ranges import address_text
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import OnEarlyEnd, Task
from support.fake_scanner import FakeScanner, hosts_of, unreachable
from support.world import (
    World,
    config_of,
    error_kind,
    one_scanner,
    scanner_settings,
    virtual_now,
    world,
)

ONCE = SchedulingSettings(backoff_base=10.0, backoff_max=120.0, max_attempts=1)
NETWORK = "192.0.2.0/28"
ROLL, KEEP, DISCARD = OnEarlyEnd.ROLL, OnEarlyEnd.KEEP, OnEarlyEnd.DISCARD


def finished(task: Task) -> set[str]:
    """The hosts whose results are kept and whole."""
    return set((task.summary or {}).get("finished", ()))


def scanned(scanner: FakeScanner) -> list[set[str]]:
    """The targets of its scans, oldest first."""
    return [set(hosts_of(order)) for order in scanner.orders.values()]


async def attempt(w: World, task: Task, number: int) -> None:
    """Returns when the scan of that attempt runs."""
    while (await w.task(task.task_id)).attempt < number:  # noqa: ASYNC110 - of virtual time
        await trio.sleep(1)
    await w.until(task.task_id, TaskState.RUNNING)


async def aborted(_w: World, scanner: FakeScanner, _task: Task) -> None:
    scanner.restart()


async def stopped(_w: World, scanner: FakeScanner, _task: Task) -> None:
    scanner.set_status(scanner.scans[max(scanner.scans)], ScanStatus.STOPPED)


async def overdue(_w: World, _scanner: FakeScanner, _task: Task) -> None:
    await trio.sleep(100)


EVERY = {f"192.0.2.{n}" for n in range(16)}


@pytest.mark.parametrize("ends", [aborted, stopped, overdue])
async def test_rolling_scans_only_what_was_not_finished(
    tmp_path: Path, autojump_clock: MockClock, ends: object
) -> None:
    async with one_scanner(tmp_path, scheduling=ONCE) as (w, scanner):
        task = await w.running(NETWORK, max_runtime=400.0, on_early_end=ROLL)
        await trio.sleep(310)
        assert callable(ends)
        scanner.duration = lambda _order: 100.0
        await ends(w, scanner, task)
        done = await w.settled(task.task_id, within=1000)
        first, second = scanned(scanner)
        assert first == EVERY
        assert len(second) in range(6, 9), "the host that had begun is scanned again"
        assert done.state is TaskState.COMPLETED
        assert finished(done) == EVERY
        assert (done.partial, done.failures, done.request.targets) == (None, 0, (NETWORK,))
        assert [each.whole for each in done.reports] == [False, True]


@pytest.mark.parametrize(
    ("ends", "wish", "state", "kind"),
    [
        (stopped, None, TaskState.PARTIAL, "stopped_on_scanner"),
        (overdue, None, TaskState.PARTIAL, "max_runtime"),
        (aborted, KEEP, TaskState.PARTIAL, "scan_aborted"),
        (stopped, DISCARD, TaskState.CANCELED, "stopped_on_scanner"),
        (overdue, DISCARD, TaskState.TIMED_OUT, "max_runtime"),
        (aborted, DISCARD, TaskState.DEAD, "scan_aborted"),
    ],
)
async def test_what_was_found_is_kept_or_discarded(
    tmp_path: Path,
    autojump_clock: MockClock,
    ends: object,
    wish: OnEarlyEnd | None,
    state: TaskState,
    kind: str,
) -> None:
    async with one_scanner(tmp_path, scheduling=ONCE) as (w, scanner):
        task = await w.running(NETWORK, max_runtime=400.0, on_early_end=wish)
        await trio.sleep(310)
        assert callable(ends)
        await ends(w, scanner, task)
        done = await w.settled(task.task_id, within=1000)
        assert (done.state, error_kind(done)) == (state, kind)
        assert len(scanner.orders) == 1
        if wish is DISCARD:
            assert (done.summary, done.reports) == (None, ())
            assert not scanner.requests["export"]
        else:
            assert done.partial is not None
            assert len(finished(done)) in range(8, 11)
            assert set(hosts(done.to_scan)) == EVERY - finished(done)


@pytest.mark.parametrize(
    ("default", "wish", "what"),
    [(ROLL, None, ROLL), (ROLL, KEEP, KEEP), (DISCARD, None, DISCARD), (KEEP, ROLL, ROLL)],
)
async def test_the_configuration_has_a_default_for_those_who_do_not_say(
    tmp_path: Path,
    autojump_clock: MockClock,
    default: OnEarlyEnd,
    wish: OnEarlyEnd | None,
    what: OnEarlyEnd,
) -> None:
    settings = attrs.evolve(ONCE, on_early_end=default)
    async with one_scanner(tmp_path, scheduling=settings) as (w, scanner):
        task = await w.running(NETWORK, max_runtime=400.0, on_early_end=wish)
        await w.settled(task.task_id)
        assert (len(scanner.orders) > 1) is (what is ROLL)
        assert bool(scanner.requests["export"]) is (what is not DISCARD)


def hosts(texts: tuple[str, ...]) -> list[str]:
    ranges = parse_targets(texts).ranges
    return [address_text(n) for first, last in ranges for n in range(first, last + 1)]


async def test_a_scan_that_is_aborted_again_and_again_gets_done(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, scheduling=ONCE) as (w, scanner):
        scanner.duration = lambda order: 40.0 * len(hosts_of(order))
        task = await w.submit(NETWORK)
        seen: set[str] = set()
        for number in (1, 2, 3):
            await attempt(w, task, number)
            await trio.sleep(210)
            scanner.restart()
            await w.until(task.task_id, TaskState.RETRY_WAIT)
            now = finished(await w.task(task.task_id))
            assert seen < now
            seen = now
        done = await w.settled(task.task_id)
        assert (done.state, finished(done)) == (TaskState.COMPLETED, EVERY)
        assert [len(each) for each in scanned(scanner)] == [16, 11, 6, 1]


async def test_a_scan_that_finishes_nothing_is_not_repeated_for_ever(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    twice = SchedulingSettings(backoff_base=10.0, backoff_max=120.0, max_attempts=2)
    async with one_scanner(tmp_path, scheduling=twice) as (w, scanner):
        task = await w.submit(NETWORK)
        for number, wait in enumerate((320, 5, 5), 1):
            await attempt(w, task, number)
            await trio.sleep(wait)
            scanner.restart()
        done = await w.settled(task.task_id)
        assert (done.state, error_kind(done)) == (TaskState.PARTIAL, "scan_aborted")
        assert len(finished(done)) == 8


async def test_a_dead_letter_is_retried_with_what_remains(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, scheduling=ONCE) as (w, scanner):
        task = await w.running(NETWORK)
        await trio.sleep(320)
        scanner.restart()
        await attempt(w, task, 2)
        scanner.remove(scanner.scans[2])
        assert (await w.settled(task.task_id)).state is TaskState.DEAD
        assert len(finished(await w.task(task.task_id))) == 8
        await w.service.retry_dead(task.task_id, actor="me")
        done = await w.settled(task.task_id)
        assert (done.state, finished(done)) == (TaskState.COMPLETED, EVERY)
        assert len(scanned(scanner)[-1]) == 8


@pytest.mark.parametrize("after", [1.0, 20.0, 330.0, 400.0])
async def test_a_killed_daemon_goes_on_with_what_remains(
    tmp_path: Path, autojump_clock: MockClock, after: float
) -> None:
    scanner = FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a", 1))
    async with world(config, {"a": scanner}) as w:
        task = await w.running(NETWORK)
        await trio.sleep(320)
        scanner.restart()
        await trio.sleep(after)
    async with world(config, {"a": scanner}) as w:
        done = await w.settled(task.task_id)
    assert (done.state, finished(done)) == (TaskState.COMPLETED, EVERY)
    assert [len(each) for each in scanned(scanner)] == [16, 8]
    async with world(config, {"a": scanner}) as w:
        assert (await w.settled(task.task_id)).remaining == ()


async def test_what_a_lost_scanner_found_for_a_canceled_task_is_kept(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        task = await w.running(NETWORK)
        await trio.sleep(320)
        scanner.down = unreachable()
        await w.service.cancel(task.task_id, actor="me")
        await w.settled(task.task_id)
        scanner.down = None
        await trio.sleep(3600)
        done = await w.task(task.task_id)
        assert (done.state, len(done.reports), done.remaining) == (TaskState.CANCELED, 1, ())
        assert len(finished(done)) > 8
