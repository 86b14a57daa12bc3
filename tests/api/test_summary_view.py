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
    shown = len(short["host_verdicts"])
    assert shown >= 5
    assert shown + short["host_verdicts_left_out"] == whole["hosts"]
    assert short["known_exploited"]["plugins"] == 40


@pytest.mark.slow
def test_a_full_summary_has_a_bound_too() -> None:
    whole = large()
    shown = summary_view.full(whole)
    assert size(shown) / 4 < 20_000
    assert len(shown["host_verdicts"]) == len(whole["host_verdicts"])


def test_a_small_summary_keeps_every_host_and_finding() -> None:
    whole = summarize(io.BytesIO(document(host("a.example.com", item(1, severity=3)))))
    short = summary_view.concise(whole)
    assert not short["left_out"]
    assert [row["host"] for row in short["host_verdicts"]] == ["a.example.com"]
    assert [row["plugin_id"] for row in short["top_findings"]] == [1]


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
