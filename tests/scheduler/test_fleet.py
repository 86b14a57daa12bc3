"""Operators: drain, disable, pause everything; reloads with scans running."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from nessus_sched.config.scanners import ScannerSettings
from nessus_sched.config.schema import AuditSettings, Config, TargetSettings
from nessus_sched.core.credentials import Credential, CredentialKind
from nessus_sched.core.pool import refiling
from nessus_sched.core.pool.breaker import BreakerState
from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.scanner import BadExport
from nessus_sched.core.secret import Secret
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import ScanKind, ScanRequest, Task
from nessus_sched.scheduler.fleet import Fleet
from support.fake_scanner import FakeScanner, unreachable
from support.trouble import Trouble
from support.world import World, config_of, one_scanner, scanner_settings, virtual_now, world


async def why(w: World, task: Task) -> WaitCode | None:
    reason = (await w.queries.task(task.task_id)).standing.wait_reason
    return reason.code if reason else None


def only(config: Config, *scanner_ids: str) -> Config:
    kept = tuple(each for each in config.scanners if each.id in scanner_ids)
    return attrs.evolve(config, scanners=kept)


def limited(config: Config, limit: int) -> Config:
    scanners = tuple(attrs.evolve(s, max_concurrent_scans=limit) for s in config.scanners)
    return attrs.evolve(config, scanners=scanners)


@pytest.mark.parametrize(
    ("off", "on", "code"),
    [
        ("drain", "undrain", WaitCode.SCANNER_DRAINING),
        ("disable", "enable", WaitCode.SCANNER_DISABLED),
    ],
)
async def test_a_scanner_switched_off_finishes_and_starts_no_more(
    tmp_path: Path, autojump_clock: MockClock, off: str, on: str, code: WaitCode
) -> None:
    async with one_scanner(tmp_path, 2) as (w, _scanner):
        running = await w.running("192.0.2.1")
        await w.operator.switch("a", off, actor="op")
        task = await w.submit("192.0.2.2")
        assert (await w.settled(running.task_id)).state is TaskState.COMPLETED
        await trio.sleep(3600)
        assert await why(w, task) is code
        await w.operator.switch("a", on, actor="op")
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED


async def test_a_global_pause_stops_everything_from_starting(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, 2) as (w, _scanner):
        running = await w.running("192.0.2.1")
        assert await w.operator.pause_all("pause", actor="op") == 1
        task = await w.submit("192.0.2.2")
        await w.until(running.task_id, TaskState.PAUSED, within=60)
        await trio.sleep(3600)
        assert await why(w, task) is WaitCode.PAUSED_ALL
        await w.operator.resume_all(actor="op")
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        assert (await w.task(running.task_id)).state is TaskState.PAUSED
        assert await w.operator.pause_all("stop", actor="op") == 1
        assert (await w.settled(running.task_id)).state is TaskState.CANCELED


async def test_a_global_pause_takes_back_no_cancel(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, _scanner):
        task = await w.running("192.0.2.1")
        await w.service.cancel(task.task_id, actor="test")
        assert await w.operator.pause_all("pause", actor="op") == 0
        assert (await w.settled(task.task_id)).state is TaskState.CANCELED


async def test_stopping_everything_spares_finished_scans(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        bad = [Trouble(error=BadExport("cut off"))]
        scanner.fault = lambda request: bad.pop() if request == "export" and bad else None
        task = await w.submit()
        await w.until(task.task_id, TaskState.EXPORTING)
        assert await w.operator.pause_all("stop", actor="op") == 0
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED


async def test_limits_are_raised_and_lowered_with_scans_running(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, 1) as (w, scanner):
        for n in range(1, 13):
            await w.submit(f"192.0.2.{n}")
        await trio.sleep(60)
        assert len(scanner.active()) == 1
        await w.fleet.apply(limited(w.context.config, 4))
        await trio.sleep(60)
        assert len(scanner.active()) == 4
        await w.fleet.apply(limited(w.context.config, 2))
        await trio.sleep(600)
        assert len(scanner.active()) == 2
        await trio.sleep(6000)
        assert scanner.launches.total() == 12
        assert scanner.most_running == 4


async def test_other_things_happen_while_a_reload_moves_many_tasks(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refiling, "PATIENCE", refiling.EACH)
    async with one_scanner(tmp_path, 1) as (w, _scanner):
        for n in range(1, 13):
            await w.submit(f"192.0.2.{n}")
        turns = 0

        async def something_else() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(something_else)
            faster = attrs.evolve(w.context.config.scheduling, ageing_after=60.0)
            await w.fleet.apply(attrs.evolve(w.context.config, scheduling=faster))
            nursery.cancel_scope.cancel()
        assert turns > 8


async def test_a_removed_scanner_finishes_what_runs_and_its_reports_come(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanners = {name: FakeScanner(virtual_now()) for name in "abc"}
    config = config_of(tmp_path, scanner_settings("a"), scanner_settings("b"))
    async with world(config, scanners) as w:
        running = await w.running("192.0.2.1", scanner_instance="a")
        waiting = await w.submit("192.0.2.2", scanner_instance="a")
        slow = [Trouble(error=BadExport("cut off"))] * 3
        scanners["a"].fault = lambda request: slow.pop() if request == "export" and slow else None
        await w.fleet.apply(only(config, "b"))
        done = await w.settled(running.task_id)
        assert done.state is TaskState.COMPLETED
        assert scanners["a"].closed
        assert "a" not in w.fleet.drivers
        assert await why(w, waiting) is WaitCode.SCANNER_REMOVED
        await w.fleet.apply(config)
        assert (await w.settled(waiting.task_id)).state is TaskState.COMPLETED


@pytest.mark.slow
async def test_a_scanner_that_is_down_can_be_removed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Also in the midst of the breaker's probe, and while another is added."""
    scanners = {name: FakeScanner(virtual_now(), latency=1.0) for name in "abc"}
    config = config_of(tmp_path, *(scanner_settings(name) for name in "abc"))
    async with world(only(config, "a", "b"), scanners) as w:
        scanners["a"].down = unreachable()
        await trio.sleep(300)
        while w.context.pool.breaker("a").state is not BreakerState.HALF_OPEN:  # noqa: ASYNC110
            await trio.sleep(0.1)  # `seen` would miss it: it lasts a second
        await w.fleet.apply(only(config, "b", "c"))
        await trio.sleep(3600)
        assert set(w.fleet.drivers) == {"b", "c"}
        task = await w.submit(scanner_instance="c")
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED


