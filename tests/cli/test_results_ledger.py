"""Commands about results of tasks say what the ledger knows, by the names that `findings` has."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.core.clock import system_now
from nessus_sched.core.exceptions.exception import ExceptionStatus, FindingException
from nessus_sched.core.exceptions.rule import ExceptionKind, read_rule
from support.command import Said, fits, one_sentence, typed
from support.ledger_book import INFORMATION, LOGIN
from support.live_daemon import Live, asked
from support.nessus_xml import document, element, host, item
from support.report_network import DAY, books

NETWORK = "192.0.2.0/29"
FIRST, SECOND = "t00000001", "t00000002"
POLICY = (
    "<Policy><Preferences><ServerPreferences><preference><name>TARGET</name>"
    f"<value>{NETWORK}</value></preference><preference><name>plugin_set</name>"
    "<value>10;11;12;10180;19506;110095;141118</value></preference>"
    "</ServerPreferences></Preferences></Policy>"
)


def report(at: float, *items: str) -> bytes:
    tags = {"HOST_END_TIMESTAMP": str(int(at)), "host-ip": "192.0.2.1"}
    return document(host("192.0.2.1", *items, LOGIN, INFORMATION, tags=tags), policy=POLICY)


def finding(plugin: int) -> str:
    return item(plugin, element("plugin_type", "remote"), port=443, severity=3)


async def _scanned(directory: Path, now: float) -> None:
    """Two scans: 10 is fixed, 11 stays and is accepted, 12 is new."""
    async with books(directory, now) as opened:
        for number, plugins in enumerate(((10, 11), (11, 12))):
            at = int(now - (2 - number) * DAY)
            data = report(at, *map(finding, plugins))
            await opened.enter(number, data, at=at, targets=NETWORK)
        rule = read_rule(kind=ExceptionKind.ACCEPTED, plugins=[11], hosts=["192.0.2.1"])
        await opened.ledger.cover(
            [
                FindingException(
                    exception_id="x-1", rule=rule, reason="r", owner="o", actor="uid:1",
                    proposed_at=now, status=ExceptionStatus.APPROVED, expires=now + 9 * DAY,
                )
            ]
        )  # fmt: skip


class Offline:
    """A stopped daemon; call it with the words of a command."""

    def __init__(self, directory: Path) -> None:
        self.state = directory
        self.now = system_now()
        trio.run(_scanned, directory, self.now)
        self._config = directory / "config.yaml"
        self._config.write_text(f"state_directory: {directory}\n")

    def __call__(self, *words: str) -> Said:
        said = typed(*words, "-c", str(self._config))
        assert said.code == 0, said
        return said


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Offline:
    return Offline(tmp_path_factory.mktemp("offline"))


def by_plugin(rows: list[dict[str, Any]]) -> dict[int, Mapping[str, Any]]:
    return {int(row["plugin_id"]): row for row in rows}


def test_findings_of_a_task_have_their_state_and_times(offline: Offline) -> None:
    page = offline("results", "show", FIRST, "--json", "-f", "severity=high").json
    fits("results show", page)
    rows = by_plugin(page["findings"])
    assert {plugin: row["state"] for plugin, row in rows.items()} == {10: "fixed", 11: "active"}
    ledger = by_plugin(offline("findings", "state in new,active,fixed", "--json").json["findings"])
    for plugin, row in rows.items():
        for name in ("state", "first_seen", "last_seen", "fixed_at", "exception", "exception_id"):
            assert row.get(name) == ledger[plugin].get(name), name
    assert rows[11]["exception"] == "accepted"
    said = offline("results", "show", FIRST, "-f", "severity=high").out.splitlines()
    assert said[0].split()[-4:] == ["state", "first", "seen", "remark"]
    line = next(line for line in said if " 11 " in line)
    assert line.split()[-3:] == ["active", rows[11]["first_seen"][:10], "accepted"]
    picked = offline("results", "show", SECOND, "--fields", "plugin_id,age_days,state", "-f",
                     "plugin_id=11").out.splitlines()  # fmt: skip
    assert [line.split() for line in picked] == [
        ["plugin_id", "age_days", "state"], ["11", "2", "active"],
    ]  # fmt: skip


def test_comparisons_and_searches_have_them_too(offline: Offline) -> None:
    for change, plugin, state in (("fixed", 10, "fixed"), ("new", 12, "new"),
                                  ("persisting", 11, "active")):  # fmt: skip
        found = offline(
            "results", "compare", FIRST, SECOND, "--change", change, "--json", "-f", "severity=high"
        ).json
        fits("results compare", found)
        assert {p: row["state"] for p, row in by_plugin(found["page"]["findings"]).items()} == {
            plugin: state
        }
    table = offline("results", "compare", FIRST, SECOND, "--change", "fixed", "-f", "severity=high")
    assert "state  first seen" in table.out
    rows = offline("results", "search", "--json", "-f", "severity=high").json["findings"]
    assert {row["plugin_id"]: row["state"] for row in rows} == {11: "active", 12: "new"}
    stored = offline("findings", "severity=high", "--fields", "plugin_id,plugin_output,state")
    assert "Answered from the stored scans" in stored.err
    assert [line.split()[-1] for line in stored.out.splitlines()] == ["state", "active", "new"]


def test_exports_have_them_too(offline: Offline) -> None:
    only = ("-f", "severity=high")
    rows = by_plugin(list(csv.DictReader(io.StringIO(
        offline("results", "export", FIRST, *only).out, newline=""
    ))))  # fmt: skip
    lines = offline("results", "export", FIRST, "--format", "jsonl", *only).out.splitlines()
    told = by_plugin([json.loads(line) for line in lines])
    shown = by_plugin(offline("results", "show", FIRST, "--json", *only).json["findings"])
    for plugin in (10, 11):
        for name in ("state", "first_seen", "last_seen", "exception"):
            assert (rows[plugin][name] or None) == shown[plugin].get(name), name
            assert told[plugin].get(name) == shown[plugin].get(name), name
    assert told[10]["fixed_at"] == shown[10]["fixed_at"]
    assert (told[11]["exception_id"], told[11]["age_days"]) == ("x-1", 2)
    fields = ("--fields", "first_seen,plugin_id,unverified")
    lines = offline("results", "export", FIRST, *fields, *only).out.splitlines()
    assert lines[0] == "first_seen,plugin_id,unverified"
    assert [line.split(",")[1:] for line in lines[1:]] == [["10", ""], ["11", ""]]
    rows = by_plugin(list(csv.DictReader(io.StringIO(
        offline("report", "technical", FIRST, "--format", "csv", "-o", "-").out, newline=""
    ))))  # fmt: skip
    assert {rows[plugin]["state"] for plugin in (10, 11)} == {"fixed", "active"}
    assert rows[11]["exception"] == "accepted"
    assert "<html" in offline("results", "export", FIRST, "--format", "html").out


def test_a_file_has_no_ledger_and_says_so_if_asked(tmp_path: Path) -> None:
    path = tmp_path / "one.nessus"
    path.write_bytes(report(system_now(), finding(10)))
    shown = typed("results", "show", str(path), "--json")
    assert "state" not in shown.json["findings"][0]
    said = typed("results", "show", str(path), "--fields", "plugin_id,state", "-f", "plugin_id=10")
    assert (said.out.split(), said.code) == (["plugin_id", "state", "10", "-"], 0)
    assert "Only stored tasks have state, not files." in said.err
    assert "state" not in typed("results", "export", str(path)).out.splitlines()[0]
    refused = typed("results", "show", str(path), "-f", "state=new")
    one_sentence(refused, 2, "use search_findings (`nessus-sched findings`)")


def test_without_a_readable_ledger_the_rest_is_shown(offline: Offline, tmp_path: Path) -> None:
    for name in ("tasks.db", "findings.db"):
        (tmp_path / name).write_bytes((offline.state / name).read_bytes())
    config = tmp_path / "config.yaml"
    config.write_text(f"state_directory: {tmp_path}\n")
    said = typed("results", "show", FIRST, "-c", str(config), "-f", "severity=high")
    assert said.code == 0
    assert len(said.out.splitlines()) == 3
    assert "Without what the ledger knows: " in said.err


@pytest.mark.slow
def test_the_daemon_says_the_same(live: Live) -> None:
    words = ("submit", "198.51.100.176/28", "--kind", "trusted", "--credential", "linux", "--wait")
    task = str(asked(live, "submit --wait", *words)["task_id"])
    page = asked(live, "results show", "results", "show", task, "--all")
    assert {row["state"] for row in page["findings"]} == {"new"}
    rows = list(csv.DictReader(io.StringIO(live("results", "export", task).out, newline="")))
    assert {row["state"] for row in rows} == {"new"}
    assert {row["first_seen"] for row in rows} == {row["first_seen"] for row in page["findings"]}
