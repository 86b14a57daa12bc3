"""Limits on scans in a network, over all scanners."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.config.calendar import NetworkSettings
from nessus_sched.config.schema import TargetSettings
from nessus_sched.core.pool.wait_reasons import WaitCode
from nessus_sched.core.profile import ScanProfile
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import ScanKind, ScanRequest
from support.fake_scanner import FakeScanner
from support.world import config_of, scanner_settings, virtual_now, world

LIMIT = NetworkSettings(cidr="192.0.2.0/25", max_concurrent_scans=2)


async def test_no_more_scans_run_in_a_network_than_may(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    random = Random(1)
    found = {
        name: FakeScanner(virtual_now(), duration=lambda _order: random.uniform(100, 900))
        for name in "abc"
    }
    config = config_of(tmp_path, *(scanner_settings(name, 3) for name in "abc"), networks=(LIMIT,))
    most = [0]

    def running() -> int:
        return sum(
            any(target.startswith("192.0.2.") for target in scan.order.targets)
            for scanner in found.values()
            for scan in scanner.active()
            if scan.order is not None
        )

    async with world(config, found) as w:
        inside = [await w.submit(f"192.0.2.{number}") for number in range(1, 13)]
        outside = [await w.submit(f"198.51.100.{number}") for number in range(1, 8)]
        await trio.sleep(30)
        waits = (await w.queries.task(inside[-1].task_id)).standing.wait_reason
        assert waits is not None
        assert waits.code is WaitCode.NETWORK_LIMIT
        assert "192.0.2.0/25" in waits.text
        states = [(await w.task(each.task_id)).state for each in outside]
        assert states == [TaskState.RUNNING] * 7  # three slots of each scanner, less two
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                while True:
                    most[0] = max(most[0], running())
                    await trio.sleep(5)

            nursery.start_soon(watch)
            for task in inside + outside:
                assert (await w.settled(task.task_id)).state is TaskState.COMPLETED
            nursery.cancel_scope.cancel()
    assert most[0] == 2
    assert sum(sum(scanner.launches.values()) for scanner in found.values()) == 19


async def test_a_reload_changes_the_limit(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    found = {"a": FakeScanner(virtual_now(), duration=lambda _order: 3600.0)}
    config = config_of(tmp_path, scanner_settings("a", 5), networks=(LIMIT,))
    async with world(config, found) as w:
        for number in range(1, 6):
            await w.submit(f"192.0.2.{number}")
        await trio.sleep(60)
        assert len(found["a"].active()) == 2
        raised = attrs.evolve(LIMIT, max_concurrent_scans=4)
        await w.fleet.apply(attrs.evolve(config, networks=(raised,)))
        await trio.sleep(60)
        assert len(found["a"].active()) == 4
        await w.fleet.apply(attrs.evolve(config, networks=()))
        await trio.sleep(60)
        assert len(found["a"].active()) == 5


@pytest.mark.parametrize("why", ["scanner", "hours", "targets", "canceled"])
async def test_what_has_room_does_not_wait_behind_what_cannot_start_anyway(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, why: str
) -> None:
    """Many tasks that wait for room in the network, first those that cannot use it."""
    found = {name: FakeScanner(virtual_now()) for name in "ab"}
    limit = attrs.evolve(LIMIT, max_concurrent_scans=1)
    config = config_of(tmp_path, *(scanner_settings(name, 3) for name in "ab"), networks=(limit,))
    async with world(config, found) as w:
        first = await w.running("192.0.2.1", scanner_instance="b")
        found["b"].duration = lambda _order: 30 * 86400.0
        changes: Mapping[str, Any] = {
            "scanner": {"scanner_instance": "a"},
            "hours": {"between": "00:00-01:00"},
        }.get(why, {})
        more = ("198.51.100.1",) if why == "targets" else ()
        others = [await w.submit(f"192.0.2.{n}", *more, **changes) for n in range(2, 32)]
        last = await w.submit("192.0.2.100")
        await trio.sleep(60)
        if why == "scanner":
            await w.operator.switch("a", "drain", actor="op")
        elif why == "targets":
            await w.running("198.51.100.1", scanner_instance="b")
        elif why == "canceled":
            for name in "ab":
                await w.operator.switch(name, "drain", actor="op")
        await w.settled(first.task_id)
        if why == "canceled":
            for task in others:
                await w.service.cancel(task.task_id, actor="me")
            await w.operator.switch("b", "undrain", actor="op")
        await w.until(last.task_id, TaskState.RUNNING, within=60)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "settings", "profile", "policy", "expected"),
    [
        ("192.0.2.1", {}, None, None, 15),
        ("192.0.2.1", {"max_hosts_per_scan": "4"}, None, None, 4),
        ("192.0.2.1", {"max_hosts_per_scan": "90"}, None, None, 15),
        ("192.0.2.1", {}, "fast", None, 15),
        ("192.0.2.1", {}, "gentle", None, 3),
        ("192.0.2.0-192.0.2.200", {}, None, None, 15),
        ("web.example.com", {}, None, None, 15),
        ("192.0.2.128", {}, None, None, None),
        ("192.0.2.1", {}, None, "ours", None),
    ],
)
async def test_each_scan_in_a_network_gets_its_share_of_hosts(
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
    target: str,
    settings: dict[str, str],
    profile: str | None,
    policy: str | None,
    expected: int | None,
) -> None:
    limit = attrs.evolve(LIMIT, max_concurrent_hosts=31)
    config = config_of(
        tmp_path,
        scanner_settings("a"),
        networks=(limit,),
        targets=TargetSettings(allow=("192.0.2.0/24", "*.example.com")),
        custom_settings_allowed=("max_hosts_per_scan",),
        scan_profiles=(
            ScanProfile(name="fast", max_hosts=100),
            ScanProfile(name="gentle", max_hosts=3),
        ),
    )
    found = {"a": FakeScanner(virtual_now())}
    async with world(config, found, resolve=lambda _name: ("192.0.2.5",)) as w:
        kind = ScanKind.CUSTOM if policy else ScanKind.BASIC
        request = ScanRequest(
            kind=kind, targets=(target,), settings=settings, profile=profile, policy=policy
        )
        made = await w.service.submit(request, actor="test")
        await w.settled(made.view.task.task_id)
    [order] = found["a"].orders.values()
    given = {**order.profile, **order.settings}.get("max_hosts_per_scan")
    assert given == (None if expected is None else str(expected))
