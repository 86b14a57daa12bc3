"""What became of the targets of a scan, and exports with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nessus_sched.core.targets.targets import parse_targets
from support.command import one_sentence
from support.live_daemon import Live, asked

NETWORK = "192.0.2.64/26"


@pytest.fixture(scope="module")
def scanned(live: Live) -> str:
    words = ("submit", NETWORK, "--kind", "trusted", "--credential", "linux", "--scanner", "west")
    return str(asked(live, "submit --wait", *words, "--wait")["task_id"])


def test_every_target_is_listed_with_its_status(live: Live, scanned: str) -> None:
    found = asked(live, "coverage", "coverage", scanned, "--all")
    assert parse_targets([row["targets"] for row in found["rows"]]) == parse_targets(NETWORK)
    assert sum(row["count"] for row in found["rows"]) == found["counts"]["requested"] == 64
    status = asked(live, "status", "status", scanned)
    assert status["coverage"].items() >= found["counts"].items()
    hosts = {
        row["host"]
        for row in asked(
            live, "results show", "results", "show", scanned, "--group-by", "host", "--all"
        )["findings"]
    }
    answered = [row for row in found["rows"] if row["status"] == "answered"]
    assert {row["targets"] for row in answered} == hosts
    assert {row["scanner_instance"] for row in answered} == {"west"}
    assert "full" in {row["login"] for row in answered}
    assert all(row["ended"] for row in answered)


def test_people_see_a_table_without_empty_columns(live: Live, scanned: str) -> None:
    said = live("coverage", scanned, "--status", "answered", "-n", "2")
    assert said.code == 0
    assert "64 answered" in said.out.splitlines()[0]
    assert said.out.splitlines()[2].split() == ["targets", "status", "scanner", "ended", "login"]
    assert "--cursor" in said.err
    quiet = live("coverage", scanned, "--status", "silent")
    assert quiet.out.splitlines()[2].split() == ["targets", "status"]
    none = live("coverage", scanned, "--status", "not_reached")
    assert (none.code, len(none.out.splitlines())) == (0, 1)
    one_sentence(live("coverage", scanned, "--cursor", "x y"), 1, "cursor")


def test_a_rescan_takes_the_silent_targets(live: Live, scanned: str) -> None:
    silent = asked(live, "coverage", "coverage", scanned, "--status", "silent", "--all")
    dry = asked(live, "rescan", "rescan", scanned, "--silent", "--dry-run")
    assert dry["target_count"] == silent["counts"]["silent"] > 0
    assert dry["targets"] == [row["targets"] for row in silent["rows"]][:20]
    one_sentence(live("rescan", scanned, "--not-reached"), 1, "every target was scanned (")


def test_exports_have_the_coverage(live: Live, scanned: str, tmp_path: Path) -> None:
    found = asked(live, "coverage", "coverage", scanned, "--all")
    page = tmp_path / "report.html"
    live("results", "export", scanned, "--format", "html", "-o", str(page))
    text = page.read_text()
    assert "<h2>Coverage</h2>" in text
    for row in found["rows"]:
        assert (f"<td>{row['targets']}</td><td>silent</td>" in text) is (row["status"] == "silent")
    lines = live("results", "export", scanned, "--format", "jsonl", "--coverage").out.splitlines()
    covered = [
        each["coverage"] for line in lines if (each := json.loads(line)).keys() == {"coverage"}
    ]
    assert covered == found["rows"]
    plain = live("results", "export", scanned, "--format", "jsonl").out.splitlines()
    assert lines[: len(plain)] == plain
    assert len(lines) == len(plain) + len(covered)
    one_sentence(live("results", "export", scanned, "--coverage"), 2, "--format jsonl")


def test_a_file_has_no_coverage(live: Live, scanned: str, tmp_path: Path) -> None:
    from support.nessus_xml import document, host

    path = tmp_path / "x.nessus"
    path.write_bytes(document(host("192.0.2.1")))
    assert "Coverage" not in live("results", "export", str(path), "--format", "html").out
    imported = asked(live, "results import", "results", "import", str(path))["task_id"]
    one_sentence(live("coverage", imported), 1, "is an imported report")
