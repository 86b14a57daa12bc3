"""Each rule by which an absence proves something, and what breaks it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.results.absence import (
    MEANINGS,
    Reason,
    Sighting,
    finding_obstacle,
    host_obstacle,
)
from nessus_sched.results.coverage import HostCoverage, ScanCoverage, from_data, to_data
from nessus_sched.results.identity import HostIndex, HostNames
from nessus_sched.results.logins.verdict import Login, Privilege
from nessus_sched.results.portrange import in_range
from nessus_sched.results.presence import TargetList

SCAN = ScanCoverage(whole=True)
SYN = frozenset({"nessus_syn_scanner"})
USUAL = {"thorough": 0, "paranoia": 1, "unsafe": 0}
HOST = HostCoverage(
    whole=True,
    answered=True,
    ended=True,
    login=Login.FULL,
    privilege=Privilege.SUFFICIENT,
    via=frozenset({"ssh"}),
    ports="default",
    scanners=SYN,
    settings=USUAL,
)
SEEN = Sighting(1001, "local", False, 8834, "tcp", False)


def host(**changes: Any) -> HostCoverage:
    return attrs.evolve(HOST, **changes)


def seen(**changes: Any) -> Sighting:
    return attrs.evolve(SEEN, **changes)


def test_nothing_stands_in_the_way_of_the_same_scan_again() -> None:
    assert host_obstacle(SCAN, HOST, targeted=True, changed=False) is None
    assert finding_obstacle(SEEN, HOST, HOST, ran=True, watched=True) is None


@pytest.mark.parametrize(
    ("scan", "found", "targeted", "changed", "reason"),
    [
        (None, HOST, True, False, Reason.UNKNOWN),
        (ScanCoverage(whole=False), HOST, True, False, Reason.REPORT_INCOMPLETE),
        (SCAN, None, True, False, Reason.HOST_DOWN),
        (SCAN, None, False, False, Reason.HOST_NOT_SCANNED),
        (SCAN, host(answered=False), True, False, Reason.HOST_DOWN),
        (SCAN, HOST, True, True, Reason.HOST_CHANGED),
        (SCAN, host(ended=False), True, False, Reason.HOST_UNFINISHED),
        (SCAN, host(whole=False), True, False, Reason.REPORT_INCOMPLETE),
    ],
)
def test_what_a_host_is_in_the_way_of(
    scan: ScanCoverage | None,
    found: HostCoverage | None,
    targeted: bool,
    changed: bool,
    reason: Reason,
) -> None:
    assert host_obstacle(scan, found, targeted=targeted, changed=changed) is reason


@pytest.mark.parametrize(
    ("sighting", "before", "after", "reason"),
    [
        (seen(compliance=True), HOST, HOST, Reason.CHECK_NOT_RUN),
        # thorough and paranoid tests, and other settings
        (SEEN, host(settings=USUAL | {"thorough": 1}), HOST, Reason.SETTINGS_WEAKER),
        (SEEN, host(settings=USUAL | {"paranoia": 2}), HOST, Reason.SETTINGS_WEAKER),
        (SEEN, host(settings=USUAL | {"cgi": 1}), HOST, Reason.SETTINGS_WEAKER),
        (seen(thorough=True), HOST, HOST, Reason.SETTINGS_WEAKER),
        (SEEN, host(settings={}), HOST, Reason.SETTINGS_WEAKER),
        (SEEN, None, HOST, Reason.SETTINGS_WEAKER),
        (SEEN, HOST, host(settings={}), Reason.SETTINGS_WEAKER),
        # logins
        (SEEN, HOST, host(login=Login.FAILED), Reason.LOGIN_FAILED),
        (SEEN, HOST, host(login=Login.NONE), Reason.LOGIN_FAILED),
        (SEEN, HOST, host(login=Login.PARTIAL, weak=frozenset({"x"})), Reason.LOGIN_FAILED),
        (SEEN, HOST, host(weak=frozenset({"x"})), Reason.LOGIN_FAILED),
        (SEEN, HOST, host(privilege=Privilege.UNKNOWN), Reason.LOGIN_FAILED),
        (SEEN, HOST, host(via=frozenset({"snmp"})), Reason.LOGIN_FAILED),
        (seen(plugin_type=None), HOST, host(login=Login.FAILED), Reason.LOGIN_FAILED),
        (SEEN, host(login=Login.UNKNOWN), host(login=Login.NONE), Reason.LOGIN_FAILED),
        (seen(plugin_type="remote"), HOST, host(login=Login.FAILED), None),
        (SEEN, host(login=Login.FAILED), host(login=Login.NONE), None),
        (
            SEEN,
            host(login=Login.PARTIAL, weak=frozenset({"x", "y"})),
            host(login=Login.PARTIAL, weak=frozenset({"x"})),
            None,
        ),
        (
            SEEN,
            host(login=Login.PARTIAL, weak=frozenset({"x"})),
            host(login=Login.PARTIAL, weak=frozenset({"x", "y"})),
            Reason.LOGIN_FAILED,
        ),
        (
            SEEN,
            host(login=Login.PARTIAL, weak=frozenset({"x"})),
            host(login=Login.PARTIAL, weak=frozenset({"y"})),
            Reason.LOGIN_FAILED,
        ),
        (
            SEEN,
            host(login=Login.PARTIAL, weak=frozenset({"plugin 117885"})),
            host(login=Login.PARTIAL, weak=frozenset({"plugin 117885"})),
            Reason.LOGIN_FAILED,
        ),
        # ports
        (SEEN, HOST, host(ports="1-1024"), Reason.PORT_NOT_SCANNED),
        (SEEN, HOST, host(ports=None), Reason.PORT_NOT_SCANNED),
        (SEEN, HOST, host(scanners=None), Reason.PORT_NOT_SCANNED),
        (SEEN, HOST, host(scanners=frozenset()), Reason.PORT_NOT_SCANNED),
        (SEEN, host(enumerated=True), HOST, Reason.PORT_NOT_SCANNED),
        (SEEN, HOST, host(ports="1-65535", scanners=frozenset()), Reason.PORT_NOT_SCANNED),
        (seen(protocol="udp"), HOST, host(ports="1-65535"), Reason.PORT_NOT_SCANNED),
        (SEEN, HOST, host(ports="1-65535"), None),
        (SEEN, HOST, host(ports="1-1024", enumerated=True), None),
        (SEEN, HOST, host(scanners=SYN | {"nessus_udp_scanner"}), None),
        (seen(port=0), HOST, host(ports="1-1024"), None),
        (seen(port=443), host(ports="1-1024"), HOST, None),
    ],
)
def test_what_a_finding_is_in_the_way_of(
    sighting: Sighting, before: HostCoverage | None, after: HostCoverage, reason: Reason | None
) -> None:
    assert finding_obstacle(sighting, before, after, ran=True, watched=True) is reason


def test_a_plugin_that_was_not_in_the_scan_proves_nothing() -> None:
    assert finding_obstacle(SEEN, HOST, HOST, ran=False, watched=True) is Reason.PLUGIN_NOT_RUN


def test_a_login_without_problems_counts_where_problems_would_have_been_told() -> None:
    quiet = host(privilege=Privilege.UNKNOWN)
    assert finding_obstacle(SEEN, quiet, quiet, ran=True, watched=True) is None
    assert finding_obstacle(SEEN, quiet, quiet, ran=True, watched=False) is Reason.LOGIN_FAILED


def test_every_reason_has_words() -> None:
    assert set(MEANINGS) == set(Reason)


@pytest.mark.parametrize(
    ("text", "port", "udp", "inside"),
    [
        ("1-1024", 1024, False, True),
        ("1-1024", 1025, False, False),
        ("22, 80,8000-9000", 8443, False, True),
        ("default", 443, False, True),
        ("default", 50000, False, False),
        ("default,50000", 50000, False, True),
        ("all", 65535, True, True),
        ("T:1-99,U:53", 53, False, True),
        ("T:22,U:53", 53, False, False),
        ("T:22,U:53", 53, True, True),
        ("T:22,80,U:53,161", 161, True, True),
        ("T:22,80,U:53,161", 80, True, False),
        ("65536-99999", 80, False, False),
        ("what", 80, False, False),
        ("", 80, False, False),
    ],
)
def test_ranges_of_ports(text: str, port: int, udp: bool, inside: bool) -> None:
    assert in_range(text, port, udp=udp) is inside


@given(st.text(max_size=30), st.integers(1, 65535), st.booleans())
def test_any_text_is_a_range_or_none(text: str, port: int, udp: bool) -> None:
    in_range(text, port, udp=udp)


def test_coverage_comes_back_from_storage_as_it_was() -> None:
    assert from_data(to_data(HOST)) == HOST
    assert from_data({**to_data(host(scanners=None)), "later": 1}) == host(scanners=None)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (HostNames(key="192.0.2.1"), HostNames(key="192.0.2.1"), [False]),
        (HostNames(key="192.0.2.1"), HostNames(key="192.0.2.2"), []),
        (HostNames(key="192.0.2.1"), HostNames(key="web.example.com", ip="192.0.2.1"), [False]),
        (HostNames(key="web.example.com", ip="192.0.2.1"), HostNames(key="192.0.2.1"), [False]),
        (HostNames(key="2001:db8::1"), HostNames(key="a.example.com", ip="2001:DB8:0::1"), [False]),
        (HostNames(key="a.example.com", ip="192.0.2.1"),
         HostNames(key="b.example.com", ip="192.0.2.1"), []),
        (HostNames(key="web", ip="192.0.2.1", fqdn="web.example.com"),
         HostNames(key="web.example.com", ip="192.0.2.1", fqdn="web.example.com"), [False]),
        (HostNames(key="192.0.2.1", macs=("00:00:5E:00:53:01",)),
         HostNames(key="192.0.2.1", macs=("00:00:5E:00:53:02",)), [True]),
        (HostNames(key="192.0.2.1", macs=("00:00:5E:00:53:01",), netbios="A"),
         HostNames(key="192.0.2.1", macs=("00:00:5e:00:53:01",), netbios="B"), [False]),
        (HostNames(key="192.0.2.1", netbios="A"), HostNames(key="192.0.2.1", netbios="B"), [True]),
        (HostNames(key="192.0.2.1", netbios="A"), HostNames(key="192.0.2.1"), [False]),
        (HostNames(key="192.0.2.1", fqdn="a.example.com"),
         HostNames(key="192.0.2.1", fqdn="b.example.com"), [True]),
    ],
)  # fmt: skip
def test_which_hosts_are_the_same(one: HostNames, other: HostNames, expected: list[bool]) -> None:
    assert [match.changed for match in HostIndex([other]).find(one)] == expected
    assert [match.changed for match in HostIndex([one]).find(other)] == expected


@pytest.mark.parametrize(
    ("targets", "name", "inside"),
    [
        ("192.0.2.1,192.0.2.7", "192.0.2.7", True),
        ("192.0.2.0/28", "192.0.2.9", True),
        ("192.0.2.0/28", "192.0.2.99", False),
        ("192.0.2.1-5\n198.51.100.1", "192.0.2.5", True),
        ("Web.Example.com", "web.example.com.", True),
        ("2001:db8::/64", "2001:db8::9", True),
        (None, "192.0.2.1", False),
    ],
)
def test_whether_a_host_was_a_target(targets: str | None, name: str, inside: bool) -> None:
    assert TargetList(targets).include(None, name) is inside
