"""Settings decide what a simulated scan sees, and its report says what they were."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.sim.findings.ports import PortRange, read_range
from support.sim import BASIC, DISCOVERY, Caller, hand_driven

ADVANCED = "ad629e16-03b6-8c1d-cef6-ef8c9dd3c658d24bd260ef5f9e66"
MANY = "192.0.2.0/26"
STRICT = {
    "fills_defaults": False,
    "mode_ids_work": False,
    "policy_scans_take_settings": False,
}
LOGIN = {
    "add": {
        "Host": {
            "SSH": [{"auth_method": "password", "username": "scan", "password": "right"}],
            "Windows": [{"auth_method": "Password", "username": "scan", "password": "right"}],
        }
    }
}
PING = {"ping_the_remote_host": "yes"}
SYN = {**PING, "syn_scanner": "yes"}


def strict(**assume: bool) -> tuple[Caller, Any]:
    return hand_driven(assume={**STRICT, **assume})


def report_of(call: Caller, clock: Any, **scan: Any) -> ET.Element:
    scan_id = call.create(**{"targets": MANY, **scan})
    call.launch(scan_id)
    clock.pass_time(call.nessus.scans_take * 20)
    token = call("POST", f"/scans/{scan_id}/export", {"format": "nessus"}).json["token"]
    clock.pass_time(1.0)
    document = call("GET", f"/tokens/{token}/download").content
    return ET.fromstring(document)  # noqa: S314 - we wrote it ourselves


def preferences(report: ET.Element) -> dict[str, str]:
    return {
        entry.findtext("name", ""): entry.findtext("value", "")
        for entry in report.iter("preference")
    }


def fired(report: ET.Element) -> set[int]:
    return {int(item.get("pluginID", "0")) for item in report.iter("ReportItem")}


def ports(report: ET.Element) -> set[int]:
    return {int(item.get("port", "0")) for item in report.iter("ReportItem")}


def about(report: ET.Element) -> set[str]:
    """The lines of every 19506 there is."""
    return {
        line.strip()
        for item in report.iter("ReportItem")
        if item.get("pluginID") == "19506"
        for line in item.findtext("plugin_output", "").splitlines()
    }


def shown_defaults(node: Any) -> Iterator[tuple[str, Any]]:
    """What a client that reads the editor would send; modes and nested inputs included."""
    if isinstance(node, list):
        for each in node:
            yield from shown_defaults(each)
    elif isinstance(node, Mapping):
        if "id" in node and node.get("default") is not None and node.get("type") != "file":
            yield node["id"], node["default"]
        for name, below in node.items():
            if name == "options" and "default" in node:
                below = [each for each in below if _is_default(each, node["default"])]
            yield from shown_defaults(below)


def _is_default(option: Any, default: Any) -> bool:
    return isinstance(option, Mapping) and option.get("name") == default


@pytest.mark.slow
def test_a_bare_body_scans_without_ping_and_port_scanner() -> None:
    call, clock = strict()
    report = report_of(call, clock)
    assert len(list(report.iter("ReportHost"))) == 62  # every address counts as up
    assert not {10180, 11219, 14272, 34220, 14274} & fired(report)
    lines = about(report)
    assert "WARNING : No port scanner was enabled during the scan. This may" in lines
    assert not any(line.startswith("Port scanner(s)") for line in lines)
    assert {"Max hosts : 100", "Max checks : 5", "Port range : default"} <= lines
    told = preferences(report)
    active = told["plugin_set"].split(";")
    assert not {"10180", "11219", "10335", "14272", "34220", "14274", "34277"} & set(active)
    assert "19506" in active
    assert told["max_hosts"] == "100"
    assert "portscan.ping" not in told
    assert max(ports(report)) < 6000  # nothing but the usual places of the usual services


def test_what_the_editor_offers_scans_in_full() -> None:
    call, clock = strict()
    editor = call.get(f"/editor/scan/templates/{BASIC}")
    settings = dict(shown_defaults(editor["settings"]))
    assert settings["discovery_mode"] == "Port scan (common ports)"
    assert settings["syn_scanner"] == "yes"
    settings.pop("name", None)
    report = report_of(call, clock, **settings)
    assert {10180, 11219, 14274} <= fired(report)
    assert len(list(report.iter("ReportHost"))) < 62
    assert {"Port scanner(s) : nessus_syn_scanner", "Max hosts : 30", "Max checks : 4"} <= about(
        report
    )
    told = preferences(report)
    expected = {
        "portscan.ping": "yes",
        "network_scanners.syn": "yes",
        "network_scanners.tcp": "no",
        "local_portscan.netstat_ssh": "yes",
        "local_portscan.netstat_wmi": "yes",
        "local_portscan.snmp": "yes",
        "service_detection.search_for_ssl": "yes",
        "discovery_mode": "portscan_common",
        "assessment_mode": "default",
        "advanced_mode": "default",
        "wizard_uuid": BASIC,
        "max_hosts": "30",
        "max_checks": "4",
        "port_range": "default",
        "safe_checks": "yes",
    }
    assert {name: told.get(name) for name in expected} == expected
    assert {"10180", "11219", "14272"} <= set(told["plugin_set"].split(";"))


def test_a_server_may_fill_the_defaults_in() -> None:
    call, clock = strict(fills_defaults=True)
    report = report_of(call, clock)
    assert {10180, 11219} <= fired(report)
    assert preferences(report)["discovery_mode"] == "portscan_common"


HIGH = {47001, 48443, 60443, 61616}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "seen"),
    [
        ({}, False),
        ({"portscan_range": "1-65535"}, True),
        ({"portscan_range": "all"}, True),
        ({"portscan_range": "47000-47100,48443,T:60443,61616"}, True),
        ({"portscan_range": "443,nonsense"}, False),  # is not understood, and so ignored
    ],
)
def test_services_on_high_ports_need_a_wider_range(more: dict[str, str], seen: bool) -> None:
    call, clock = strict()
    found = ports(report_of(call, clock, **SYN, **more))
    assert bool(HIGH & found) == seen
    assert {22, 445} <= found


def test_ports_outside_a_range_are_only_looked_at_in_the_usual_places() -> None:
    call, clock = strict()
    narrow = report_of(call, clock, **SYN, portscan_range="80")
    scanned = {
        int(item.get("port", "0"))
        for item in narrow.iter("ReportItem")
        if item.get("pluginID") == "11219"
    }
    assert scanned == {80}
    assert {22, 445} <= ports(narrow)
    closed = report_of(call, clock, **SYN, portscan_range="80", unscanned_closed="yes")
    assert 3389 not in ports(closed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("login", "setting", "ran"),
    [(True, "yes", True), (True, "no", False), (False, "yes", False)],
)
def test_netstat_needs_a_login_that_works(login: bool, setting: str, ran: bool) -> None:
    call, clock = strict()
    both = {"ssh_netstat_scanner": setting, "wmi_netstat_scanner": setting}
    body = {"credentials": LOGIN} if login else {}
    report = report_of(call, clock, **PING, **both, body=body)
    assert ({14272, 34220} <= fired(report)) == ran
    assert bool(HIGH & ports(report)) == ran  # netstat lists every port
    assert ("Port scanner(s) : netstat" in about(report)) == ran


def test_network_scanners_rest_when_netstat_has_worked() -> None:
    call, clock = strict()
    body = {"credentials": LOGIN}
    settings = {**SYN, "ssh_netstat_scanner": "yes", "wmi_netstat_scanner": "yes"}
    eager = report_of(call, clock, **settings, body=body)
    assert "Port scanner(s) : nessus_syn_scanner, netstat" in about(eager)
    lazy = report_of(call, clock, **settings, only_portscan_if_enum_failed="yes", body=body)
    assert "Port scanner(s) : netstat" in about(lazy)


def test_a_mode_is_expanded_by_the_server_and_wins() -> None:
    call, clock = strict()
    modes = {"advanced_mode": "Scan low bandwidth links", "max_hosts_per_scan": "80"}
    report = report_of(call, clock, **SYN, **modes)
    assert preferences(report)["max_hosts"] == "2"
    assert {"Max hosts : 2", "Max checks : 2", "Recv timeout : 15"} <= about(report)
    custom = report_of(call, clock, **SYN, advanced_mode="Custom", max_hosts_per_scan="80")
    assert preferences(custom)["max_hosts"] == "80"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "ids", "taken"),
    [
        ("Host enumeration", False, True),
        ("host enumeration", False, True),
        ("host_enumeration", False, False),
        ("host_enumeration", True, True),
        ("Port scan (every port)", True, False),
        ("Scan low bandwidth links", True, False),
    ],
)
def test_modes_go_by_name(mode: str, ids: bool, taken: bool) -> None:
    call, clock = strict(mode_ids_work=ids)
    report = report_of(call, clock, uuid=DISCOVERY, discovery_mode=mode)
    assert (10180 in fired(report)) == taken
    assert preferences(report).get("discovery_mode") == ("host_enumeration" if taken else None)


def test_the_default_that_the_editor_shows_is_always_taken() -> None:
    call, clock = strict()
    shown = call.get(f"/editor/scan/templates/{BASIC}")["settings"]["assessment"]["modes"]
    assert shown["default"] == "default"  # an id among names, as recorded
    report = report_of(call, clock, **SYN, assessment_mode=shown["default"])
    assert preferences(report)["assessment_mode"] == "default"


def test_few_hosts_at_once_take_longer() -> None:
    call, clock = strict()
    scan_id = call.create(targets=MANY, **SYN, advanced_mode="Scan low bandwidth links")
    call.launch(scan_id)
    clock.pass_time(call.nessus.scans_take * 2)
    assert call.status(scan_id) == "running"
    clock.pass_time(call.nessus.scans_take * 20)
    assert call.status(scan_id) == "completed"


def test_families_that_are_off_find_nothing() -> None:
    call, clock = strict()
    plugins = {
        "General": {"status": "disabled"},
        "Misc.": {"status": "mixed", "individual": {"70657": "disabled"}},
    }
    report = report_of(call, clock, uuid=ADVANCED, **SYN, body={"plugins": plugins})
    families = {item.get("pluginFamily") for item in report.iter("ReportItem")}
    assert "General" not in families
    assert "Misc." in families
    assert 70657 not in fired(report)
    status = {f.findtext("FamilyName"): f.findtext("Status") for f in report.iter("FamilyItem")}
    assert (status["General"], status["Misc."], status["Web Servers"]) == (
        "disabled",
        "mixed",
        "enabled",
    )
    assert "70657" not in preferences(report)["plugin_set"].split(";")
    basic = report_of(call, clock, **SYN, body={"plugins": plugins})  # which has no families
    assert "General" in {item.get("pluginFamily") for item in basic.iter("ReportItem")}


@pytest.mark.parametrize("unlisted", [True, False])
def test_plugins_that_a_request_does_not_list_may_run(unlisted: bool) -> None:
    call, clock = strict(unlisted_plugins_run=unlisted)
    only = {"Misc.": {"status": "mixed", "individual": {"70657": "enabled"}}}
    report = report_of(call, clock, uuid=ADVANCED, **SYN, body={"plugins": only})
    misc = {
        int(item.get("pluginID", "0"))
        for item in report.iter("ReportItem")
        if item.get("pluginFamily") == "Misc."
    }
    assert 70657 in misc
    assert (misc == {70657}) is not unlisted


@pytest.mark.parametrize(("needed", "off"), [(True, False), (False, True)])
def test_families_may_need_a_header(needed: bool, off: bool) -> None:
    call, clock = strict(plugins_need_version_2=needed)
    body = {"plugins": {"General": {"status": "disabled"}}}
    report = report_of(call, clock, uuid=ADVANCED, **SYN, body=body)
    families = {item.get("pluginFamily") for item in report.iter("ReportItem")}
    assert ("General" not in families) == off


def test_ntlm_and_safe_checks_show() -> None:
    call, clock = strict()

    def ntlmv2(report: ET.Element) -> str | None:
        (choice,) = (item for item in report.iter("item") if item.findtext("pluginId") == "10870")
        return choice.findtext("selectedValue")

    bare = report_of(call, clock)
    assert ntlmv2(bare) == "no"
    report = report_of(call, clock, **SYN, dont_use_ntlmv1="yes", safe_checks="no")
    assert ntlmv2(report) == "yes"
    assert preferences(report)["safe_checks"] == "no"
    assert "Safe checks : no" in about(report)


@pytest.mark.slow
@pytest.mark.parametrize("own", [True, False])
def test_a_policy_brings_the_settings(own: bool) -> None:
    call, clock = strict(policy_scans_take_settings=own)
    policy = {"uuid": BASIC, "settings": {"name": "ours", **SYN, "portscan_range": "80"}}
    policy_id = call("POST", "/policies", policy).json["policy_id"]
    report = report_of(call, clock, policy_id=policy_id, portscan_range="443")
    assert preferences(report)["port_range"] == ("443" if own else "80")
    assert 10180 in fired(report)


@given(st.lists(st.tuples(st.integers(1, 65535), st.integers(1, 65535)), min_size=1, max_size=5))
def test_a_range_covers_what_is_written(pairs: list[tuple[int, int]]) -> None:
    spans = [(min(pair), max(pair)) for pair in pairs]
    read = read_range(",".join(f"{first}-{last}" for first, last in spans))
    for first, last in spans:
        assert read.covers(first)
        assert read.covers(last)
    outside = {port for _, last in spans for port in (last + 1,)}
    for port in outside:
        assert read.covers(port) == any(first <= port <= last for first, last in spans)


@given(st.text(max_size=20))
def test_any_text_is_a_range_or_the_default(text: str) -> None:
    read = read_range(text)
    assert PortRange.readable(text) == bool(read.spans or text.strip().lower() == "default")
    assert read.covers(22) or read.spans
