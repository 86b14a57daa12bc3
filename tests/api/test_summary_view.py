"""Summaries for models: small, and nothing that matters left out in silence."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from nessus_sched.api import summary_view
from nessus_sched.api.paging import size
from nessus_sched.results.summary import summarize
from support.nessus_xml import document, element, host, item
from support.tokens import tokens_of

SAMPLES = sorted((Path(__file__).parents[3] / "shared" / "data" / "nessus").glob("*.nessus"))
ESSENCE = ("hosts", "findings", "severity_counts", "verdict", "warnings", "complete")


def large(hosts: int = 300) -> dict[str, Any]:
    """The summary of a scan in which everything is long, and every login has failed."""
    failed = [
        item(104410, element("plugin_output", "x" * 2000), port=22, svc_name="ssh" * 20),
        item(21745, element("plugin_output", "y" * 2000)),
    ]
    bad = [
        item(
            200000 + number,
            element("cisa-known-exploited", "2026/01/31"),
            element("exploit_available", "true"),
            *(element("cve", f"CVE-2026-{number}{each:04}") for each in range(20)),
            severity=4,
            pluginName="A very long name of a check " * 10,
        )
        for number in range(40)
    ]
    names = (f"{'long-name-' * 10}{number}.example.com" for number in range(hosts))
    return summarize(io.BytesIO(document(*(host(name, *failed, *bad) for name in names))))


@pytest.mark.slow
def test_a_large_scan_has_a_small_summary_that_says_what_is_missing() -> None:
    whole = large()
    short = summary_view.concise(whole)
    assert size(short) / 4 < 3_500
    assert {key: short[key] for key in ESSENCE} == {key: whole[key] for key in ESSENCE}
    assert short["left_out"] == {
        "top_findings": 40 - len(short["top_findings"]),
        "top_hosts": 300 - len(short["top_hosts"]),
        "known_exploited": 40 - len(short["known_exploited"]["top"]),
        "exploitable": 40 - len(short["exploitable"]["top"]),
    }
    assert {row["cve_left_out"] for row in short["top_findings"]} == {15}
    shown = sum(len(row["hosts"]) for row in short["host_verdicts"])
    assert shown >= 5
    assert shown + short["host_verdicts_left_out"] == whole["hosts"]
    assert short["known_exploited"]["plugins"] == 40


@pytest.mark.slow
def test_a_full_summary_has_a_bound_too() -> None:
    whole = large()
    shown = summary_view.full(whole)
    assert tokens_of(shown) < 9_500
    assert 5 <= len(shown["host_verdicts"]) < len(whole["host_verdicts"])
    assert len(shown["host_verdicts"]) + shown["host_verdicts_left_out"] == whole["hosts"]


def test_a_small_summary_keeps_every_host_and_finding() -> None:
    whole = summarize(io.BytesIO(document(host("a.example.com", item(1, severity=3)))))
    short = summary_view.concise(whole)
    assert not short["left_out"]
    assert [row["hosts"] for row in short["host_verdicts"]] == [["a.example.com"]]
    assert [row["plugin_id"] for row in short["top_findings"]] == [1]


def test_hosts_with_the_same_verdict_are_one_row_that_counts_them() -> None:
    failed = [item(104410, port=22), item(21745)]
    bad = [f"bad{number:02}" for number in range(12)]
    reports = [host(name, *failed) for name in bad] + [host("good", item(141118))]
    whole = summarize(io.BytesIO(document(*reports)))
    short = summary_view.concise(whole)
    first, second = short["host_verdicts"]
    assert (first["login"], first["host_count"], first["hosts"]) == ("failed", 12, bad[:10])
    assert first["advice"]
    assert (second["login"], second["host_count"], second["hosts"]) == ("partial", 1, ["good"])
    assert short["host_verdicts_left_out"] == 2
    assert "evidence" not in first
    assert all({"critical", "high", "medium", "low"} <= row.keys() for row in short["top_hosts"])
    assert all(row["evidence"] for row in summary_view.full(whole)["host_verdicts"])


def test_hosts_that_are_not_known_are_not_counted_as_if_they_were() -> None:
    reports = [host(f"h{number:03}", item(104410, port=22)) for number in range(400)]
    whole = summarize(io.BytesIO(document(*reports)))
    assert whole["host_verdicts_left_out"]
    short = summary_view.concise(whole)
    assert all("host_count" not in row for row in short["host_verdicts"])
    named = sum(len(row["hosts"]) for row in short["host_verdicts"])
    assert named + short["host_verdicts_left_out"] == 400


def test_the_first_findings_are_shown_and_the_others_counted() -> None:
    kev = element("cisa-known-exploited", "2026/01/31")
    bad = [item(number, kev if number == 7 else "", severity=4) for number in range(1, 9)]
    short = summary_view.concise(summarize(io.BytesIO(document(host("a", *bad)))))
    assert len(short["top_findings"]) == 5
    assert short["left_out"]["top_findings"] == 3
    for row in short["top_findings"]:
        assert ("cisa_kev" in row) is (row["plugin_id"] == 7)
        assert "known_exploited" not in row
    assert short["known_exploited"]["plugins"] == len(short["known_exploited"]["top"]) == 1


@pytest.mark.slow
@pytest.mark.skipif(not SAMPLES, reason="no sample reports beside the checkout")
@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: str(file.name))
def test_real_reports(file: Path) -> None:
    if file.stat().st_size > 5_000_000:
        pytest.skip("large; the made-up one is larger")
    with file.open("rb") as stream:
        whole = summarize(stream)
    short = summary_view.concise(whole)
    assert size(short) / 4 < 3_500
    assert {key: short[key] for key in ESSENCE} == {key: whole[key] for key in ESSENCE}
