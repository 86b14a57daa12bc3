"""Real reports: the figures of an independent count, and the word of another reader."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tenable.reports.nessusv2 import NessusReportv2

from nessus_sched.results.columns import Kind, columns
from nessus_sched.results.model import Finding, HostEnd, HostReport, Plugin
from nessus_sched.results.parser.reader import Event, Reader, parse
from nessus_sched.results.summary import summarize
from support.samples import SAMPLES, find_sample

FIGURES = {  # hosts, and findings by severity from critical to info
    "defectdojo_nessus_many_vuln": (1, (0, 0, 0, 0, 7)),
    "defectdojo_issue_6992": (1, (0, 0, 1, 0, 0)),
    "defectdojo_nessus_with_cvssv3": (1, (2, 10, 13, 1, 23)),
    "pytenable_example": (1, (7, 77, 9, 2, 135)),
    "heimdall2_sample": (3, (1, 1, 5, 2, 140)),
    "libnessus_nessus_report_local2": (1, (0, 0, 1, 0, 61)),
    "rubynessus_example_v2": (2, (0, 0, 3, 47, 19)),
    "libnessus_nessus_report_local_3": (3, (2, 3, 20, 10, 71)),
    "defectdojo_was_many_vuln": (1, (0, 1, 0, 3, 1)),
}


@pytest.fixture(params=FIGURES)
def sample(request: pytest.FixtureRequest) -> Path:
    return find_sample(request.param)


@pytest.mark.slow
def test_figures_of_real_reports(sample: Path) -> None:
    hosts, severities = FIGURES[sample.stem]
    with sample.open("rb") as stream:
        reader = Reader(stream)
        events = list(reader)

    counts = Counter(event.severity for event in events if isinstance(event, Finding))
    assert tuple(counts[severity] for severity in (4, 3, 2, 1, 0)) == severities
    assert sum(isinstance(event, HostReport) for event in events) == hosts
    ends = [event for event in events if isinstance(event, HostEnd)]
    assert [end.complete for end in ends] == [True] * hosts
    assert reader.report.complete
    assert reader.report.problems == ()
    assert reader.report.bytes_read == sample.stat().st_size


@pytest.mark.parametrize("chunk_size", [7, 4099])
def test_the_size_of_the_pieces_makes_no_difference(chunk_size: int) -> None:
    path = find_sample("defectdojo_was_many_vuln")
    with path.open("rb") as stream:
        whole = list(Reader(stream))
    with path.open("rb") as stream:
        assert list(Reader(stream, chunk_size=chunk_size)) == whole


@pytest.mark.slow
def test_summary_has_the_figures(sample: Path) -> None:
    with sample.open("rb") as stream:
        summary = summarize(stream)
    hosts, severities = FIGURES[sample.stem]
    assert summary["hosts"] == hosts
    assert summary["findings"] == sum(severities)
    assert tuple(summary["severity_counts"].values()) == severities
    assert sum(summary["verdict"]["counts"][word] for word in LOGINS) == hosts


LOGINS = ("full", "partial", "failed", "not_provided", "none", "unknown", "not_alive")


VERDICTS = {
    "defectdojo_nessus_many_vuln": ("not tried", {"none": 1}),
    "defectdojo_issue_6992": ("not tried", {"none": 1}),
    "defectdojo_nessus_with_cvssv3": ("not tried", {"none": 1}),
    "pytenable_example": ("yes", {"full": 1}),
    "heimdall2_sample": ("partly", {"full": 1, "failed": 2}),
    "libnessus_nessus_report_local2": ("yes", {"full": 1}),
    "rubynessus_example_v2": ("unknown", {"unknown": 2}),
    "libnessus_nessus_report_local_3": ("no", {"failed": 2, "none": 1}),
    "defectdojo_was_many_vuln": ("unknown", {"unknown": 1}),
}


@pytest.mark.slow
def test_verdicts_of_real_reports(sample: Path) -> None:
    with sample.open("rb") as stream:
        verdict = summarize(stream)["verdict"]
    credentialed, counts = VERDICTS[sample.stem]
    assert verdict["credentialed"] == credentialed
    assert {word: verdict["counts"][word] for word in LOGINS if verdict["counts"][word]} == counts


def test_old_reports_have_scan_information() -> None:
    with find_sample("rubynessus_example_v2").open("rb") as stream:
        summary = summarize(stream)
    assert summary["scan"]["plugin_set"] == "200912110134"
    for verdict in summary["host_verdicts"]:
        assert "says nothing about logins" in verdict["advice"]


def test_web_application_scans_have_a_period() -> None:
    with find_sample("defectdojo_was_many_vuln").open("rb") as stream:
        scan = summarize(stream)["scan"]
    assert (scan["started"], scan["ended"]) == ("2021-03-12T12:34:30", "2021-03-12T14:35:34")


def test_one_good_login_and_two_failed_make_a_partial_verdict_with_evidence() -> None:
    with find_sample("heimdall2_sample").open("rb") as stream:
        summary = summarize(stream)
    assert summary["verdict"]["login"] == "partial"
    hosts = {host["host"]: host for host in summary["host_verdicts"]}
    good = {sign["source"] for sign in hosts["10.0.0.3"]["evidence"]}
    assert {"plugin 141118", "plugin 117887", "plugin 110095"} <= good
    assert hosts["10.0.0.3"]["privilege"] == "sufficient"
    for address in ("10.0.0.1", "10.0.0.2"):
        signs = {sign["source"]: sign for sign in hosts[address]["evidence"]}
        assert signs["plugin 104410"]["where"] == "22/tcp ssh"
        assert "passphrase" in signs["plugin 21745"]["detail"]
        assert hosts[address]["login"] == "failed"
    assert summary["verdict"]["absent"] == ["10.0.0.4"]


def test_another_reader_agrees_on_every_finding(sample: Path) -> None:
    with sample.open("rb") as ours, sample.open("rb") as theirs:
        hosts: dict[int, HostReport] = {}
        others: Iterator[dict[str, Any]] = iter(NessusReportv2(theirs))
        compared = 0
        for event in Reader(ours):
            if isinstance(event, HostReport):
                hosts[event.index] = event
            if isinstance(event, Finding):
                compared += check_finding(event, hosts[event.host_index], next(others))
        assert next(others, None) is None
    assert compared > FIGURES[sample.stem][0] * 10


def check_finding(ours: Finding, host: HostReport, theirs: dict[str, Any]) -> int:
    """Compares all that both know, and returns how many values that was."""
    assert host.name == theirs.pop("host-report-name")
    for attribute in ("port", "protocol", "svc_name", "severity"):
        assert getattr(ours, attribute) == theirs.pop(attribute)
    assert ours.plugin.plugin_id == theirs.pop("pluginID")
    assert ours.plugin.plugin_name == theirs.pop("pluginName")
    assert ours.plugin.plugin_family == theirs.pop("pluginFamily")
    compared = 8
    if "plugin_output" in theirs:
        assert ours.plugin_output == (theirs.pop("plugin_output") or "")
        compared += 1
    for attribute, about in columns(Plugin).items():
        for element in (about.element or attribute, *about.aliases):
            if element not in theirs or attribute == "plugin_name":
                continue
            value = without_tag(theirs.pop(element), host.properties.get(element))
            assert as_texts(getattr(ours.plugin, attribute)) == expected(value, about.kind)
            compared += 1
    compared += check_properties(host, theirs)
    for element, value in theirs.items():
        if element == "plugin_name" and value == ours.plugin.plugin_name:
            continue
        assert [text or None for text in ours.extra[element]] == as_list(value)
    return compared


def check_properties(host: HostReport, theirs: dict[str, Any]) -> int:
    for tag, text in host.properties.items():
        value = theirs.pop(tag, None)
        if isinstance(value, str):
            assert value == text
    return len(host.properties)


def without_tag(value: Any, tag: str | None) -> Any:
    """The other reader puts a host's tag and an element of the same name into one list."""
    if tag is None:
        return value
    if isinstance(value, list):
        assert value[0] == tag
        return value[1:] if len(value) > 2 else value[1]
    return []  # the host's tag only


