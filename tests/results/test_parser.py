"""What reports say, and what is made of it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nessus_sched.results.catalog import FIELDS
from nessus_sched.results.columns import Column, Kind, columns
from nessus_sched.results.model import (
    ComplianceResult,
    Finding,
    HostEnd,
    HostReport,
    Plugin,
    host_key,
)
from nessus_sched.results.parser.limits import Limits
from nessus_sched.results.parser.problems import ParseProblemKind
from support.full_rows import flatten
from support.nessus_xml import (
    document,
    element,
    findings_of,
    host,
    item,
    output,
    read,
    write_finding,
    write_host,
)


def only(*children: str, **attributes: object) -> Finding:
    events, report = read(document(host("192.0.2.1", item(1, *children, **attributes))))
    assert report.problems == ()
    (finding,) = findings_of(events)
    return finding


def test_absent_is_neither_zero_nor_false_nor_empty() -> None:
    bare = only()
    assert bare.plugin.cvss_base_score is None
    assert bare.plugin.exploit_available is None
    assert bare.plugin.synopsis is None
    assert bare.plugin_output is None

    said = only(
        element("cvss_base_score", "0.0"),
        element("exploit_available", "false"),
        element("synopsis", ""),
        output(""),
    )
    assert said.plugin.cvss_base_score == 0.0
    assert said.plugin.exploit_available is False
    assert said.plugin.synopsis == ""
    assert said.plugin_output == ""


def test_all_values_of_repeated_elements_are_kept() -> None:
    plugin = only(
        element("cve", "CVE-2024-0001"),
        element("cve", "CVE-2024-0002"),
        element("xref", "CWE:79"),
        element("xref", "IAVA:2021-A-0001"),
        element("see_also", "https://example.com/a\nhttps://example.com/b"),
    ).plugin
    assert plugin.cve == ("CVE-2024-0001", "CVE-2024-0002")
    assert plugin.xref == ("CWE:79", "IAVA:2021-A-0001")
    assert plugin.see_also == ("https://example.com/a", "https://example.com/b")


@pytest.mark.parametrize(
    "mark",
    [
        element("xref", "CISA-KNOWN-EXPLOITED:2022/05/03"),
        element("cisa-known-exploited", "2022/05/03"),
    ],
)
def test_known_exploited_is_seen_in_either_form(mark: str) -> None:
    assert only(mark).plugin.cisa_kev
    assert not only(element("xref", "CWE:79")).plugin.cisa_kev


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ({}, None),
        ({"cvss_base_score": 5.0}, 5.0),
        ({"cvss_base_score": 5.0, "cvss3_base_score": 7.1}, 7.1),
        ({"cvss_base_score": 5.0, "cvss3_base_score": 7.1, "cvss4_base_score": 0.0}, 0.0),
    ],
)
def test_cvss_score_is_that_of_the_newest_version(
    scores: dict[str, float], best: float | None
) -> None:
    assert only(*(element(name, score) for name, score in scores.items())).plugin.cvss_score == best


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cvss3_base_score", "high"),
        ("cvss3_base_score", "nan"),
        ("cvss3_base_score", "1_0"),
        ("cvss3_base_score", "9" * 400),
        ("vpr_score", "\u0663.\u0665"),
        ("exploit_available", "maybe"),
        ("vuln_publication_date", "2023/02/30"),
        ("vuln_publication_date", "yesterday"),
    ],
)
def test_a_value_that_is_none_is_absent_reported_and_kept_as_text(name: str, text: str) -> None:
    events, report = read(document(host("192.0.2.1", item(7, element(name, text)))))
    (finding,) = findings_of(events)
    assert getattr(finding.plugin, name) is None
    assert finding.extra == {name: (text,)}
    (problem,) = report.problems
    assert problem.kind is ParseProblemKind.BAD_VALUE
    assert name in problem.message
    assert "192.0.2.1" in problem.message
    assert "plugin 7" in problem.message
    assert report.complete


@pytest.mark.parametrize("severity", ["5", "-1", "urgent", "4.0"])
def test_a_severity_out_of_range_is_not_guessed(severity: str) -> None:
    events, report = read(document(host("192.0.2.1", item(7, severity=severity))))
    (finding,) = findings_of(events)
    assert finding.severity is None
    assert finding.extra == {"@severity": (severity,)}
    assert report.problem_counts == {"bad_value": 1}


def test_unknown_elements_and_attributes_are_kept() -> None:
    finding = only(
        element("future_thing", "1"), element("future_thing", "2"), '<a b="c">d</a>', zone="dmz"
    )
    assert finding.extra == {
        "future_thing": ("1", "2"),
        "a@b": ("c",),
        "a": ("d",),
        "@zone": ("dmz",),
    }


def test_a_finding_given_twice_stays_two_findings_of_one_plugin() -> None:
    same = item(5, element("description", "x" * 100), output("out"))
    events, report = read(document(host("192.0.2.1", same, same), host("192.0.2.2", same)))
    findings = findings_of(events)
    assert [finding.index for finding in findings] == [0, 1, 2]
    assert [finding.host_index for finding in findings] == [0, 0, 1]
    assert all(finding.plugin is findings[0].plugin for finding in findings)
    assert report.findings == 3


def test_one_plugin_id_with_different_texts_is_not_mixed_up() -> None:
    items = [item(5, element("description", text)) for text in ("a", "b", "a")]
    events, _ = read(document(host("192.0.2.1", *items)))
    assert [finding.plugin.description for finding in findings_of(events)] == ["a", "b", "a"]


def test_host_properties() -> None:
    tags = {
        "host-ip": "192.0.2.1",
        "mac-address": "00:00:5E:00:53:01\n00:00:5E:00:53:02",
        "operating-system": "Linux 5\nLinux 6",
        "HOST_START": "Fri Nov  7 13:25:52 2025",
        "HOST_END_TIMESTAMP": "1762522000",
        "Credentialed_Scan": "false",
        "netstat-0": "anything",
    }
    events, report = read(document(host("Web.Example.COM.", tags=tags)))
    found = events[0]
    assert isinstance(found, HostReport)
    assert found.key == host_key("web.example.com") == "web.example.com"
    assert found.name == "Web.Example.COM."
    assert found.mac_address == ("00:00:5E:00:53:01", "00:00:5E:00:53:02")
    assert found.os == ("Linux 5", "Linux 6")
    assert found.local_start == "2025-11-07T13:25:52"
    assert found.started_at is None
    assert found.ended_at == 1762522000.0
    assert found.credentialed is False
    assert dict(found.properties) == tags
    assert report.hosts == 1


def test_properties_after_the_findings_are_in_the_end_of_the_host() -> None:
    late = '<HostProperties><tag name="host-ip">192.0.2.9</tag></HostProperties>'
    text = f'<ReportHost name="a">{item(1)}{late}</ReportHost>'
    events, _ = read(document(text))
    first, _, last = events
    assert isinstance(first, HostReport)
    assert first.ip is None
    assert isinstance(last, HostEnd)
    assert last.host.ip == "192.0.2.9"
    assert last.findings == 1


def test_the_same_host_twice_is_one_host() -> None:
    names = ("a.example.com", "192.0.2.1", "A.example.com.")
    twice = [host(name, item(number)) for number, name in enumerate(names)]
    events, report = read(document(*twice))
    assert report.hosts == 2
    assert [finding.host_index for finding in findings_of(events)] == [0, 1, 0]
    events, report = read(document(*twice), limits=Limits(hosts=0))
    assert report.hosts == 3


@pytest.mark.parametrize("prefix", ["cm:", "", "other:"])
def test_compliance_by_local_name_whatever_the_prefix(prefix: str) -> None:
    check = only(
        element("compliance", "true"),
        element(f"{prefix}compliance-check-name", "1.1 Passwords"),
        element(f"{prefix}compliance-result", "failed"),
        element(f"{prefix}compliance-reference", "CSF|PR.AC-1,800-53|IA-5"),
        element(f"{prefix}compliance-actual-value", ""),
        severity=1,
    ).compliance
    assert check is not None
    assert check.result == "FAILED"
    assert check.check_name == "1.1 Passwords"
    assert check.reference == ("CSF|PR.AC-1", "800-53|IA-5")
    assert check.actual_value == ""
    assert check.policy_value is None


@pytest.mark.parametrize(("severity", "result"), [(3, "FAILED"), (2, "FAILED"), (1, "PASSED")])
def test_old_compliance_is_read_from_the_description_not_the_severity(
    severity: int, result: str
) -> None:
    check = only(
        element("description", f'"Minimum length : 8" : [{result}]\n\nmore'),
        severity=severity,
        pluginFamily="Policy Compliance",
    ).compliance
    assert check is not None
    assert (check.check_name, check.result) == ("Minimum length : 8", result)


def test_a_description_that_looks_like_a_check_is_none_in_another_family() -> None:
    assert only(element("description", '"a" : [FAILED]')).compliance is None


def test_the_policy_is_skipped_but_for_name_and_targets() -> None:
    policy = (
        "<Policy><policyName>Mine</policyName><Preferences><ServerPreferences>"
        "<preference><name>plugin_set</name><value>1;2;3</value></preference>"
        "<preference><name>TARGET</name><value>192.0.2.1,192.0.2.2</value></preference>"
        "</ServerPreferences></Preferences><ReportHost name='no'/><ReportItem/></Policy>"
    )
    events, report = read(document(host("192.0.2.1", item(1)), policy=policy))
    assert report.policy_name == "Mine"
    assert report.requested == "192.0.2.1,192.0.2.2"
    assert (report.hosts, report.findings) == (1, 1)
    assert len(events) == 3
    assert report.complete


# -- round trip

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff").filter(
    lambda character: character >= " " or character in "\n\t\r"
)
TEXTS = st.text(CHARACTERS, max_size=30)
NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)


def values(about: Column) -> st.SearchStrategy[object]:
    if about.kind is Kind.LIST:
        separator = about.split or ""
        words = NAMES.filter(lambda word: separator not in word if separator else True)
        return st.lists(words, max_size=4).map(tuple)
    kinds: dict[Kind, st.SearchStrategy[object]] = {
        Kind.TEXT: TEXTS,
        Kind.NUMBER: st.decimals(0, 10 if about.most is None else about.most, places=1).map(float),
        Kind.FLAG: st.booleans(),
        Kind.DATE: st.dates().map(lambda date: date.isoformat()),
        Kind.INTEGER: st.integers(0, 65535),
        Kind.SEVERITY: st.integers(0, 4),
    }
    return st.none() | kinds[about.kind]


def objects(cls: type, **fixed: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    fields = {
        name: values(about)
        for name, about in columns(cls).items()
        if not about.derived and name not in fixed
    }
    return st.fixed_dictionaries({}, optional=fields | fixed)


CHECKS = objects(ComplianceResult, result=st.sampled_from(["PASSED", "FAILED", "WARNING"]))
EXTRAS = st.dictionaries(
    NAMES.map(lambda name: f"x_{name}"),
    st.lists(TEXTS, min_size=1, max_size=2).map(tuple),
    max_size=2,
)


WEAKNESSES = st.lists(st.integers(1, 2000).map(str), unique=True, max_size=3).map(tuple)
"""Each is read once, in one spelling."""


@st.composite
def findings(draw: st.DrawFn, index: int, name: str) -> Finding:
    compliance = draw(st.none() | CHECKS)
    occurrence = draw(objects(Finding, index=st.just(index), host_index=st.just(0)))
    occurrence |= {"index": index, "host_index": 0, "host": host_key(name)}
    plugin = draw(objects(Plugin)) | {"cwe": draw(WEAKNESSES)}
    return Finding(
        plugin=Plugin(**plugin),  # type: ignore[arg-type]  # drawn by kind
        compliance=None if compliance is None else ComplianceResult(**compliance),  # type: ignore[arg-type]  # drawn by kind
        extra=draw(EXTRAS),
        **occurrence,  # type: ignore[arg-type]  # drawn by kind
    )


@pytest.mark.slow
@given(st.data(), st.text(CHARACTERS.filter(str.isalnum), min_size=1), st.integers(0, 3))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_written_is_read(data: st.DataObject, name: str, number: int) -> None:
    written = [data.draw(findings(index, name)) for index in range(number)]
    text = write_host(HostReport(index=0, name=name, properties={"host-ip": "192.0.2.1"}), written)
    events, report = read(document(text), chunk_size=data.draw(st.integers(1, 5000)))
    assert report.problems == ()
    assert findings_of(events) == written
    assert report.complete


@pytest.mark.slow
@given(st.data())
def test_any_bytes_are_read_without_an_exception(data: st.DataObject) -> None:
    """Damage of any sort: bytes replaced, cut out or put in."""
    whole = document(host("192.0.2.1", item(1, element("cve", "a&b")), item(2)), host("b", item(3)))
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 40)))
    damaged = whole[:start] + data.draw(st.binary(max_size=20)) + whole[end:]
    events, report = read(damaged, chunk_size=data.draw(st.integers(1, 400)))
    assert len(findings_of(events)) == report.findings
    hosts = [event for event in events if isinstance(event, HostReport)]
    ends = [event for event in events if isinstance(event, HostEnd)]
    assert [end.host.index for end in ends] == [found.index for found in hosts]
    if report.findings < 3:
        assert report.problems


def test_flattening_knows_every_field() -> None:
    finding = only(element("cm:compliance-result", "PASSED"), element("cvss_base_score", "5.0"))
    row = flatten(HostReport(index=0, name="192.0.2.1", ip="192.0.2.1"), finding)
    assert list(row) == list(FIELDS)
    assert row["compliance_result"] == "PASSED"
    assert row["host_ip"] == "192.0.2.1"
    assert row["cvss_score"] == 5.0
    assert row["plugin_id"] == 1
    assert write_finding(finding)
