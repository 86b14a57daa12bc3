"""Denied and excluded addresses within a requested network: left out, and never scanned."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from nessus_sched.config.schema import TargetSettings
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets.ranges import range_text
from nessus_sched.core.targets.scope import Scope, excluding
from nessus_sched.core.targets.targets import BadTargets, TargetSet, parse_asked, parse_targets
from nessus_sched.scheduler.errors import TargetsRefused
from support.fake_scanner import FakeScanner
from support.world import (
    basic,
    config_of,
    error_kind,
    one_scanner,
    scanner_settings,
    virtual_now,
    world,
)

TARGETS = TargetSettings(allow=("192.0.2.0/24", "*.example.com"), deny=("192.0.2.1", "192.0.2.7"))
hosts = st.integers(0, 20).map("192.0.2.{}".format)
spans = st.tuples(st.integers(0, 10), st.integers(10, 20)).map(
    lambda span: f"192.0.2.{span[0]}-192.0.2.{span[1]}"
)


@settings(deadline=None)
@given(st.lists(hosts | spans, min_size=1), st.lists(hosts | spans))
def test_what_remains_is_allowed_and_nothing_else_goes(asked: list[str], denied: list[str]) -> None:
    targets, ranges = parse_asked(asked)
    scope = Scope(["192.0.2.0/24"], denied, 256)
    left, out = scope.trim(targets, ranges)
    forbidden = parse_targets(denied) if denied else None
    for item in out:
        assert forbidden is not None
        assert not parse_targets(range_text(item)).overlaps(left)
        assert parse_targets(range_text(item)).overlaps(forbidden)
    assert left.address_count + sum(last - first + 1 for first, last in out) == (
        targets.address_count
    )
    alone = [each for each in asked if scope.check(parse_targets(each), {}) and "-" not in each]
    refused = bool(scope.check(left, {}))
    assert refused == (forbidden is not None and left.overlaps(forbidden))
    assert refused or not alone


def sent_to(scanner: FakeScanner) -> TargetSet:
    """The targets of the scan that runs."""
    (scan,) = scanner.active()
    assert scan.order is not None
    return parse_targets(scan.order.targets)


async def test_denied_addresses_of_a_network_are_left_out_and_reported(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, targets=TARGETS) as (w, scanner):
        submission = await w.service.submit(basic("192.0.2.0/28"), actor="me", dry_run=True)
        assert [range_text(each) for each in submission.left_out] == ["192.0.2.1", "192.0.2.7"]
        task = await w.running("192.0.2.0/28")
        sent = sent_to(scanner)
        assert sent.texts == task.request.targets
        assert sent.address_count == 14
        assert not sent.overlaps(parse_targets(TARGETS.deny))


async def test_denied_addresses_that_are_asked_for_are_refused_by_name(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, targets=TARGETS) as (w, _scanner):
        asked = basic("192.0.2.0/28", "192.0.2.1, 192.0.2.7")
        with pytest.raises(TargetsRefused) as caught:
            await w.service.submit(asked, actor="me")
        for address in TARGETS.deny:
            assert f"{address} is on the deny-list" in str(caught.value)
        everything = basic("192.0.2.1-192.0.2.1")
        with pytest.raises(TargetsRefused, match="deny-list"):
            await w.service.submit(everything, actor="me")


async def test_what_is_excluded_never_reaches_a_scanner(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scanner, means = FakeScanner(virtual_now()), {"web.example.com": ["192.0.2.40"]}
    config = config_of(tmp_path, scanner_settings("a", 1), targets=TARGETS)
    async with world(config, {"a": scanner}, resolve=lambda name: means[name]) as w:
        first = await w.running("192.0.2.0/29", exclude=("192.0.2.2, 192.0.2.4-192.0.2.5",))
        assert sent_to(scanner).texts == ("192.0.2.0", "192.0.2.3", "192.0.2.6")
        assert first.request.exclude == ("192.0.2.2", "192.0.2.4-192.0.2.5")
        with pytest.raises(TargetsRefused, match="excluded by the request itself"):
            await w.submit("web.example.com", exclude=("192.0.2.40",))
        with pytest.raises(TargetsRefused, match="excluded by the request itself"):
            await w.submit("192.0.2.9", exclude=("192.0.2.0/28",))
        with pytest.raises(TargetsRefused, match="neither an address"):
            await w.submit("192.0.2.9", exclude=("a..b",))
        moved = await w.submit("web.example.com", exclude=("192.0.2.41",))
        means["web.example.com"] = ["192.0.2.41"]
        moved = await w.settled(moved.task_id)
        assert (moved.state, error_kind(moved)) == (TaskState.DEAD, "targets_refused")


@pytest.mark.slow
async def test_what_is_denied_later_is_left_out_at_launch_and_journaled(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one_scanner(tmp_path, targets=TARGETS) as (w, scanner):
        await w.running("192.0.2.200")
        network, alone = await w.submit("192.0.2.0/29"), await w.submit("192.0.2.9")
        later = attrs.evolve(TARGETS, deny=(*TARGETS.deny, "192.0.2.3", "192.0.2.9"))
        await w.fleet.apply(attrs.evolve(w.context.config, targets=later))
        await w.until(network.task_id, TaskState.RUNNING)
        sent = sent_to(scanner)
        assert not sent.overlaps(parse_targets(later.deny))
        assert sent.address_count == 5
        records = await w.queries.history(network.task_id)
        details = [each.entry.detail for each in records if each.entry.event == "scan_created"]
        assert details[0]["left_out"] == ["192.0.2.3"]
        dead = await w.settled(alone.task_id)
        assert (dead.state, error_kind(dead)) == (TaskState.DEAD, "targets_refused")


def test_an_excluded_address_of_any_kind_is_known() -> None:
    scope = excluding(["192.0.2.0/28 2001:db8::/64", "*.example.org"])
    assert scope.check(parse_targets("192.0.2.3"), {})
    assert scope.check(parse_targets("2001:db8::7"), {})
    name = parse_targets("a.example.org")
    assert scope.check(name, {"a.example.org": [str(ip_address("198.51.100.1"))]})
    assert not scope.check(parse_targets("198.51.100.0/24"), {})
    with pytest.raises(BadTargets):
        excluding(["192.0.2.5/24"])
