"""What all scans together say about hosts, and what they changed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from support.command import one_sentence
from support.live_daemon import Live, asked
from support.nessus_xml import document, host, item

NETWORK = "198.51.100.64/28"


@pytest.fixture(scope="module")
def scanned(live: Live) -> str:
    words = ("submit", NETWORK, "--kind", "trusted", "--credential", "linux")
    return str(asked(live, "submit --wait", *words, "--wait")["task_id"])


def test_a_host_has_exactly_the_findings_of_its_scan(live: Live, scanned: str) -> None:
    same = (
        "host", "host_fqdn", "port", "protocol", "severity", "plugin_id", "plugin_name",
        "cvss_score", "cisa_kev",
    )  # fmt: skip
    shown = asked(
        live, "results show", "results", "show", scanned, "-f", "severity>=low", "--all",
        "--fields", ",".join(same),
    )  # fmt: skip
    by_host = Counter(row["host"] for row in shown["findings"])
    name = by_host.most_common(1)[0][0]
    found = asked(live, "hosts", "hosts", name, "-n", "200")
    expected = [
        {key: row[key] or None for key in same} for row in shown["findings"] if row["host"] == name
    ]
    assert any(row["cvss_score"] and row["host_fqdn"] for row in expected)
    reported = [{key: row.get(key) or None for key in same} for row in found["findings"]]
    assert sorted(reported, key=str) == sorted(expected, key=str)
    assert found["known"]
    assert found["clean"] == "no"
    assert found["why"].startswith("open findings: ")
    assert found["last_whole"] == found["last_tried"]
    assert {row["task_id"] for row in found["findings"]} == {scanned}
    assert {row["state"] for row in found["findings"]} == {"new"}
    said = live("hosts", name, "-n", "2")
    assert said.code == 0
    assert "--cursor 2" in said.err
    following = asked(live, "hosts", "hosts", name, "-n", "2", "--cursor", "2")
    assert following["findings"] == found["findings"][2:4]


def test_a_host_that_was_never_seen_is_not_clean(live: Live, scanned: str) -> None:
    said = live("hosts", "198.51.100.250")
    assert said.code == 1
    assert "no scan has ever reported 198.51.100.250, so nothing is known about it" in said.out
    assert "in the configured scope" in said.err
    one_sentence(live("hosts", "198.51.100.250", "--cursor", "x y"), 1, "cursor")


def test_changes_since_a_time(live: Live, scanned: str) -> None:
    found = asked(live, "changes", "changes", "--target", NETWORK, "-n", "200")
    assert set(found["counts"]) == {"new"}
    assert found["first_scans"] == sum(found["counts"]["new"].values()) == len(found["rows"])
    assert {row["why"] for row in found["rows"]} == {"first scan of the host"}
    first = asked(live, "changes", "changes", "--target", NETWORK, "-n", "3")
    assert first["rows"] == found["rows"][:3]
    rest = asked(
        live, "changes", "changes", "--target", NETWORK, "-n", "3",
        "--cursor", first["next_cursor"],
    )  # fmt: skip
    assert rest["rows"] == found["rows"][3:6]
    future = asked(live, "changes", "changes", "--since", "2099-01-01")
    assert (future["scans"], future["rows"]) == (0, [])
    assert any("does not mean that all is well" in note for note in future["notes"])
    one_sentence(live("changes", "--target", "web.example.com"), 1, "addresses only")


def test_how_well_a_network_is_covered(live: Live, scanned: str) -> None:
    found = asked(live, "coverage", "coverage", "--target", NETWORK)
    assert found["counts"]["requested"] == sum(row["count"] for row in found["rows"])
    hosts = asked(live, "coverage", "coverage", scanned, "--status", "answered")["rows"]
    seen = {row["targets"] for row in found["rows"] if row["ended"]}
    assert {row["targets"] for row in hosts} <= seen
    assert (
        f" of {found['counts']['requested']} covered" in live("coverage", "--target", NETWORK).out
    )
    never = asked(live, "coverage", "coverage", "--target", "198.51.100.0/30")
    assert [row["status"] for row in never["rows"]] == ["never_scanned"]
    one_sentence(live("coverage"), 2, "give TASK or --target")
    one_sentence(live("coverage", scanned, "--target", NETWORK), 2, "give TASK or --target")
    one_sentence(live("coverage", scanned, "--status", "covered"), 1, "not a status of a task")


def test_a_rebuild_gives_the_same_ledger(live: Live, scanned: str) -> None:
    hosts = ("changes", "--target", NETWORK, "-n", "200")
    before = asked(live, "changes", *hosts)
    assert asked(live, "ledger rebuild", "ledger", "rebuild")["scans"] >= 1
    after = asked(live, "changes", *hosts)
    while any("not entered yet" in note for note in after["notes"]):  # by the scans of other tests
        after = asked(live, "changes", *hosts)
    assert after["counts"] == before["counts"]
    times = ("plugin_id", "host", "first_seen", "last_seen", "state")
    assert sorted([row[key] for key in times] for row in after["rows"]) == sorted(
        [row[key] for key in times] for row in before["rows"]
    )


def test_a_report_from_elsewhere_is_entered_by_its_own_times(live: Live, tmp_path: Path) -> None:
    def report(name: str, *items: str, end: str | None) -> Path:
        tags = {"host-ip": "203.0.113.9"} | ({"HOST_END_TIMESTAMP": end} if end else {})
        path = tmp_path / name
        path.write_bytes(document(host("203.0.113.9", *items, tags=tags)))
        return path

    weak = item(10001, severity=3, port=443)
    dated = report("old.nessus", weak, end="1700000000")
    undated = report("undated.nessus", item(10002, severity=3), end=None)
    earlier = report("earlier.nessus", weak, end="1600000000")
    assert asked(live, "results import", "results", "import", str(dated))["notes"] == []
    for path in (undated, earlier):
        (note,) = asked(live, "results import", "results", "import", str(path))["notes"]
        assert "does not enter the ledger" in note
    found = asked(live, "hosts", "hosts", "203.0.113.9")
    assert [row["plugin_id"] for row in found["findings"]] == [10001]
    assert found["findings"][0]["first_seen"] == "2023-11-14T22:13:20+00:00"
    assert found["findings"][0]["stale"]