@pytest.mark.parametrize("away", [0.0, 0.5, 3600.0])
async def test_a_scanner_can_come_back_while_it_is_leaving(
    tmp_path: Path, autojump_clock: MockClock, away: float
) -> None:
    class Lingering(FakeScanner):
        async def close(self) -> None:
            await trio.sleep(3)  # the logout
            await super().close()

    scanners = {name: Lingering(virtual_now()) for name in "ab"}
    config = config_of(tmp_path, scanner_settings("a"), scanner_settings("b"))
    async with world(config, scanners) as w:
        await trio.sleep(10)
        await w.fleet.apply(only(config, "b"))
        await trio.sleep(away)
        await w.fleet.apply(config)
        task = await w.submit(scanner_instance="a")
        assert (await w.settled(task.task_id, within=1000)).state is TaskState.COMPLETED


async def test_a_removed_scanner_that_comes_back_goes_on_with_what_runs(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanners = {name: FakeScanner(virtual_now()) for name in "ab"}
    config = config_of(tmp_path, scanner_settings("a"), scanner_settings("b"))
    async with world(config, scanners) as w:
        running = await w.running("192.0.2.1", scanner_instance="a")
        await w.fleet.apply(only(config, "b"))
        await trio.sleep(60)
        await w.fleet.apply(limited(config, 1))
        second = await w.submit("192.0.2.2", scanner_instance="a")
        assert (await w.settled(running.task_id)).state is TaskState.COMPLETED
        assert (await w.settled(second.task_id)).state is TaskState.COMPLETED
        assert scanners["a"].most_running == 1


async def test_a_changed_connection_is_used_at_once_and_the_old_one_closed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The same machine under another address: its scans are followed there."""
    old, new = FakeScanner(virtual_now()), FakeScanner(virtual_now())
    new.scans, old.down = old.scans, None
    scanners = {"a": old}
    config = config_of(tmp_path, scanner_settings("a"))
    async with world(config, scanners) as w:
        running = await w.running("192.0.2.1")
        old.down = unreachable()
        await trio.sleep(300)
        assert w.context.pool.breaker("a").state is BreakerState.OPEN
        scanners["a"] = new
        moved = attrs.evolve(config.scanners[0], url="https://192.0.2.200:8834")
        await w.fleet.apply(attrs.evolve(config, scanners=(moved,)))
        await trio.sleep(5)
        assert w.queries.scanners()[0].trouble is None
        assert (await w.settled(running.task_id)).state is TaskState.COMPLETED
        assert old.closed
        assert not new.closed


async def test_targets_that_have_left_the_scope_are_not_sent(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        await w.running("192.0.2.1")
        task = await w.submit("192.0.2.2")
        narrow = TargetSettings(allow=("192.0.2.1",))
        await w.fleet.apply(attrs.evolve(w.context.config, targets=narrow))
        dead = await w.settled(task.task_id)
        assert dead.last_error is not None
        assert (dead.state, dead.last_error.kind) == (TaskState.DEAD, "targets_refused")
        assert scanner.requests["create_scan"] == 1


async def test_a_credential_that_has_vanished_is_told(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    login = Credential(
        name="web", kind=CredentialKind.SSH_PASSWORD, username="scan", password=Secret("wonderland")
    )
    async with one_scanner(tmp_path, credentials=(login,)) as (w, _scanner):
        await w.running("192.0.2.1")
        request = ScanRequest(kind=ScanKind.TRUSTED, targets=("192.0.2.2",), credentials=("web",))
        task = (await w.service.submit(request, actor="me")).view.task
        await w.fleet.apply(attrs.evolve(w.context.config, credentials=()))
        dead = await w.settled(task.task_id)
        assert dead.last_error is not None
        assert (dead.state, dead.last_error.kind) == (TaskState.DEAD, "unknown_credential")
        assert "wonderland" not in str(dead)


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        (ScanRequest(kind=ScanKind.CUSTOM, template="advanced", targets=("192.0.2.2",),
                     settings={"max_checks_per_host": "1"}), "settings_refused"),
        (ScanRequest(kind=ScanKind.CUSTOM, template="advanced", targets=("192.0.2.2",),
                     audit="cis"), "unknown_audit"),
    ],
)  # fmt: skip
async def test_what_the_operator_no_longer_allows_is_not_sent(
    tmp_path: Path, autojump_clock: MockClock, wanted: ScanRequest, kind: str
) -> None:
    allowed: dict[str, Any] = {
        "audits": (AuditSettings(name="cis", file=tmp_path / "cis.audit"),),
        "custom_settings_allowed": ("max_checks_per_host",),
    }
    async with one_scanner(tmp_path, **allowed) as (w, scanner):
        await w.running("192.0.2.1")
        task = (await w.service.submit(wanted, actor="me")).view.task
        nothing: dict[str, Any] = dict.fromkeys(allowed, ())
        await w.fleet.apply(attrs.evolve(w.context.config, **nothing))
        dead = await w.settled(task.task_id)
        assert dead.last_error is not None
        assert (dead.state, dead.last_error.kind) == (TaskState.DEAD, kind)
        assert scanner.requests["create_scan"] == 1


async def test_a_name_that_does_not_resolve_now_is_tried_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    addresses: dict[str, list[str]] = {"www.example.com": ["192.0.2.7"]}
    scanner = FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a"))
    async with world(config, {"a": scanner}, resolve=lambda n: addresses.get(n, [])) as w:
        await w.running("192.0.2.1")
        task = await w.submit("www.example.com")
        addresses.clear()
        waiting = await w.until(task.task_id, TaskState.RETRY_WAIT)
        assert waiting.last_error is not None
        assert waiting.last_error.kind == "name_not_resolved"
        addresses["www.example.com"] = ["192.0.2.8"]
        assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
        assert scanner.orders[2].targets == ("www.example.com[192.0.2.8]",)


async def test_a_name_that_leads_out_of_the_scope_by_now_is_refused(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    addresses = {"www.example.com": ["192.0.2.7"], "web.example.com": ["192.0.2.8"]}
    scanner = FakeScanner(virtual_now())
    config = config_of(tmp_path, scanner_settings("a"))
    async with world(config, {"a": scanner}, resolve=lambda n: addresses.get(n, [])) as w:
        await w.running("192.0.2.1")
        task = await w.submit("www.example.com", "web.example.com")
        addresses.update({"www.example.com": ["203.0.113.1"], "web.example.com": []})
        dead = await w.settled(task.task_id)
        assert dead.last_error is not None
        assert (dead.state, dead.last_error.kind) == (TaskState.DEAD, "targets_refused")
        assert scanner.requests["create_scan"] == 1


async def test_a_scanner_is_looked_at_more_often_while_something_waits_for_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path) as (w, scanner):
        scanner.duration = lambda _order: 1800.0
        first = await w.running("192.0.2.1")
        second = await w.submit("192.0.2.2")
        end = await w.settled(first.task_id)
        asked_when_wanted = scanner.requests["list_scans"]
        done = await w.settled(second.task_id)
        asked_otherwise = scanner.requests["list_scans"] - asked_when_wanted
        assert asked_when_wanted > 2 * asked_otherwise
        begun = done.entered[TaskState.LAUNCHING]
        assert first.launched_at is not None
        assert begun - (first.launched_at + 1800) < 0.02 * 1800 + 1
        assert end.entered[TaskState.EXPORTING] <= begun


async def test_a_reload_during_the_start_does_not_drive_a_scanner_twice(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many scanners, the start takes seconds."""
    add, reloads = Fleet._add_driver, list[str]()
    config = config_of(tmp_path, *(scanner_settings(name, 1) for name in "abc"))

    async def slowly(fleet: Fleet, settings: ScannerSettings) -> None:
        if not reloads:
            reloads.append(settings.id)
            assert fleet._nursery is not None
            fleet._nursery.start_soon(fleet.apply, config)
        await trio.sleep(1)
        await add(fleet, settings)

    monkeypatch.setattr(Fleet, "_add_driver", slowly)
    scanners = {name: FakeScanner(virtual_now()) for name in "abc"}
    async with world(config, scanners) as w:
        tasks = [await w.running(f"192.0.2.{n}", scanner_instance="abc"[n]) for n in range(3)]
        with trio.fail_after(600):
            for task in tasks:
                await w.service.cancel(task.task_id, actor="me")
                assert (await w.settled(task.task_id)).state is TaskState.CANCELED
        await trio.sleep(1000)
        before = scanners["c"].requests["list_scans"]
        await trio.sleep(12_000)
        assert scanners["c"].requests["list_scans"] - before == pytest.approx(100, abs=5)
        assert list(w.fleet.drivers) == ["a", "b", "c"]
