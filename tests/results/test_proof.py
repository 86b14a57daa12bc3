"""What a scan was asked to do against what its report says that it did."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.asked import Asked, Setting, differing
from nessus_sched.results.parser.policy import LONGEST, MOST_FAMILIES
from nessus_sched.results.parser.reader import parse
from nessus_sched.results.plausibility import ScanFacts
from nessus_sched.results.portrange import covers, in_range, readable, tcp_ports
from nessus_sched.results.scan_warnings import cautions
from nessus_sched.results.summary import summarize
from support.nessus_xml import document, element, host, item, output
from support.samples import find_sample

BASIC = "731a8e52-3ea6-a291-ec0a-d2ff0619c19d7bd788d6be818b65"
ADVANCED = "ad629e16-03b6-8c1d-cef6-ef8c9dd3c658d24bd260ef5f9e66"
COMMON = "Port scan (common ports)"
ASKED = Asked(
    template="basic",
    template_uuid=BASIC,
    discovery_mode=COMMON,
    speed_mode="Default",
    ping=True,
    port_scanners=("syn", "ssh_netstat", "wmi_netstat", "snmp"),
    port_range="default",
    max_hosts=30,
    max_checks=5,
    ntlmv1_off=True,
    safe_checks=True,
    web_tests=False,
    thorough=False,
    tls=True,
    families_off=(),
    settings=88,
)
"""What the web interface sends for a basic scan."""
TOLD = {
    "wizard_uuid": BASIC,
    "discovery_mode": "portscan_common",
    "advanced_mode": "default",
    "portscan.ping": "yes",
    "network_scanners.syn": "yes",
    "network_scanners.tcp": "no",
    "network_scanners.udp": "no",
    "local_portscan.netstat_ssh": "yes",
    "local_portscan.netstat_wmi": "yes",
    "local_portscan.snmp": "yes",
    "service_detection.search_for_ssl": "yes",
    "port_range": "default",
    "max_hosts": "30",
    "max_checks": "4",
    "safe_checks": "yes",
    "Only use NTLMv2": "yes",
    "Enable CGI scanning": "no",
    "Thorough tests (slow)": "no",
}
"""What a real export of Nessus 10 says of that scan: the mode set the checks to 4."""
FAMILIES = {"General": "enabled", "Port scanners": "mixed", "Tenable.ot": "disabled",
            "Policy Compliance": "disabled"}  # fmt: skip
OF_PLUGINS = ("Only use NTLMv2", "Enable CGI scanning", "Thorough tests (slow)")
INFO = "Nessus version : 10.1.1\nPort scanner(s) : nessus_syn_scanner\nPort range : default\n"
NO_PORT_SCANNER = "\n WARNING : No port scanner was enabled during the scan. This may\n lead to\n"
ACTIVE = "1;2;10180;11219;14272;34220;14274;"


def policy(told: Mapping[str, str], families: Mapping[str, str], plugin_set: str = "") -> str:
    """The section as real exports have it: first the server's preferences, then the plugins'."""
    given = {**({"plugin_set": plugin_set} if plugin_set else {}), **told}
    server = "".join(
        f"<preference>{element('name', name)}{element('value', value)}</preference>"
        for name, value in given.items()
        if name not in OF_PLUGINS
    )
    plugins = "".join(
        f"<item><pluginName>P</pluginName><pluginId>1</pluginId><fullName>P[checkbox]:{name}"
        f"</fullName><preferenceName>{name}\n   </preferenceName><preferenceType>checkbox"
        f"</preferenceType><preferenceValues>no</preferenceValues>{element('selectedValue', value)}"
        "</item>"
        for name, value in told.items()
        if name in OF_PLUGINS
    )
    listed = "".join(
        f"<FamilyItem><FamilyName>{name}</FamilyName><Status>{status}</Status></FamilyItem>"
        for name, status in families.items()
    )
    return (
        f"<Policy><policyName>P</policyName><Preferences><ServerPreferences>{server}"
        f"</ServerPreferences><PluginsPreferences>{plugins}</PluginsPreferences></Preferences>"
        f"<FamilySelection>{listed}</FamilySelection><IndividualPluginSelection><PluginItem>"
        "<PluginId>1</PluginId><PluginName>a</PluginName><Family>Web Servers</Family>"
        "<Status>disabled</Status></PluginItem></IndividualPluginSelection></Policy>"
    )


def warned(
    asked: Asked | None = ASKED,
    *,
    told: Mapping[str, str] | None = None,
    families: Mapping[str, str] = FAMILIES,
    plugin_set: str = "",
    info: str = INFO,
) -> list[dict[str, Any]]:
    said = TOLD if told is None else told
    data = document(
        host("192.0.2.1", item(19506, output(info))), policy=policy(said, families, plugin_set)
    )
    found: list[dict[str, Any]] = summarize(io.BytesIO(data), ScanFacts(asked=asked))["warnings"]
    return found


def told(**changes: str | None) -> dict[str, str]:
    """The preferences with these changes; `__` in a name is a dot, None takes it away."""
    new = {name.replace("__", "."): value for name, value in changes.items()}
    return {name: value for name, value in {**TOLD, **new}.items() if value is not None}


def test_a_scan_that_ran_as_asked_has_no_warning() -> None:
    assert warned() == []


DIFFERENCES: dict[str, tuple[dict[str, Any], dict[str, Any], str, Setting]] = {
    # what is asked otherwise, what the report says otherwise, code, setting
    "template": ({}, {"wizard_uuid": ADVANCED}, "template_differs", Setting.TEMPLATE),
    "mode": ({}, {"discovery_mode": "portscan_all"}, "discovery_mode_differs",
             Setting.DISCOVERY_MODE),
    "no ping": ({}, {"portscan__ping": "no"}, "no_ping", Setting.PING),
    "ping": ({"ping": False, "discovery_mode": "Custom"}, {"discovery_mode": "custom"},
             "ping_differs", Setting.PING),
    "no SYN": ({}, {"network_scanners__syn": "no"}, "port_scanners_differ_", Setting.PORT_SCANNERS),
    "no netstat": ({"discovery_mode": None}, {"local_portscan__netstat_ssh": "no"},
                   "port_scanners_differs", Setting.PORT_SCANNERS),
    "no scanner": ({}, {"network_scanners__syn": "no", "local_portscan__netstat_ssh": "no",
                        "local_portscan__netstat_wmi": "no", "local_portscan__snmp": "no"},
                   "no_port_scanner", Setting.PORT_SCANNERS),
    "ports of hosts": ({"port_scanners": ()}, {}, "port_scanners_differs", Setting.PORT_SCANNERS),
    "fewer ports": ({"port_range": "1-65535"}, {}, "port_range_differs", Setting.PORT_RANGE),
    "more ports": ({"port_range": "1-100"}, {"port_range": "1-101"}, "port_range_differs",
                   Setting.PORT_RANGE),
    "TLS": ({}, {"service_detection__search_for_ssl": "no"}, "tls_differs", Setting.TLS),
    "web": ({"web_tests": True}, {}, "web_tests_differs", Setting.WEB_TESTS),
    "thorough": ({"thorough": True}, {}, "thorough_differs", Setting.THOROUGH),
    "unsafe": ({}, {"safe_checks": "no"}, "safe_checks_differs", Setting.SAFE_CHECKS),
    "only safe": ({"safe_checks": False}, {}, "safe_checks_differs", Setting.SAFE_CHECKS),
    "NTLM": ({}, {"Only use NTLMv2": "no"}, "ntlm_differs", Setting.NTLM),
    "hosts": ({"speed_mode": None}, {"max_hosts": "100"}, "speed_differs", Setting.SPEED),
    "checks": ({"speed_mode": "Custom"}, {"max_checks": "6"}, "speed_differs", Setting.SPEED),
    "own speed": ({"speed_mode": "Custom"}, {"advanced_mode": "custom", "max_hosts": "31"},
                  "speed_differs", Setting.SPEED),
    "mode lost": ({}, {"advanced_mode": None, "max_hosts": "100"}, "speed_differs", Setting.SPEED),
}  # fmt: skip


@pytest.mark.parametrize("what", DIFFERENCES)
def test_a_difference_is_a_warning(what: str) -> None:
    asked, says, code, setting = DIFFERENCES[what]
    (warning,) = warned(attrs.evolve(ASKED, **asked), told=told(**says))
    assert (warning["code"], warning["differs"]) == (code.replace("differ_", "differs"), setting)
    assert differing({"warnings": [warning]}) == [setting]
    assert cautions({"warnings": [warning]}) == [f"{warning['message']} {warning['advice']}"]


def test_every_setting_can_differ() -> None:
    assert {setting for *_, setting in DIFFERENCES.values()} | {Setting.FAMILIES} == set(Setting)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"max_hosts": 100, "max_checks": 9}, {}),  # less only takes longer
        ({"speed_mode": "default"}, {"max_hosts": "80"}),  # the preset decides
        ({"thorough": False, "web_tests": False},
         {"Thorough tests (slow)": "yes", "Enable CGI scanning": "yes"}),  # more is seen
        ({"port_scanners": ("syn", "tcp")}, {}),  # the preset decides
        ({"ping": False}, {}),  # every preset pings
        ({"ping": False}, {"portscan__ping": "no"}),
        ({"discovery_mode": "Custom"}, {"discovery_mode": "custom"}),
        ({"discovery_mode": COMMON}, {"discovery_mode": "custom"}),  # its values are compared
        ({"discovery_mode": "Host enumeration (include fragile hosts)", "port_scanners": ()},
         {"discovery_mode": "host_enumeration_fragile", "network_scanners__syn": "no"}),
        ({"port_range": "1-65535"}, {"port_range": "all"}),
        ({"port_range": "1-10,11-20"}, {"port_range": "1-20"}),
        ({"port_range": "odd"}, {}),
        ({"safe_checks": None, "ping": None, "port_scanners": None, "port_range": None}, {}),
    ],
)  # fmt: skip
def test_what_is_no_difference(asked: dict[str, Any], says: dict[str, Any]) -> None:
    assert warned(attrs.evolve(ASKED, **asked), told=told(**says)) == []


@given(st.sets(st.sampled_from(sorted(TOLD))))
def test_a_preference_that_is_not_there_claims_nothing(missing: set[str]) -> None:
    left = {name: value for name, value in TOLD.items() if name not in missing}
    assert warned(told=left) == []
    assert warned(None, told=left) == []


@given(st.dictionaries(st.sampled_from(sorted(TOLD)), st.sampled_from(["yes", "no", "7", "x"])))
def test_no_preference_makes_a_claim_about_what_was_not_asked(says: dict[str, str]) -> None:
    assert not any("differs" in each for each in warned(None, told={**TOLD, **says}))
    assert not any("differs" in each for each in warned(Asked(), told={**TOLD, **says}))


def test_families() -> None:
    lost = {**FAMILIES, **{f"Family {n}": "disabled" for n in range(1, 8)}}
    (warning,) = warned(families=lost)
    assert warning["differs"] == Setting.FAMILIES
    assert "Family 1, Family 2, Family 3, Family 4, Family 5 and 2 more" in warning["message"]
    off = attrs.evolve(ASKED, families_off=("General",))
    assert [each["code"] for each in warned(off)] == ["more_families"]
    assert warned(off, families={**FAMILIES, "General": "disabled"}) == []
    assert warned(attrs.evolve(ASKED, families_off=None), families=lost) == []


def test_the_status_of_a_plugin_is_not_that_of_a_family() -> None:
    """The one `disabled` here is a plugin's, behind a family without a status."""
    text = policy(TOLD, {"General": "enabled"}).replace("<Status>enabled</Status>", "")
    assert parse(io.BytesIO(document(policy=text))).families == {}


