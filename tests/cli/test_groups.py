"""Findings by plugin, host and solution, and hosts by how their login went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.command import typed
from support.nessus_xml import document, element, host, item, output

UPDATE = element("solution", "Update it.")
NO = item(19506, output("Credentialed checks : no\n"))
YES = item(19506, output("Credentialed checks : yes, as 'scan' via ssh\n"))
FAILED = item(104410, output("    Message     : Bad key\n"), port=22, svc_name="ssh")
SOCKET = "- It was not possible to log in via smb (unable to create a socket)."
REPORT = document(
    *(
        host(f"192.0.2.{n}", NO, FAILED, item(10, UPDATE, severity=4, port=80))
        for n in range(1, 31)
    ),
    host(
        "192.0.2.40",
        NO,
        item(21745, output(SOCKET)),
        item(10, UPDATE, severity=4, port=80),
        item(10, UPDATE, severity=4, port=443),
        item(11, UPDATE, severity=2, port=443),
    ),
    host("192.0.2.40", item(11, severity=3)),
    host("192.0.2.50", YES),
    host("192.0.2.60"),
)


@pytest.fixture
def report(tmp_path: Path) -> str:
    path = tmp_path / "scan.nessus"
    path.write_bytes(REPORT)
    return str(path)


def shown(report: str, *words: str) -> dict[str, Any]:
    said = typed("results", "show", report, "--json", *words)
    assert said.code == 0, said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


def all_groups(report: str, by: str, *words: str) -> list[dict[str, Any]]:
    """Every page of three, one after the other; each says how many there are."""
    rows: list[dict[str, Any]] = []
    cursor: list[str] = []
    while True:
        page = shown(report, "--group-by", by, "-n", "3", *words, *cursor)
        rows += page["findings"]
        if page["next_cursor"] is None:
            assert len(rows) == page["groups_total"]
            assert sum(row["findings"] for row in rows) == page["total"]
            return rows
        cursor = ["--cursor", page["next_cursor"]]


def test_by_plugin(report: str) -> None:
    first, second, *rest = all_groups(report, "plugin")
    assert (first["plugin_id"], first["plugin_name"], first["severity"]) == (
        10,
        "Check 10",
        "critical",
    )
    assert (first["findings"], first["hosts"]) == (32, 31)
    assert first["where"][0] == "192.0.2.1:80"
    assert (len(first["where"]), first["where"][-1]) == (21, "… (+12 more)")
    assert (second["plugin_id"], second["hosts"]) == (11, 1)
    assert second["severities"] == {"high": 1, "medium": 1}
    assert second["where"] == ["192.0.2.40", "192.0.2.40:443"]
    assert {row["plugin_id"] for row in rest} == {19506, 104410, 21745}


def test_by_solution(report: str) -> None:
    first, second = all_groups(report, "solution", "-f", "severity>=medium")
    assert first["solution"] == "Update it."
    assert (first["plugins"], first["hosts"], first["findings"]) == (2, 31, 33)
    assert (second["solution"], second["findings"]) == (None, 1)


@pytest.mark.slow
def test_hosts_with_failed_logins_are_all_listed(report: str) -> None:
    rows = all_groups(report, "host", "-f", "host_login=failed")
    assert len(rows) == 31
    by_host = {row["host"]: row for row in rows}
    assert by_host["192.0.2.7"]["login_reasons"] == ["provided credentials failed: Bad key"]
    (reason,) = by_host["192.0.2.40"]["login_reasons"]
    assert "unable to create a socket" in reason


@pytest.mark.slow
def test_every_host_is_in_one_group_of_the_worst_login(report: str) -> None:
    rows = all_groups(report, "host")
    assert len(rows) == len({row["host"] for row in rows}) == 33
    logins = {row["host"]: (row["login"], row["findings"]) for row in rows}
    assert logins["192.0.2.40"] == ("failed", 6)
    assert logins["192.0.2.50"] == ("full", 1)
    assert logins["192.0.2.60"] == ("unknown", 0)


def test_login_and_privilege_filter_findings_too(report: str) -> None:
    page = shown(report, "-f", "host_login=failed", "-f", "severity=critical")
    assert page["total"] == 32
    assert shown(report, "-f", "host_privilege=insufficient")["total"] == 0


@pytest.mark.slow
def test_a_table_for_people(report: str) -> None:
    said = typed("results", "show", report, "--group-by", "host", "-f", "host_login=failed")
    assert "Bad key" in said.out
    assert "31 groups" in said.err
    solutions = typed("results", "show", report, "--group-by", "solution")
    assert "solution: Update it." in solutions.out


def test_groups_have_an_order_of_their_own(report: str) -> None:
    said = typed("results", "show", report, "--group-by", "host", "--sort", "port")
    assert said.code == 2
    assert "leave out sort or group_by" in said.err


CHECK = (
    element("compliance", "true"),
    element("cm:compliance-check-name", "1.1 Passwords"),
    element("cm:compliance-result", "FAILED"),
)


@pytest.mark.parametrize("profile", ["minimal", "summary", "brief", "full"])
def test_every_profile_tells_port_severity_and_check(tmp_path: Path, profile: str) -> None:
    path = tmp_path / "scan.nessus"
    items = (item(10, severity=4, port=80), item(10, severity=4, port=443), item(11, *CHECK))
    path.write_bytes(document(host("192.0.2.1", *items)))
    first, second, check = shown(str(path), "--profile", profile)["findings"]
    assert (first["port"], second["port"]) == (80, 443)
    assert (first["severity"], first["plugin_name"]) == ("critical", "Check 10")
    assert "compliance_result" not in first
    assert check["compliance_check_name"] == "1.1 Passwords"
    assert check["compliance_result"] == "FAILED"


@pytest.mark.parametrize("profile", ["minimal", "summary", "brief", "full"])
def test_a_profile_says_what_is_known_to_be_exploited(tmp_path: Path, profile: str) -> None:
    path = tmp_path / "scan.nessus"
    kev = element("cisa-known-exploited", "2026/01/31")
    path.write_bytes(document(host("192.0.2.1", item(10, kev, severity=4), item(11))))
    known, other = shown(str(path), "--profile", profile)["findings"]
    assert known["cisa_kev"] is True
    assert other.get("cisa_kev") is (False if profile == "full" else None)
    row = shown(str(path), "--fields", "cisa_kev")["findings"][1]
    assert row == {"cisa_kev": False}


def test_checks_are_in_no_count_by_severity(tmp_path: Path) -> None:
    path = tmp_path / "scan.nessus"
    passed = (*CHECK[:1], element("cm:compliance-check-name", "1.2 Logging"),
              element("cm:compliance-result", "PASSED"))  # fmt: skip
    items = (item(11, *CHECK, severity=3), item(11, *passed, severity=0), item(12, severity=3))
    path.write_bytes(document(host("192.0.2.1", *items), host("192.0.2.2", item(12, severity=3))))
    page = shown(str(path))
    assert (page["total"], page["severity_counts"]) == (4, {"high": 2})
    assert page["compliance_counts"] == {"PASSED": 1, "FAILED": 1}
    one, two = shown(str(path), "--group-by", "host")["findings"]
    assert (one["severities"], one["compliance_counts"]) == (
        {"high": 1},
        {"PASSED": 1, "FAILED": 1},
    )
    assert (two["severities"], "compliance_counts" in two) == ({"high": 1}, False)
    said = typed("results", "show", str(path))
    assert "4 findings (2 high; checks: 1 failed, 1 passed)" in said.err
    summary = typed("results", "summary", str(path)).out
    assert "2 (2 high)" in summary
    assert "1 failed, 1 passed" in summary
    html = typed("results", "export", str(path), "--format", "html").out
    assert "Compliance checks: 1 failed, 1 passed." in html


def test_the_table_shows_the_check_and_its_result(tmp_path: Path) -> None:
    path = tmp_path / "scan.nessus"
    path.write_bytes(document(host("192.0.2.1", item(11, *CHECK), item(12))))
    _head, check, finding = typed("results", "show", str(path)).out.splitlines()
    assert "1.1 Passwords" in check
    assert check.endswith("FAILED")
    assert "Check 12" in finding
    values = (element("cm:compliance-actual-value", "x\n" * 40),
              element("cm:compliance-policy-value", "5 or more"))  # fmt: skip
    path.write_bytes(document(host("192.0.2.1", item(11, *CHECK, *values))))
    _head, check = typed("results", "show", str(path)).out.splitlines()
    assert check.endswith(f"FAILED: {'x ' * 14}x…, expected 5 or more")


def test_a_check_that_is_asked_for_is_shown_as_absent(report: str) -> None:
    row = shown(report, "--fields", "host,compliance_result")["findings"][0]
    assert row["compliance_result"] is None


@pytest.fixture
def crowded(tmp_path: Path) -> str:
    """More of everything than a summary lists."""
    cves = [element("cve", f"CVE-2026-{n:04}") for n in range(9)]
    bad = [
        item(n, *cves, severity=4, pluginFamily=f"Family {n}", pluginName="Bad") for n in range(30)
    ]
    path = tmp_path / "crowded.nessus"
    path.write_bytes(document(*(host(f"192.0.2.{n}", NO, FAILED, *bad) for n in range(1, 41))))
    return str(path)


@pytest.mark.slow
def test_a_summary_says_how_much_more_there_is_and_where(crowded: str) -> None:
    said = typed("results", "summary", crowded)
    text = " ".join((said.out + said.err).split())
    assert "20 more plugins: nessus-sched results show FILE|TASK --group-by plugin" in text
    assert "30 more hosts: nessus-sched results show FILE|TASK --group-by host" in text
    assert "15 more hosts: nessus-sched results show FILE|TASK --group-by host (--filter" in text
    assert "CVE-2026-0002 +6" in text
    found = json.loads(typed("results", "summary", crowded, "--json").out)
    assert found["left_out"] == {"top_findings": 20, "top_hosts": 30, "families": 16}
    assert {row["cve_left_out"] for row in found["top_findings"]} == {4}
    assert len(all_groups(crowded, "host", "-f", "host_login=failed")) == 40


@pytest.mark.slow
def test_an_html_report_says_how_much_more_there_is_and_where(crowded: str) -> None:
    said = typed("results", "export", crowded, "--format", "html").out
    assert "15 more hosts not listed" in said
    assert "--filter host_login=failed" in said
    said = typed("results", "export", crowded, "--format", "html", "-f", "severity=info").out
    assert "Only the first" not in said


@pytest.mark.slow
def test_a_comparison_says_how_many_hosts_it_does_not_name(crowded: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty.nessus"
    empty.write_bytes(document(host("198.51.100.1", NO)))
    said = typed("results", "compare", crowded, str(empty))
    assert "and 30 more (see --json)" in " ".join((said.out + said.err).split())
