"""What is open now on all hosts, as the command shows it."""

from __future__ import annotations

from collections import Counter

import pytest

from support.command import one_sentence
from support.live_daemon import Live, asked

NETWORK = "198.51.100.160/28"


@pytest.fixture(scope="module")
def scanned(live: Live) -> str:
    words = ("submit", NETWORK, "--kind", "trusted", "--credential", "linux", "--wait")
    return str(asked(live, "submit --wait", *words)["task_id"])


def test_what_is_open_is_what_the_latest_scan_found(live: Live, scanned: str) -> None:
    shown = asked(
        live, "results show", "results", "show", scanned, "-f", "severity>=low", "--all",
        "--fields", "host,plugin_id,port,protocol,severity",
    )["findings"]  # fmt: skip
    fields = ("host", "plugin_id", "port", "protocol", "severity")
    found = asked(live, "findings", "findings", "--host", NETWORK, "-n", "200")
    assert sorted(tuple(row[name] for name in fields) for row in found["findings"]) == sorted(
        tuple(row[name] for name in fields) for row in shown
    )
    assert found["severity_counts"] == Counter(row["severity"] for row in shown)
    assert found["excepted"] == {}
    assert {row["state"] for row in found["findings"]} == {"new"}
    assert {row["task_id"] for row in found["findings"]} == {scanned}
    first = asked(live, "findings", "findings", "--host", NETWORK, "-n", "3")
    rest = asked(
        live, "findings", "findings", "--host", NETWORK, "-n", "5", "--cursor",
        first["next_cursor"],
    )  # fmt: skip
    assert first["findings"] + rest["findings"] == found["findings"][:8]


def test_options_are_filters(live: Live, scanned: str) -> None:
    everything = asked(live, "findings", "findings", "--host", NETWORK, "-n", "200")["findings"]
    one = next(row for row in everything if row["cve"])
    for words, test in (
        (("--plugin", str(one["plugin_id"])), lambda row: row["plugin_id"] == one["plugin_id"]),
        (("--cve", one["cve"][0].lower()), lambda row: one["cve"][0] in row["cve"]),
        (("--severity", "high"), lambda row: row["severity"] in ("high", "critical")),
        (("--state", "new"), lambda row: True),
        (("--state", "fixed"), lambda row: False),
        (("--older-than", "1d"), lambda row: False),
        (("--no-exceptions", "port>0"), lambda row: row["port"] > 0),
    ):
        found = asked(live, "findings", "findings", "--host", NETWORK, "-n", "200", *words)
        assert found["findings"] == [row for row in everything if test(row)], words
    grouped = asked(
        live, "findings", "findings", "--host", NETWORK, "--group-by", "host", "-n", "200"
    )
    assert {row["host"]: row["findings"] for row in grouped["findings"]} == Counter(
        row["host"] for row in everything
    )
    stored = asked(live, "findings", "findings", "--host", NETWORK, "--fields", "plugin_output")
    assert any("Answered from the stored scans" in note for note in stored["notes"])


def test_people_see_a_table_and_what_it_does_not_prove(live: Live, scanned: str) -> None:
    said = live("findings", "--host", NETWORK, "-n", "2")
    assert said.code == 0
    heading = said.out.splitlines()[0].split()
    assert heading[:5] == ["severity", "host", "port", "plugin", "name"]
    assert "effective" not in heading
    assert "days" in heading
    assert "2 of " in said.err
    assert "There are more: --cursor " in said.err
    assert f"{NETWORK}: " in said.err
    grouped = live("findings", "--host", NETWORK, "--group-by", "solution")
    assert grouped.code == 0
    assert "groups (" in grouped.err
    nothing = live("findings", "--host", "198.51.100.251")
    assert "no scan has ever reported it. That does not mean it is clean." in nothing.err
    one_sentence(live("findings", "state=closed"), 1, "state takes one of")
    one_sentence(live("findings", "--schedule", "nosuch"), 1, "no scan of a schedule 'nosuch'")
    one_sentence(live("findings", "plugin_output present", "state=new"), 1, "only stored scans")
