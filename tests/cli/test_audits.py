"""Compliance checks in the history of findings: rows like any other, not counted by severity."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.config.delivery import SlaSettings
from nessus_sched.core.clock import system_now
from nessus_sched.core.seal import without_upload
from nessus_sched.results.ledger.sla import SlaQuery
from nessus_sched.results.ledger.trend import TrendQuery
from nessus_sched.results.pack.scans import scan_row
from nessus_sched.results.pack.verify_pack import check as checked
from nessus_sched.store.findings.sql import AUDIT_FILE
from support.command import fits, typed
from support.ledger_book import INFORMATION, LOGIN
from support.nessus_xml import document, element, host, item
from support.reading import Page
from support.report_network import DAY, Books, books

HOST = "192.0.2.1"


def check(name: str, result: str, severity: int = 3, *, upload: int = 0) -> str:
    """Every scan uploads the audit under another name."""
    return item(
        21157, element("compliance", "true"), element("cm:compliance-check-name", name),
        element("cm:compliance-audit-file", f"{upload:032x}-cis.audit"),
        element("cm:compliance-result", result), port=0, severity=severity,
        pluginName="Unix Compliance Checks",
    )  # fmt: skip


async def _scanned(directory: Path, now: float, ask: Any) -> Any:
    """Two scans: 1.1 passes in the second, 1.2 fails in both, 1.3 only in the second."""
    policy = (
        "<Policy><Preferences><ServerPreferences><preference><name>plugin_set</name>"
        "<value>10;10180;19506;21157;110095;141118</value></preference>"
        "</ServerPreferences></Preferences></Policy>"
    )
    async with books(directory, now) as opened:
        for number, results in enumerate((("FAILED", "FAILED", "PASSED"),
                                          ("PASSED", "FAILED", "WARNING"))):  # fmt: skip
            at = int(now - (2 - number) * DAY)
            checks = [
                check(f"1.{place + 1}", result, upload=number)
                for place, result in enumerate(results)
            ]
            weak = [item(10, severity=2, port=443)] if number == 0 else []
            tags = {"HOST_END_TIMESTAMP": str(at), "host-ip": HOST}
            data = document(
                host(HOST, *checks, *weak, LOGIN, INFORMATION, tags=tags), policy=policy
            )
            await opened.enter(number, data, at=at, targets="192.0.2.0/29")
        return await ask(opened)


@pytest.fixture
def config(tmp_path: Path) -> str:
    async def nothing(_opened: Books) -> None:
        await trio.lowlevel.checkpoint()

    trio.run(partial(_scanned, tmp_path, system_now(), nothing))
    file = tmp_path / "config.yaml"
    file.write_text(f"state_directory: {tmp_path}\n")
    return str(file)


def test_a_host_with_failed_checks_alone_is_clean_and_says_how_many_failed(config: str) -> None:
    said = typed("hosts", HOST, "-c", config, "--json", "--severity", "high")
    found = said.json
    fits("hosts", found)
    assert (found["clean"], found["compliance_counts"]) == ("yes", {"FAILED": 2})
    assert "high" not in found["open"]
    assert found["why"].endswith(", but 2 compliance checks did not pass")
    rows = {row["compliance_check_name"]: row for row in found["findings"]}
    assert set(rows) == {"1.2", "1.3"}
    assert {row["plugin_name"] for row in rows.values()} == {"Unix Compliance Checks"}
    text = typed("hosts", HOST, "-c", config).out
    assert "compliance     2 failed" in text
    assert "1.2" in text


def test_searches_count_them_by_result(config: str) -> None:
    asked = ("-c", config, "--severity", "high", "--json")
    found = typed("findings", *asked).json
    fits("findings", found)
    assert (found["total"], found["severity_counts"]) == (2, {})
    assert found["compliance_counts"] == {"FAILED": 2}
    passed = typed("findings", "state=fixed", *asked).json
    assert (passed["severity_counts"], passed["compliance_counts"]) == ({}, {"PASSED": 1})
    (row,) = typed("findings", *asked, "--group-by", "plugin").json["findings"]
    assert (row["findings"], row["severities"]) == (2, {})
    assert row["compliance_counts"] == {"FAILED": 2}
    said = typed("findings", "-c", config, "--severity", "high")
    assert "2 findings (checks: 2 failed)" in said.err
    other = typed("findings", "plugin_id=10", "state=fixed", "-c", config, "--json").json
    assert (other["severity_counts"], other["compliance_counts"]) == ({"medium": 1}, {})


def test_changes_count_them_apart(config: str) -> None:
    found = typed("changes", "--since", "36h", "-c", config, "--json").json
    fits("changes", found)
    assert found["counts"] == {"fixed": {"medium": 1}}
    assert found["compliance_counts"] == {"new": 1, "fixed": 1}
    said = typed("changes", "--since", "36h", "-c", config).out
    assert "compliance checks  1 " in said


def test_trends_and_time_limits_are_about_the_rest(tmp_path: Path) -> None:
    now = system_now()

    async def ask(opened: Books) -> Any:
        trend = await opened.ledger.trend(TrendQuery(since=now - 3 * DAY, until=now))
        limits = SlaSettings(high=float(DAY), medium=float(DAY))
        sla = await opened.ledger.sla(SlaQuery(limits=limits, since=now - 9 * DAY, now=now))
        return trend, sla

    trend, sla = trio.run(partial(_scanned, tmp_path, now, ask))
    assert trend[-1].open.get("high", 0) == 0
    assert sum(point.fixed for point in trend) == 1
    assert sum(point.new for point in trend) == 0
    assert sum(point.baseline for point in trend) == sum(trend[-1].open.values()) + 1
    assert {word for each in sla.counts.values() for word in each} == {"medium"}


def rows_of(config: str, *words: str) -> list[dict[str, Any]]:
    said = typed("report", *words, "-c", config, "--format", "jsonl", "-o", "-")
    assert said.code == 0, said
    return [json.loads(line) for line in said.out.splitlines()]


def page_of(config: str, *words: str) -> Page:
    said = typed("report", *words, "-c", config, "-o", "-")
    assert said.code == 0, said
    return Page(said.out)


def test_a_team_gets_them_apart_from_what_it_has_to_install(config: str) -> None:
    page = page_of(config, "team")
    assert "0 findings of severity low or higher on 0 hosts" in page.words
    assert page.texts("section.card") == []
    assert "Audits: 2 failed checks on 1 host" in page.words
    found = {
        (row["compliance_check_name"], row["plugin_name"], row["due"])
        for row in rows_of(config, "team")
    }
    assert found == {(name, "Unix Compliance Checks", None) for name in ("1.2", "1.3")}


def test_management_has_them_in_a_sentence(config: str) -> None:
    page = page_of(config, "management")
    assert page.tiles()["high"] == "0"
    assert "Nothing of severity low or higher is open" in page.words
    assert "Audits: 2 checks failed on 1 host, which are not counted above." in page.words
    assert rows_of(config, "management") == []


def test_a_comparison_has_them_apart(config: str) -> None:
    page = page_of(config, "comparison", "--since", "36h")
    titles = page.texts("main h2")
    assert "New: 1 compliance check" in titles
    assert "Fixed: 1 finding (1 medium) and 1 compliance check" in titles
    rows = rows_of(config, "comparison", "--since", "36h")
    assert [(row["change"], row["compliance_check_name"]) for row in rows] == [
        ("new", "1.3"), ("fixed", None), ("fixed", "1.1"),
    ]  # fmt: skip


def test_evidence_counts_them_apart(config: str, tmp_path: Path) -> None:
    pack, folder = tmp_path / "pack.zip", tmp_path / "pack"
    since = datetime.fromtimestamp(system_now() - 9 * DAY, UTC).isoformat(timespec="seconds")
    until = datetime.fromtimestamp(system_now() - 60, UTC).isoformat(timespec="seconds")
    words = ("report", "evidence", "--since", since, "--until", until, "-c", config)
    said = typed(*words, "-o", str(pack))
    assert said.code == 0, said
    assert " 0 open findings, 1 fixed, 1 new, " in said.out
    assert "not counted above: 2 failed, 1 fixed, 3 new" in said.out
    written = typed(*words, "-o", str(pack), "--force", "--json").json
    assert written["checks"] == {"open.csv": 2, "fixed.csv": 1, "new.csv": 3}
    with zipfile.ZipFile(pack) as file:
        file.extractall(folder)
    assert checked(str(pack)).problems == checked(str(folder)).problems == []
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["open_by_severity"], manifest["open_checks"]) == ({}, 2)
    for changes, problems in (
        ({"open_checks": 3}, ["open.csv does not have as many compliance checks"]),
        ({"format_version": 1, "open_by_severity": {"high": 2}}, []),  # as release 0.2 wrote them
    ):
        (folder / "manifest.json").write_text(json.dumps(manifest | changes))
        found = checked(str(folder)).problems
        assert len(found) == len(problems)
        assert all(map(str.startswith, found, problems))


def test_scans_of_a_pack_count_them_apart() -> None:
    results = {"findings": 9, "compliance_counts": {"PASSED": 4, "FAILED": 1, "WARNING": 1}}
    facts = ("task_id", "began", "ended", "state", "source", "journal_row", "why", "scanners")
    document = {**dict.fromkeys(facts), "outcome": {"results": results}}
    row = scan_row(document)
    assert (row["findings"], row["checks_failed"], row["checks_passed"]) == (3, 2, 4)
    older = scan_row({**document, "outcome": {"results": {"findings": 9}}})
    assert (older["findings"], older["checks_failed"]) == (9, None)


def test_two_audits_are_compared_check_by_check(config: str) -> None:
    words = ("results", "compare", "t00000001", "t00000002", "-c", config, "--json")
    counts = typed(*words).json["counts"]["compliance_counts"]
    assert {name: by for name, by in counts.items() if by} == {
        "changed": {"PASSED": 1, "WARNING": 1}, "persisting": {"FAILED": 1},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"{0xABC:032x}-cis.audit", "cis.audit"),
        *((name, name) for name in ("cis.audit", f"{7:032x}-", f"{0xABC:032X}-a", f"{7:031x}-a")),
    ],
)
def test_the_name_of_an_upload_is_no_part_of_a_check(name: str, expected: str) -> None:
    query = f"SELECT {AUDIT_FILE} FROM (SELECT ? AS compliance_audit_file)"  # noqa: S608
    row = sqlite3.connect(":memory:").execute(query, (name,)).fetchone()
    assert (without_upload(name), *row) == (expected, expected)