def test_without_preferences_the_active_plugins_tell() -> None:
    """So it was on a real Nessus 10.10 after a request without settings."""
    nothing = {"port_range": "default", "max_hosts": "100"}
    bare = warned(Asked(template="advanced"), told=nothing, plugin_set="\n 1;2;19506;",
                  info=NO_PORT_SCANNER)  # fmt: skip
    assert [each["code"] for each in bare] == ["no_ping", "no_port_scanner"]
    assert "for 1 host." in bare[1]["message"]
    asked = warned(told=nothing, plugin_set="1;2;19506;", info=NO_PORT_SCANNER)
    assert [each["differs"] for each in asked] == ["ping", "port_scanners", "speed"]
    assert (
        "although SYN, netstat over SSH, netstat over WMI, SNMP was requested"
        in asked[1]["message"]
    )
    for unclear in (ACTIVE, "", "1,2,19506", "10180;11219;14272;34220;14274;10335;34277"):
        assert warned(None, told=nothing, plugin_set=unclear) == [], unclear


def test_a_scan_of_hosts_alone_needs_no_port_scanner() -> None:
    quick = attrs.evolve(ASKED, discovery_mode="Host enumeration", port_scanners=(),
                         port_range=None)  # fmt: skip
    off = told(discovery_mode="host_enumeration", network_scanners__syn="no", port_range="1-10")
    assert warned(quick, told=off, info=NO_PORT_SCANNER) == []
    assert [each["code"] for each in warned(None, told=off, info=NO_PORT_SCANNER)] == [
        "no_port_scanner", "narrow_port_range",
    ]  # fmt: skip


