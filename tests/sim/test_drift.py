"""A simulated network that changes over time, seen through the scanner's API."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.sim.findings.drift import WEEK, Drift
from support.sim import EPOCH, USUAL, hand_driven

NETWORK = "192.0.2.0/25"
Found = set[tuple[str, str, str]]


def seen(at: float, targets: str = NETWORK, **options: Any) -> Found:
    """Host, plugin and port of what a scan finds that is launched at `at` seconds."""
    call, clock = hand_driven(**options)
    clock.pass_time(at)
    scan_id = call.create(targets=targets, **USUAL)
    call.launch(scan_id)
    clock.pass_time(call.nessus.scans_take + 1)
    token = call("POST", f"/scans/{scan_id}/export", {"format": "nessus"}).json["token"]
    clock.pass_time(1.0)
    document = ET.fromstring(call("GET", f"/tokens/{token}/download").content)  # noqa: S314 - ours
    return {
        (host.get("name", ""), item.get("pluginID", ""), item.get("port", ""))
        for host in document.iter("ReportHost")
        for item in host.iter("ReportItem")
    }


def hosts(found: Found) -> set[str]:
    return {host for host, _, _ in found}


def test_nothing_changes_without_it() -> None:
    assert seen(0, "192.0.2.1-192.0.2.20") == seen(60 * WEEK, "192.0.2.1-192.0.2.20")


@pytest.mark.slow
def test_findings_and_hosts_come_and_go() -> None:
    before, after = seen(0, drift=0.3), seen(4 * WEEK, drift=0.3)
    assert hosts(before) - hosts(after)
    assert hosts(after) - hosts(before)
    same = hosts(before) & hosts(after)
    assert len(same) > len(hosts(before)) / 2
    gone = {each for each in before - after if each[0] in same}
    come = {each for each in after - before if each[0] in same}
    assert gone
    assert come
    assert len(gone) < len(before) / 4
    assert abs(len(after) - len(before)) < len(before) / 3


@pytest.mark.slow
def test_a_scan_sees_the_network_of_its_launch() -> None:
    """Also if it is exported weeks later."""
    call, clock = hand_driven(drift=1.0)
    scan_id = call.create(targets=NETWORK, **USUAL)
    call.launch(scan_id)
    clock.pass_time(call.nessus.scans_take + 1)
    before = call.get(f"/scans/{scan_id}")["vulnerabilities"]
    clock.pass_time(9 * WEEK)
    assert call.get(f"/scans/{scan_id}")["vulnerabilities"] == before


@pytest.mark.slow
def test_simulators_of_one_seed_agree() -> None:
    """One that ran for weeks, and one that was just started."""
    just_started, _ = hand_driven(drift=0.3)
    assert just_started.nessus.boot_time == EPOCH
    assert seen(3 * WEEK, drift=0.3) == seen(3 * WEEK, drift=0.3)
    assert seen(3 * WEEK, drift=0.3) != seen(3 * WEEK, drift=0.3, seed=2)


@given(st.integers(0, 2**16), st.floats(0.05, 1.0), st.floats(0, 1e9))
def test_what_is_decided_again_stays_as_likely(seed: int, rate: float, at: float) -> None:
    now, later = Drift(seed, rate, at), Drift(seed, rate, at + WEEK)
    ports = range(1, 201)
    numbers = [now.finding("192.0.2.1", 1, port) for port in ports]
    assert all(0 <= number < 1 for number in numbers)
    assert 0.25 < sum(number < 0.5 for number in numbers) / len(numbers) < 0.75
    changed = sum(
        number != later.finding("192.0.2.1", 1, port)
        for port, number in zip(ports, numbers, strict=True)
    )
    assert rate - 0.2 <= changed / len(numbers) <= rate + 0.2


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_each_finding_changes_at_a_time_of_its_own(rate: float) -> None:
    """Not all at the same moment of the week."""
    days = [Drift(1, rate, EPOCH + day * WEEK / 7) for day in range(8)]
    changed = [
        sum(
            before.finding("192.0.2.1", 1, port) != after.finding("192.0.2.1", 1, port)
            for port in range(400)
        )
        for before, after in itertools.pairwise(days)
    ]
    assert all(0 < each < 400 * rate / 3 for each in changed)
