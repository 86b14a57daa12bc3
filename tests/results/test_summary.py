"""The page about a scan, and the reasons to doubt it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from nessus_sched.results.older_summary import upgraded
from nessus_sched.results.plausibility import ScanFacts
from nessus_sched.results.scan_warnings import cautions
from nessus_sched.results.scaninfo import read_scan_info
from nessus_sched.results.summary import summarize
from support.nessus_xml import document, element, host, item, output

NOW = 1_700_000_000.0
INFO = (
    "Information about this scan :\n\nNessus version : 10.7.1\nPlugin feed version : 202310311200\n"
    "Scan policy used : Basic Network Scan\nPort scanner(s) : nessus_syn_scanner \n"
    "Port range : default\nCredentialed checks : no\nScan duration : 61 sec\n"
)
SCANNED = item(19506, output(INFO))


def summary(*hosts: str, facts: ScanFacts | None = None, policy: str = "") -> dict[str, Any]:
    data = document(*hosts, policy=policy)
    found = summarize(io.BytesIO(data), facts)
    assert json.loads(json.dumps(found)) == found
    return found


def codes(found: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in found["warnings"]]


def test_counts() -> None:
    check = element("cm:compliance-result", "FAILED")
    found = summary(
        host("192.0.2.1", item(1, severity=4), item(1, severity=4, port=80), item(2, severity=2)),
        host("192.0.2.2", item(1, severity=4), item(3, check, severity=3, pluginFamily="Audit")),
        host("192.0.2.3"),
    )
    assert found["hosts"] == 3
    assert found["findings"] == 5
    assert found["severity_counts"] == {
        "critical": 3,
        "high": 0,
        "medium": 1,
        "low": 0,
        "info": 0,
    }
    assert found["compliance_counts"] == found["compliance"] == {"FAILED": 1}
    assert [row["plugin_id"] for row in found["top_findings"]] == [1, 2]
    assert found["left_out"] == {}
    assert found["families"] == {"General": 4, "Audit": 1}
    (worst, *_) = found["top_findings"]
    assert (worst["plugin_id"], worst["hosts"], worst["findings"]) == (1, 2, 3)
    assert [each["host"] for each in found["top_hosts"]] == ["192.0.2.1", "192.0.2.2"]
    assert found["top_hosts"][1]["high"] == 0
    assert found["complete"]
    assert found["problems"] == []


def test_a_finding_without_a_readable_severity_is_counted_apart() -> None:
    found = summary(host("192.0.2.1", item(1, severity=9)), host("192.0.2.2", item(2)))
    assert found["severity_counts"]["unknown"] == 1
    assert codes(found) == ["severity_unknown"]
    assert [each["severity"] for each in found["top_findings"]] == ["unknown"]
    assert [(each["host"], each["unknown"]) for each in found["top_hosts"]] == [("192.0.2.1", 1)]
    assert found["problems"][0]["kind"] == "bad_value"
    assert found["problems"][0]["line"] == 2


def test_exploited_findings_come_first_among_equals() -> None:
    found = summary(
        host(
            "192.0.2.1",
            item(1, severity=3),
            item(2, element("exploit_available", "true"), severity=3),
            item(3, element("xref", "CISA-KNOWN-EXPLOITED:2024/01/01"), severity=3),
            item(4, element("exploited_by_malware", "true"), severity=1),
            item(5, element("exploit_available", "false"), severity=3),
        )
    )
    assert [each["plugin_id"] for each in found["top_findings"]] == [3, 2, 1, 5, 4]
    assert [each["plugin_id"] for each in found["known_exploited"]["top"]] == [3]
    assert [each["plugin_id"] for each in found["exploited_by_malware"]["top"]] == [4]
    assert [each["plugin_id"] for each in found["exploitable"]["top"]] == [2, 4]


@pytest.mark.slow
def test_a_big_scan_still_makes_a_small_page() -> None:
    hosts = [
        host(f"h{number}", SCANNED, item(104410), *(item(p, severity=4) for p in range(20)))
        for number in range(400)
    ]
    found = summary(*hosts)
    assert found["hosts"] == 400
    assert found["verdict"]["counts"]["failed"] == 400
    assert len(found["host_verdicts"]) + found["host_verdicts_left_out"] == 400
    assert len(json.dumps(found)) < 30_000


def test_the_most_urgent_hosts_are_spelt_out_first() -> None:
    hosts = [host(f"good{number}", item(117887)) for number in range(40)]
    found = summary(*hosts, host("bad", item(104410)))
    assert found["host_verdicts"][0]["host"] == "bad"


def test_texts_of_hosts_are_cleaned() -> None:
    found = summary(host("a\u202eb", item(1, severity=4, pluginName="x\u200by\u2028z")))
    assert found["top_findings"][0]["plugin_name"] == "xy z"
    assert found["top_hosts"][0]["host"] == "ab"
    assert found["host_verdicts"][0]["host"] == "ab"


def test_nothing_wrong_means_no_warning() -> None:
    facts = ScanFacts(now=NOW, requested=("192.0.2.1",))
    assert codes(summary(host("192.0.2.1", SCANNED), facts=facts)) == []


@pytest.mark.parametrize(
    "hosts",
    [(), (host("192.0.2.1", item(10180, output("considered as dead - not scanning"))),)],
)
def test_nobody_answered(hosts: tuple[str, ...]) -> None:
    assert codes(summary(*hosts)) == ["no_hosts_alive"]


@pytest.mark.parametrize(
    ("requested", "absent"),
    [
        (["192.0.2.1", "web.example.com", "192.0.2.0/24", "192.0.2.1-192.0.2.9"], []),
        (["WEB.example.com.", "192.0.2.1-5", "2001:db8::1", "[2001:DB8:0::1]"], []),
        (["192.0.2.7", "192.0.2.7", "db.example.com"], ["192.0.2.7", "db.example.com"]),
        (["198.51.100.0/24", "192.0.2.4-9", "2001:db8:1::/64"], None),
    ],
)
def test_targets_nobody_reported_are_absent(requested: list[str], absent: list[str] | None) -> None:
    tags = {"host-ip": "192.0.2.1", "host-fqdn": "web.example.com"}
    found = summary(
        host("192.0.2.1", SCANNED, tags=tags),
        host("2001:db8::1", SCANNED),
        facts=ScanFacts(requested=requested),
    )
    assert found["verdict"]["absent"] == (requested if absent is None else absent)
    assert codes(found) == ([] if absent == [] else ["targets_absent"])


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("hello.example.com", True),
        ("192.0.2-3.1-5", True),
        ("192.0.2-3.2-5", False),
        ("other.example.com[192.0.2.1]", True),
        ("other.example.com[192.0.2.9]", False),
        ("'hello.example.com'", True),
        ("'other.example.com'", False),
        ("other-1.example.com", False),
        ("fe80::1%eth0", True),
        ("fe80::2%eth0", False),
        ("link6%eth0", True),  # no known form: nothing can be told of it
    ],
)
def test_forms_of_targets(target: str, found: bool) -> None:
    listed = '[{"FQDN":"hello.example.com","sources":["get_host_fqdn()"]},{"no":1},2]'
    tags = {"host-ip": "192.0.2.1", "host-fqdns": listed}
    seen = host("192.0.2.1", SCANNED, tags=tags)
    link_local = host("fe80::1%eth0", SCANNED)
    found_in = summary(seen, link_local, facts=ScanFacts(requested=(target,)))
    absent = found_in["verdict"]["absent"]
    assert (absent == []) == found


@pytest.mark.parametrize("listed", ["", "[", "{}", "[" * 100_000])
def test_a_list_of_names_that_cannot_be_read(listed: str) -> None:
    assert summary(host("a", SCANNED, tags={"host-fqdns": listed}))["hosts"] == 1


def test_the_report_itself_may_name_the_targets() -> None:
    policy = (
        "<Policy><Preferences><ServerPreferences><preference><name>TARGET</name>"
        "<value>192.0.2.1, 192.0.2.2</value></preference></ServerPreferences></Preferences>"
        "</Policy>"
    )
    found = summary(host("192.0.2.1", SCANNED), policy=policy)
    assert found["verdict"]["absent"] == ["192.0.2.2"]


@pytest.mark.parametrize(
    ("requested", "addresses"),
    [
        ((), None),
        (("192.0.2.0/27",), 32),
        (("192.0.2.1-9", "web.example.com"), 10),
        (("192.0.2-3.1-5", "192.0.2.1"), 11),
        (("2001:db8::/64",), None),
        (("2001:db8::/120",), 256),
    ],
)
def test_how_many_addresses_answered(requested: tuple[str, ...], addresses: int | None) -> None:
    dead = host("192.0.2.2", item(10180, output("is considered as dead")))
    facts = ScanFacts(requested=requested)
    scan = summary(host("192.0.2.1", SCANNED), dead, facts=facts)["scan"]
    assert (scan["answered"], scan["addresses"]) == (1, addresses)


def test_when_the_scan_was() -> None:
    def tags(start: int, end: int) -> dict[str, str]:
        return {
            "HOST_START": f"Fri Nov  7 13:{start}:52 2025",
            "HOST_END": f"Fri Nov  7 13:{end}:52 2025",
        }

    found = summary(host("a", tags=tags(25, 31)), host("b", tags=tags(20, 30)), host("c"))
    assert found["scan"]["started"] == "2025-11-07T13:20:52"
    assert found["scan"]["ended"] == "2025-11-07T13:31:52"
    dated = item(19506, output("Scan Start Date : 2025/3/10 10:42 UTC\n"))
    assert summary(host("a", dated))["scan"]["started"] == "2025/3/10 10:42 UTC"


def test_a_host_without_an_end_was_stopped() -> None:
    begun = {"HOST_START": "Fri Nov  7 13:25:52 2025"}
    assert codes(summary(host("a", SCANNED, tags=begun))) == ["stopped_early"]
    done = begun | {"HOST_END": "Fri Nov  7 13:26:52 2025"}
    assert codes(summary(host("a", SCANNED, tags=done))) == []


def test_a_scan_that_ended_early_is_incomplete_and_its_findings_say_why() -> None:
    begun = {"HOST_START": "Fri Nov  7 13:25:52 2025"}
    done = begun | {"HOST_END": "Fri Nov  7 13:26:52 2025"}
    hosts = (host("a", SCANNED, tags=begun), host("b", SCANNED, tags=done))
    facts = ScanFacts(requested=("a", "b"), credential=False, ended_early="it was canceled")
    found = summary(*hosts, facts=facts)
    assert codes(found) == ["ended_early"]
    assert (found["complete"], found["hosts"], found["hosts_finished"]) == (False, 2, 1)
    [caution] = cautions(found)
    assert "it was canceled" in caution
    assert "It finished 1 of the 2 hosts that it had begun." in caution


def test_targets_edited_on_the_scanner_are_a_caution() -> None:
    found = summary(host("a", SCANNED), facts=ScanFacts(credential=False, edited=True))
    assert codes(found) == ["targets_edited"]
    assert "edited the targets" in cautions(found)[0]


@pytest.mark.parametrize(
    ("sign", "code"),
    [
        (item(104410), ["credential_without_effect"]),
        (item(1), ["credential_without_effect"]),
        (item(141118), ["credential_partly_effective"]),
        (item(117887), []),
    ],
)
def test_a_credential_without_effect(sign: str, code: list[str]) -> None:
    given = ScanFacts(credential=True)
    assert codes(summary(host("a", SCANNED, sign), facts=given)) == code
    assert codes(summary(host("a", SCANNED, sign))) == []


@pytest.mark.parametrize(
    ("requested", "code"),
    [
        (["192.0.2.1"], []),
        (["192.0.2.1", "192.0.2.2"], ["targets_absent", "license_limit"]),
        (["192.0.2.0/28"], ["license_limit"]),
        (["192.0.2.1-9"], ["license_limit"]),
    ],
)
def test_a_license_without_room(requested: list[str], code: list[str]) -> None:
    facts = ScanFacts(requested=requested, used_up=16)
    assert codes(summary(host("192.0.2.1", SCANNED), facts=facts)) == code


def test_what_the_scanner_itself_warns_of() -> None:
    words = (
        "Plugin feed version : 202310311200\n\n"
        "ERROR: Your plugins have not been updated since 2024/1/9\nThey are old.\n\n"
        "Scan type : Normal\n\nWARNING: Service discovery has been disabled.\n"
        "Credentialed checks : no\n"
    )
    found = summary(host("a", item(19506, output(words))))
    assert [each["message"] for each in found["warnings"]] == [
        "The scanner warns: Your plugins have not been updated since 2024/1/9 They are old.",
        "The scanner warns: Service discovery has been disabled.",
    ]


def test_no_port_scanner() -> None:
    words = INFO + "\nWARNING : No port scanner was enabled during the scan. This may\nlead\n"
    assert codes(summary(host("a", item(19506, output(words))))) == ["no_port_scanner"]


def test_old_plugins() -> None:
    later = ScanFacts(now=NOW + 60 * 86400)
    assert codes(summary(host("a", SCANNED), facts=later)) == ["plugin_set_old"]


def test_a_broken_report_is_doubtful() -> None:
    data = document(host("a", SCANNED))
    found = summarize(io.BytesIO(data[:-40]))
    assert codes(found)[0] == "report_incomplete"
    assert not found["complete"]
    assert found["problems"][0]["saved"]


def test_scan_information() -> None:
    info = read_scan_info(INFO)
    assert info.scanner_version == "10.7.1"
    assert info.plugin_set == "202310311200"
    assert info.plugin_set_at == 1698753600.0
    assert info.port_scanners == ("nessus_syn_scanner",)
    assert info.duration == 61
    assert info.credentialed == "no"
    empty = read_scan_info("Plugin feed version : 209913991200")
    assert empty.plugin_set_at is None
    assert empty.port_scanners is None
    assert not empty.no_port_scanner


def test_a_filtered_export_is_noticed() -> None:
    serious = item(1, element("synopsis", "A weakness."), severity=3)
    assert codes(summary(host("a", serious))) == ["report_filtered"]
    assert codes(summary(host("a", serious, item(2)))) == []
    assert codes(summary(host("a", serious, SCANNED))) == []


def test_an_export_without_plugin_texts_is_no_all_clear() -> None:
    described = item(1, element("solution", "Upgrade."), severity=3)
    check = item(3, element("cm:compliance-result", "FAILED"), severity=3)
    found = summary(host("a", SCANNED, described, item(2, output("x"), severity=3), check))
    (warning,) = found["warnings"]
    assert warning["code"] == "plugin_texts_missing"
    assert warning["message"].startswith("1 finding without the plugin's texts")
    assert f"{warning['message']} {warning['advice']}" in cautions(found)
    assert codes(summary(host("a", SCANNED, described, check))) == []


def test_absent_targets_of_a_cut_report_are_not_known() -> None:
    whole = document(host("192.0.2.1", SCANNED), host("192.0.2.2", SCANNED))
    facts = ScanFacts(requested=("192.0.2.1", "192.0.2.2"))
    found = summarize(io.BytesIO(whole[: whole.index(b'"192.0.2.2"')]), facts)
    (absent,) = [each for each in found["warnings"] if each["code"] == "targets_absent"]
    assert absent["advice"].startswith("Nothing is known about them")


def test_summaries_that_older_versions_stored_count_checks_apart_as_far_as_they_know() -> None:
    new = {"compliance": {"FAILED": 2}, "compliance_counts": {"FAILED": 2}, "severity_counts": {}}
    assert upgraded(new) is new
    assert upgraded({"hosts": 1}) == {"hosts": 1}
    counts = {"critical": 1, "high": 7, "medium": 2, "low": 0, "info": 9}
    old = {"severity_counts": counts, "compliance": {"FAILED": 5, "PASSED": 4}, "warnings": []}
    known = upgraded({**old, "compliance_severities": {"high": 5, "info": 4}})
    assert known == {
        **old, "severity_counts": {**counts, "high": 2, "info": 5},
        "compliance_counts": {"FAILED": 5, "PASSED": 4},
    }  # fmt: skip
    unknown = upgraded(old)
    assert unknown["severity_counts"] == counts
    (warning,) = unknown["warnings"]
    assert warning["code"] == "checks_among_findings"
    assert "include 9 compliance checks" in warning["message"]
    assert upgraded(unknown) is unknown
    none = upgraded({**old, "compliance": {}})
    assert (none["compliance_counts"], none["warnings"]) == ({}, [])
