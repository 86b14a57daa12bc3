"""Severities that a report gives in words, not readably, or not at all, on the command line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from support.command import typed
from support.nessus_xml import document, host, item

REPORT = document(
    host(
        "192.0.2.1",
        item(1, severity="Critical"),
        item(2, severity="None"),
        item(3, severity=2),
        item(4, severity=None),
        item(5, severity="7"),
    )
)


@pytest.fixture
def report(tmp_path: Path) -> str:
    path = tmp_path / "scan.nessus"
    path.write_bytes(REPORT)
    return str(path)


def run(*args: str) -> str:
    said = typed(*args)
    assert said.code == 0, said.err
    return said.out


def page(report: str, *filters: str) -> dict[str, Any]:
    given = [part for each in filters for part in ("-f", each)]
    found: dict[str, Any] = json.loads(run("results", "show", report, "--json", *given))
    return found


def plugins(report: str, *filters: str) -> list[tuple[int, str]]:
    return [(row["plugin_id"], row["severity"]) for row in page(report, *filters)["findings"]]


def test_words_are_understood_and_the_rest_is_shown_as_unknown(report: str) -> None:
    assert plugins(report) == [
        (1, "critical"),
        (3, "medium"),
        (2, "info"),
        (4, "unknown"),
        (5, "unknown"),
    ]
    counts = {"critical": 1, "medium": 1, "info": 1, "unknown": 2}
    assert page(report)["severity_counts"] == counts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("severity=unknown", [4, 5]),
        ("severity!=unknown", [1, 3, 2]),
        ("severity in unknown, critical", [1, 4, 5]),
        ("severity not in unknown, critical", [3, 2]),
        ("severity>=medium", [1, 3]),
        ("severity<=medium", [3, 2]),
        ("severity is absent", [4, 5]),
    ],
)
def test_filters_know_unknown(report: str, filters: str, found: list[int]) -> None:
    assert [plugin for plugin, _ in plugins(report, filters)] == found


def test_a_filter_that_leaves_them_out_says_so(report: str) -> None:
    left_out = "2 findings of this report without a readable severity are left out"
    assert any(note.startswith(left_out) for note in page(report, "severity>=high")["notes"])
    assert not any("left out" in note for note in page(report, "severity=unknown")["notes"])


def test_an_unknown_severity_has_no_order(report: str) -> None:
    said = typed("results", "show", report, "-f", "severity>=unknown")
    assert said.code == 2
    assert "severity=unknown" in said.err


def test_a_filtered_page_is_headed_by_what_it_shows(report: str) -> None:
    html = run("results", "export", report, "--format", "html", "-f", "severity>=medium")
    assert "2 findings matching the filters, of 5 findings on 1 host." in html
    assert ">critical: 1. high: 0. medium: 1. low: 0. info: 0. </desc>" in html
    whole = run("results", "export", report, "--format", "html")
    assert "match the filters" not in whole


@pytest.mark.slow
def test_problems_beyond_those_listed_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "scan.nessus"
    path.write_bytes(document(host("a", *(item(1, severity="7") for _ in range(216)))))
    assert "196 more problems not listed" in typed("results", "summary", str(path)).err
    assert "196 more problems not listed" in run("results", "export", str(path), "--format", "html")


def test_they_are_in_every_list_and_file(report: str) -> None:
    summary = typed("results", "summary", report)
    assert "2 unknown" in summary.out
    assert "2 findings without a readable severity; they may be serious." in summary.err
    table = csv.DictReader(io.StringIO(run("results", "export", report)))
    words = ["critical", "medium", "info", "unknown", "unknown"]
    assert [row["severity"] for row in table] == words
    lines = run("results", "export", report, "--format", "jsonl").splitlines()
    assert [json.loads(line)["severity"] for line in lines] == words
    html = run("results", "export", report, "--format", "html")
    assert "unknown: 2. " in html
    assert html.count(">unknown</span>") == 2