def test_a_template_without_port_scanners_is_named() -> None:
    audit = Asked(template="compliance", discovery_mode="Default", ping=True, settings=40)
    (warning,) = warned(audit, told={}, info=NO_PORT_SCANNER)
    assert "The template compliance has none" in warning["advice"]
    (warning,) = warned(Asked(template="basic"), told={}, info=NO_PORT_SCANNER)
    assert "has none" not in warning["advice"]


def test_an_agent_has_neither_ping_nor_port_scanners() -> None:
    assert warned(None, told={}, plugin_set="1;2;", info="Scan type : Windows Agent") == []
    assert warned(None, told={"agent_targets": "[]"}, plugin_set="1;2;", info="") == []


def test_narrow_ports() -> None:
    for text, shown in {"22,80-89": "11 TCP", "T:443,U:1-9999": "1 TCP", "1-999": "999"}.items():
        (warning,) = warned(None, told=told(port_range=text))
        assert warning["code"] == "narrow_port_range"
        assert shown in warning["message"]
        assert warned(attrs.evolve(ASKED, port_range=text), told=told(port_range=text)) == []
    for text in ("default", "1-1000", "all", "T:default,U:53", "?"):
        assert warned(None, told=told(port_range=text)) == []


def test_plugins_are_as_old_as_they_were_that_day() -> None:
    old = "Plugin feed version : 202401010000\nScan Start Date : 2024/3/9 12:48 UTC\n"
    assert [each["code"] for each in warned(None, info=old)] == ["plugin_set_old"]
    for fresh in (old.replace("/3/9", "/1/9"), old.replace("/3/9", "/0/99"), old[:34]):
        assert warned(None, info=fresh) == []


