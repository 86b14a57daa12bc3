"""Values that reports spell in several ways, or give more than once."""

from __future__ import annotations

import pytest

from nessus_sched.results.model import HostReport
from support.nessus_xml import document, element, findings_of, host, item, output, read


def test_a_weakness_has_one_spelling() -> None:
    data = document(
        host(
            "192.0.2.1",
            item(1, element("cwe", "CWE-20"), element("xref", "CWE:20")),
            item(2, element("cwe", "20"), element("cwe", "cwe:79")),
            item(3, element("xref", "CWE:20"), element("xref", "IAVA:2019-A-0132")),
            item(4, element("cwe", "other")),
        )
    )
    plugins = [finding.plugin for finding in findings_of(read(data)[0])]
    assert [plugin.cwe for plugin in plugins] == [("20",), ("20", "79"), ("20",), ("other",)]
    assert plugins[2].xref == ("CWE:20", "IAVA:2019-A-0132")


def test_both_outputs_are_kept() -> None:
    (finding,) = findings_of(read(document(host("a", item(1, output("one"), output("two")))))[0])
    assert finding.plugin_output == "one\ntwo"


def test_the_priority_rating_of_other_exports() -> None:
    rated = item(1, element("vulnerability_priority_rating", "7.4"))
    (finding,) = findings_of(read(document(host("a", rated)))[0])
    assert finding.plugin.vpr_score == 7.4


def test_a_list_in_json_is_a_list() -> None:
    """Tenable's cloud writes its guesses so, where the scanner writes one a line."""
    guesses = '["Linux Kernel 4.15", "Linux Kernel 5.4"]'
    odd = ('["cut', '[{"os": "x"}]', "[1]", "[old] NetBSD")
    written = [host("a", tags={"operating-system": text}) for text in (guesses, *odd)]
    found = [event.os for event in read(document(*written))[0] if isinstance(event, HostReport)]
    assert found == [("Linux Kernel 4.15", "Linux Kernel 5.4"), *((text,) for text in odd)]


@pytest.mark.parametrize(
    ("text", "local", "at"),
    [
        ("2021-03-12T12:34:30.12031+00:00", "2021-03-12T12:34:30", 1615552470.12031),
        ("2021-03-12T14:34:30+02:00", "2021-03-12T14:34:30", 1615552470.0),
        ("2021-03-12T12:34:30", "2021-03-12T12:34:30", None),
        ("Fri Mar 12 12:34:30 2021", "2021-03-12T12:34:30", None),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00", None),
        ("2021-03-32T12:34:30Z", None, None),
        ("2021-W10-5", None, None),
    ],
)
def test_times_of_web_application_scans(text: str, local: str | None, at: float | None) -> None:
    events, _ = read(document(host("a", tags={"HOST_START": text, "HOST_END": text})))
    (found,) = [event for event in events if isinstance(event, HostReport)]
    assert (found.local_start, found.local_end) == (local, local)
    assert (found.started_at, found.ended_at) == (at, at)


def test_outputs_that_nessus_4_wrote_as_descriptions() -> None:
    bare = item(19506, element("description", "Information about this scan :"))
    described = item(1, element("description", "About it."), element("synopsis", "A check."))
    both = item(2, element("description", "About it."), output("Seen."))
    found = findings_of(read(document(host("a", bare, described, both)))[0])
    assert [each.output_text for each in found] == ["Information about this scan :", "", "Seen."]


@pytest.mark.parametrize("score", ["98", "-3.5", "10.01"])
def test_scores_out_of_range_are_problems(score: str) -> None:
    events, report = read(document(host("a", item(1, element("cvss3_base_score", score)))))
    (finding,) = findings_of(events)
    assert finding.plugin.cvss3_base_score is finding.plugin.cvss_score is None
    assert finding.extra == {"cvss3_base_score": (score,)}
    (problem,) = report.problems
    assert "cvss3_base_score is not in 0 to 10" in problem.message


@pytest.mark.parametrize("port", [70000, -1, 65536])
def test_ports_out_of_range_are_problems(port: int) -> None:
    events, report = read(document(host("a", item(1, port=port), item(1, port=65535))))
    assert [finding.port for finding in findings_of(events)] == [None, 65535]
    assert [problem.kind for problem in report.problems] == ["bad_value"]