def expected(value: Any, kind: Kind) -> list[str]:
    if kind is Kind.LIST:
        lines = "\n".join(text for text in as_list(value) if text).split("\n")
        return [line.strip() for line in lines if line.strip()]
    if isinstance(value, datetime.datetime):
        return [value.date().isoformat()]
    if isinstance(value, list):  # a vector
        return ["/".join(value)] if value else []
    if kind is Kind.NUMBER:
        return [] if value in (None, "") else [str(float(value))]
    if kind is Kind.FLAG:
        return [str(value.lower() in ("true", "1"))]
    if kind is Kind.DATE:
        return [value.replace("/", "-")]
    return [value or ""]


def as_texts(value: Any) -> list[str]:
    if value is None:
        return []
    return list(value) if isinstance(value, tuple) else [str(value)]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_a_real_report_that_was_cut_off_is_kept_as_far_as_it_is_whole() -> None:
    path = SAMPLES.parent / "nessus_broken" / "derived_truncated_heimdall2.nessus"
    if not path.exists():
        pytest.skip("the broken sample is not here")
    found: list[Event] = []
    with path.open("rb") as stream:
        report = parse(stream, found.append)
    assert not report.complete
    assert (report.hosts, report.findings) == (1, 29)
    assert sum(isinstance(event, Finding) for event in found) == 29
    (problem,) = report.problems
    assert problem.line == 10469
    assert "kept 29 findings of 1 host before" in str(problem)