def test_what_is_kept_of_the_policy_is_bounded() -> None:
    many = {f"Family {number}": "disabled" for number in range(MOST_FAMILIES + 10)}
    long = {"port_range": "1," * LONGEST, "unknown": "x"}
    report = parse(io.BytesIO(document(policy=policy(long, many))))
    assert report.preferences == {}
    assert len(report.families) == MOST_FAMILIES


def test_the_first_value_of_a_preference_counts() -> None:
    twice = policy({"portscan.ping": "yes"}, {}).replace(
        "</ServerPreferences>",
        "<preference><name>portscan.ping</name><value>no</value></preference></ServerPreferences>",
    )
    report = parse(io.BytesIO(document(policy=twice)))
    assert report.preferences == {"portscan.ping": "yes"}


ABSENT = ["targets_absent"]
EXPECTED = {  # read by hand: all have ping and a port scanner, the agent needs neither
    "defectdojo_issue_6992": ["report_filtered"],
    "defectdojo_nessus_many_vuln": [],
    "defectdojo_nessus_with_cvssv3": [],
    "defectdojo_was_many_vuln": [],
    "heimdall2_sample": ABSENT,
    "libnessus_nessus_report_local2": [],
    "libnessus_nessus_report_local_3": [],
    "pytenable_example": [],
    "rubynessus_example_v2": [],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_warnings_of_real_reports(name: str) -> None:
    with find_sample(name).open("rb") as stream:
        found = summarize(stream)
    assert [each["code"] for each in found["warnings"]] == EXPECTED[name]


@pytest.mark.slow
def test_a_real_basic_scan_is_what_the_web_interface_asks_for() -> None:
    with find_sample("heimdall2_sample").open("rb") as stream:
        found = summarize(stream, ScanFacts(asked=ASKED))
    assert [each["code"] for each in found["warnings"]] == ABSENT
    with find_sample("defectdojo_nessus_with_cvssv3").open("rb") as stream:
        found = summarize(stream, ScanFacts(asked=attrs.evolve(ASKED, port_range="1-65535")))
    assert [each["code"] for each in found["warnings"]] == ["port_range_differs"]


# -- ranges

PORTS = st.integers(1, 60)
RANGES = st.lists(
    st.tuples(st.sampled_from(["", "T:", "U:"]), PORTS, PORTS).map(
        lambda part: f"{part[0]}{min(part[1:])}-{max(part[1:])}"
    ),
    min_size=1,
    max_size=4,
).map(",".join)


@given(RANGES, RANGES)
def test_a_range_covers_another_port_by_port(wide: str, narrow: str) -> None:
    expected = all(
        in_range(wide, port, udp=udp) or not in_range(narrow, port, udp=udp)
        for port in range(1, 61)
        for udp in (False, True)
    )
    assert covers(wide, narrow) is expected
    assert tcp_ports(wide) == sum(in_range(wide, port) for port in range(1, 61))


def test_ranges_by_name() -> None:
    assert covers("default", "default")
    assert covers("all", "default")
    assert covers("1-65535", "all")
    assert covers("1-9,default", "default,5")
    assert not covers("default", "1-65535")
    assert not covers("1-1024", "default")
    assert covers("odd", "80") is None
    assert tcp_ports("default") is None
    assert not readable("")
