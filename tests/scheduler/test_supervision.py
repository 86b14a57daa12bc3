"""An error of ours while driving one scanner: its tasks go on, the others do not notice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from nessus_sched.config.schema import PollingSettings
from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.scanner import Scanner
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreTakenOver
from nessus_sched.core.task import Task
from nessus_sched.scheduler.driver.supervision import LAST_RESTART
from support.fake_scanner import FakeScanner
from support.world import World, config_of, scanner_settings, virtual_now, world

DURATION = 600.0
FOREVER = 10**6


class Buggy:
    """A scanner whose client fails at one kind of request as no client should: `before` the
    request is sent, or after it was answered. `skip` requests go well first."""

    def __init__(self, request: str, times: int, *, before: bool = True, skip: int = 0) -> None:
        self.fake = FakeScanner(virtual_now(), duration=lambda _: DURATION)
        self.times, self.skip = times, skip
        self.struck = 0
        self._request, self._before = request, before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.fake, name)
        return self._buggy(found) if name == self._request else found

    def _buggy(self, found: Any) -> Any:
        async def call(*args: Any, **named: Any) -> Any:
            self.skip -= 1
            strikes = self.skip < 0 and self.struck < self.times
            self.struck += strikes
            if strikes and self._before:
                raise ValueError("a bug of ours")
            answer = await found(*args, **named)
            if strikes:
                raise KeyError("a bug of ours")
            return answer

        return call


def two(directory: Path, buggy: Buggy) -> tuple[Any, Mapping[str, Scanner], FakeScanner]:
    good = FakeScanner(virtual_now(), duration=lambda _: DURATION)
    config = config_of(
        directory,
        scanner_settings("a", 2),
        scanner_settings("b", 2),
        polling=PollingSettings(fastest=15.0, slowest=60.0),
    )
    return config, {"a": cast(Scanner, buggy), "b": good}, good


async def submit(w: World, scanner: str, *targets: str) -> Task:
    return await w.submit(*targets, scanner_instance=scanner)


@pytest.mark.sampled(12)
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("request_", "skip"),
    [
        *(("info", 0), ("list_scans", 0), ("list_scans", 3), ("create_scan", 0)),
        *(("create_scan", 1), ("launch", 0), ("launch", 1), ("details", 0), ("export", 0)),
    ],
)
async def test_its_tasks_are_resumed_and_run_once(
    tmp_path: Path, autojump_clock: MockClock, request_: str, skip: int, before: bool, times: int
) -> None:
    buggy = Buggy(request_, times, before=before, skip=skip)
    config, scanners, good = two(tmp_path, buggy)
    async with world(config, scanners, crashes=True) as w:
        mine = [await submit(w, "a", f"192.0.2.{number}") for number in range(1, 5)]
        other = await submit(w, "b", "192.0.2.9")
        assert (await w.settled(other.task_id)).state is TaskState.COMPLETED
        assert trio.current_time() < DURATION + 120, "the other scanner was held up"
        for task in mine:
            assert (await w.settled(task.task_id, within=6 * 3600)).state is TaskState.COMPLETED
        for scanner in w.queries.statistics().scanners:
            assert not scanner.slots.active
        assert set(w.fleet.failures) == {"a"}
        assert 1 <= w.fleet.failures["a"] <= buggy.struck == times  # two tasks may fail at once
    assert set(buggy.fake.launches.values()) == {1}
    assert len(buggy.fake.launches) == 4
    assert buggy.fake.most_running <= 2
    assert good.launches.total() == 1


async def test_it_is_logged_and_shown(tmp_path: Path, autojump_clock: MockClock) -> None:
    config, scanners, _ = two(tmp_path, Buggy("list_scans", FOREVER))
    with capture_logs() as lines:
        async with world(config, scanners, crashes=True) as w:
            await trio.sleep(1)
            [view] = [each for each in w.queries.scanners() if each.settings.id == "a"]
            assert view.trouble_kind == ErrorKind.INTERNAL_ERROR
            assert "internal error in nessus-sched" in (view.trouble or "")
            await trio.sleep(3600)
    failed = [line for line in lines if line["event"] == "driver_failed"]
    assert [line["failures"] for line in failed] == list(range(1, len(failed) + 1))
    assert failed[0]["restart_in"] < 6
    assert failed[-1]["restart_in"] > LAST_RESTART / 2
    assert 3600 / LAST_RESTART < len(failed) < 40


async def test_a_store_that_was_taken_over_ends_everything(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner = FakeScanner(virtual_now())

    def taken_over(request: str) -> None:
        if request == "launch":
            raise StoreTakenOver("another daemon leads")

    scanner.fault = taken_over
    config = config_of(tmp_path, scanner_settings("a"))

    async def life() -> None:
        async with world(config, {"a": scanner}, crashes=True) as w:
            await w.submit()
            await trio.sleep(60)

    with pytest.raises(BaseExceptionGroup) as caught:
        await life()
    assert caught.group_contains(StoreTakenOver)
    assert trio.current_time() < 60


async def test_a_cancel_while_it_waits_is_obeyed(tmp_path: Path, autojump_clock: MockClock) -> None:
    buggy = Buggy("list_scans", FOREVER, skip=3)
    config, scanners, _ = two(tmp_path, buggy)
    async with world(config, scanners, crashes=True) as w:
        task = await submit(w, "a", "192.0.2.1")
        waits = [await submit(w, "a", f"192.0.2.{number}") for number in (2, 3)]
        while not w.fleet.failures["a"]:  # noqa: ASYNC110 - nothing rings
            await trio.sleep(1)
        for each in (task, *waits):
            await w.service.cancel(each.task_id, actor="me")
        buggy.times = buggy.struck
        for each in (task, *waits):
            assert (await w.settled(each.task_id, within=3600)).state is TaskState.CANCELED
        assert not w.queries.statistics().scanners[0].slots.active


@pytest.mark.slow
async def test_a_scanner_is_removed_while_its_driver_waits(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    config, scanners, _ = two(tmp_path, Buggy("list_scans", FOREVER))
    async with world(config, scanners, crashes=True) as w:
        await trio.sleep(200)
        await w.fleet.apply(config_of(tmp_path, scanner_settings("b", 2)))
        await trio.sleep(1)
        assert set(w.fleet.drivers) == {"b"}
        await w.fleet.apply(config)
        await trio.sleep(1)
        assert set(w.fleet.drivers) == {"a", "b"}


async def test_a_stop_is_no_failure(tmp_path: Path, autojump_clock: MockClock) -> None:
    config, scanners, _ = two(tmp_path, Buggy("list_scans", 0))
    async with world(config, scanners, crashes=True) as w:
        await submit(w, "a", "192.0.2.1")
        await trio.sleep(100)
    assert not w.fleet.failures
