"""Reports for people from the state directory of a stopped daemon, against what is true."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support.audited_quarter import truth
from support.command import one_sentence
from support.patched_network import BY_PLUGIN
from support.reading import Page
from support.stopped import TASK, Stopped

BEFORE = "t00000002"
Row = tuple[str, int]


def rows(left: Stopped, *words: str) -> list[dict[str, Any]]:
    said = left("report", *words, "--format", "jsonl", "-o", "-")
    assert said.code == 0, said
    return [json.loads(line) for line in said.out.splitlines()]


def by_change(found: list[dict[str, Any]]) -> dict[str, set[Row]]:
    changes: dict[str, set[Row]] = {}
    for row in found:
        changes.setdefault(row["change"], set()).add((row["host"], row["plugin_id"]))
    return changes


def test_two_tasks_are_compared(left: Stopped) -> None:
    network, _ = truth()
    before, after = network.seen[1], network.seen[2]
    new, fixed, unknown = set[Row](), set[Row](), set[Row]()
    for host in before.keys() & after.keys():
        (had, old_login), (has, login) = before[host], after[host]
        for plugin in has - had:
            if old_login or not BY_PLUGIN[plugin].local:
                new.add((host, plugin))
        for plugin in had - has:
            (fixed if login or not BY_PLUGIN[plugin].local else unknown).add((host, plugin))
    gone = {(host, plugin) for host in before.keys() - after.keys() for plugin in before[host][0]}
    found = by_change(rows(left, "comparison", BEFORE, TASK))
    assert (found["new"], found["fixed"]) == (new, fixed)
    assert found["not_checked"] == unknown | gone
    assert "persisting" not in found
    back = by_change(rows(left, "comparison", TASK, BEFORE))
    assert back["fixed"] <= new
    page = left("report", "comparison", BEFORE, TASK, "-o", "-").out
    both = len(before.keys() & after.keys())
    assert f"{both} hosts in both; " in page
    assert f"scan 1 ({BEFORE}), " in page
    assert rows(left, "comparison", TASK, TASK) == []


def test_what_changed_since_a_time_is_what_the_command_says(left: Stopped) -> None:
    since = ("--since", "2025-07-01T00:00Z")
    found = rows(left, "comparison", *since)
    known = left.asked("changes", "changes", *since)["counts"]
    assert isinstance(known, dict)
    counted = Counter(row["change"] for row in found)
    assert counted == {change: sum(counts.values()) for change, counts in known.items()}
    assert all(row["first_seen"] for row in found)
    page = left("report", "comparison", *since, "-o", "-").out
    assert "3 scans in this period." in page
    one = rows(left, "comparison", *since, "--network", "192.0.2.1")
    assert one == [row for row in found if row["host"] == "192.0.2.1"]


def test_the_technical_report_has_every_finding_of_the_task(left: Stopped) -> None:
    shown = left.asked("results show", "results", "show", TASK, "--all")["findings"]
    assert isinstance(shown, list)
    found = rows(left, "technical", TASK)
    key = ("host", "plugin_id", "port")
    assert Counter(tuple(row[name] for name in key) for row in found) == Counter(
        tuple(row[name] for name in key) for row in shown
    )
    page = Page(left("report", "technical", TASK, "-o", "-").out)
    assert "scan 2" in page.text


def test_a_schedule_stands_for_its_targets(left: Stopped) -> None:
    whole = rows(left, "team")
    assert whole
    assert rows(left, "team", "--schedule", "OFFICE") == whole
    assert rows(left, "team", "--task", TASK) == whole
    named = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
    few = rows(left, "team", "--network", named[0], "--network", "192.0.2.2-3")
    expected = [row for row in whole if row["host"] in named]
    assert sorted(few, key=json.dumps) == sorted(expected, key=json.dumps)
    text = left(
        "report", "team", *(word for n in range(1, 6) for word in ("--network", f"192.0.2.{n}")),
        "-o", "-",
    ).out  # fmt: skip
    assert "192.0.2.1, 192.0.2.2, 192.0.2.3 and 2 more targets" in text


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("comparison", TASK), 2, "give two tasks, or none and --since"),
        (("comparison", BEFORE, TASK, "--owner", "x"), 2, "two tasks are the scope: leave out"),
        (("comparison", BEFORE, "nosuch"), 1, "no task 'nosuch'"),
        (("comparison", "--since", "2099-01-01"), 1, "since: must be before until, and in"),
        (("technical", "nosuch"), 1, "no task 'nosuch'"),
        (("technical", "no/such.nessus"), 1, "no/such.nessus: no such file"),
        (("team", "--schedule", "nosuch"), 1, "No task of a schedule 'nosuch' is stored."),
        (("team", "--network", "192.0.2.0/33"), 1, "needs a prefix length from 0 to 32"),
        (("team", "--network", "192.0.2.1", "--task", TASK), 1, "give one of task, schedule and"),
        (("team", "--site", "\x1b[2J"), 1, "site: no host has "),
        (("management", "--until", "2025-07-01", "--since", "2025-10-01"), 1, "before until"),
    ],
)  # fmt: skip
def test_what_cannot_be_reported_is_refused(
    left: Stopped, tmp_path: Path, words: tuple[str, ...], code: int, part: str
) -> None:
    file = tmp_path / "report.html"
    said = left("report", *words, "-o", str(file))
    one_sentence(said, code, part)
    assert "\x1b" not in said.err
    assert list(tmp_path.iterdir()) == []
