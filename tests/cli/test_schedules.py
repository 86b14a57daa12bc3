"""Schedules through the command line, with a running daemon."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nessus_sched.core.clock import system_now
from support.command import one_sentence
from support.live_daemon import Live, asked

WEEKLY = ("--cron", "0 2 * * mon", "--zone", "Europe/Berlin")


@pytest.fixture(autouse=True)
def removed(live: Live) -> None:
    """Every test begins without schedules."""
    found = asked(live, "schedules list", "schedules", "list")["schedules"]
    if found:
        names = [each["name"] for each in found]
        asked(live, "schedules remove", "schedules", "remove", *names)


def test_one_is_created_shown_and_changed(live: Live) -> None:
    words = ("schedules", "add", "weekly", "192.0.2.32/28", *WEEKLY, "--max-tasks", "9")
    dry = asked(live, "schedules add", *words, "--dry-run")
    assert asked(live, "schedules list", "schedules", "list")["schedules"] == []
    made = asked(live, "schedules add", *words)
    assert (dry["changed"], made["changed"]) == (True, True)
    found = made["schedule"]
    assert len(found["next"]) == 5
    first = datetime.fromisoformat(found["next"][0])
    assert (first.weekday(), first.hour, first.tzinfo is not None) == (0, 2, True)
    assert dry["schedule"]["next"] == found["next"]
    for more in ((), ("--dry-run",)):
        one_sentence(live(*words, *more), 1, "a schedule 'weekly' already exists")
    listed = live("schedules", "list").out
    assert "At 02:00 on Monday (Europe/Berlin)" in listed
    shown = live("schedules", "show", "weekly").out
    assert "after 9 tasks" in shown
    options = ("--credential", "linux", "--kind", "trusted", "--retry-absent", "1")
    rest = ("--every", "7d", "--retry-after", "30h")
    assert live("schedules", "add", "logins", "192.0.2.9", *options, *rest).code == 0
    logins = live("schedules", "show", "logins").out
    assert re.search(r"^credential +linux$", logins, re.MULTILINE)
    assert "up to 1, 1d 6h after each scan" in logins
    live("schedules", "remove", "logins")
    assert "+0" in shown
    assert "skipped" in live("schedules", "skip", "weekly").out
    twice = asked(live, "schedules skip", "schedules", "skip", "weekly")["schedules"]
    assert twice[0]["skip_next"] == 2
    after = asked(live, "schedules show", "schedules", "show", "weekly")
    assert after["next"][0] == found["next"][2]
    asked(live, "schedules pause", "schedules", "pause", "weekly")
    assert asked(live, "schedules show", "schedules", "show", "weekly")["status"] == "paused"
    assert asked(live, "schedules next", "schedules", "next")["firings"] == []
    asked(live, "schedules resume", "schedules", "resume", "weekly")
    firings = asked(live, "schedules next", "schedules", "next", "weekly")["firings"]
    assert [each["name"] for each in firings] == ["weekly"] * 5
    (ran,) = asked(live, "schedules run", "schedules", "run", "weekly")["schedules"]
    task = ran["last"]["task_id"]
    assert asked(live, "status", "status", task)["schedule"] == "weekly"
    assert "weekly" in live("status", task).out
    one_sentence(live("schedules", "show", "weekyl"), 1, "no schedule 'weekyl'")
    assert "did you mean 'weekly'" in live("schedules", "pause", "weekyl").err


def test_second_tries_that_come_too_late_are_noted(live: Live) -> None:
    words = ("schedules", "add", "hourly", "192.0.2.33", "--every", "1h", "--retry-absent", "1")
    said = live(*words, "--retry-after", "1h", "--dry-run")
    assert "there is none" in said.err
    assert "there is none" not in live(*words, "--retry-after", "59m", "--dry-run").err


@pytest.mark.parametrize("action", ["show", "next", "export", "pause", "run", "remove"])
def test_no_name_is_not_all_names(live: Live, action: str) -> None:
    for name in ("a", "b"):
        live("schedules", "add", name, "192.0.2.33", "--every", "1h")
    one_sentence(live("schedules", action, ""), 2, "a name must not be empty")
    found = asked(live, "schedules list", "schedules", "list")["schedules"]
    assert [(each["name"], each["status"], each["last"]) for each in found] == [
        ("a", "active", None),
        ("b", "active", None),
    ]


def test_a_task_without_a_name_is_none(live: Live) -> None:
    for words in (("status",), ("journal", "show"), ("results", "show")):
        one_sentence(live(*words, ""), 1, "no task ''; 'nessus-sched tasks' lists them")


@pytest.mark.slow
def test_a_scan_is_submitted_later(live: Live) -> None:
    soon = datetime.fromtimestamp(system_now() + 1, UTC).isoformat()
    words = ("192.0.2.33", "--at", soon, "--name", "later", "--retry-absent", "2", "--retry-after")
    made = asked(live, "schedules add", "submit", *words, "90m")
    assert made["schedule"]["second_tries"] == "up to 2, 1h 30m after each scan"
    assert made["schedule"]["status"] == "active"
    shown = (asked(live, "schedules show", "schedules", "show", "later") for _ in range(2000))
    found = next(each for each in shown if each["last"])
    assert found["last"]["outcome"] == "submitted"
    assert found["status"] == "ended"
    assert found["last"]["task_id"] in live("tasks").out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("submit", "192.0.2.33", "--cron", "0 2 * * mon"), 2, "a schedule needs a name"),
        (("submit", "192.0.2.33", "--until", "2030-01-01"), 2, "one of --cron, --every and --at"),
        (("submit", "192.0.2.33", "--at", "2030-01-01", "--wait"), 2, "--wait cannot be"),
        (("submit", "192.0.2.33", "--at", "2030-01-01", "--key", "k", "--name", "n"), 2, "--key"),
        (("schedules", "add", "n", "192.0.2.33"), 2, "give one of --cron"),
        (("schedules", "add", "n", "192.0.2.33", "--every", "90s"), 2, "whole minutes"),
        (("schedules", "add", "n", "192.0.2.33", "--every", "5m"), 1, "every 5 minutes"),
        (("schedules", "add", "n", "192.0.2.33", *WEEKLY, "--retry-absent", "6"), 2, "0<=x<=5"),
        (("schedules", "add", "n", "192.0.2.33", "--cron", "0 2 * mon"), 1, "has 4 fields"),
        (("schedules", "add", "n", "192.0.2.33", "--at", "2020-01-01"), 1, "in the past"),
        (("schedules", "add", "n", "203.0.113.1", *WEEKLY), 1, "not allowed"),
        (("schedules", "add", "n n", "192.0.2.33", *WEEKLY), 1, "name"),
        (("schedules", "add", "n", "192.0.2.33", *WEEKLY, "--zone", "Mars/X"), 1, "no time zone"),
        (("schedules", "add", "n", "192.0.2.33", *WEEKLY, "--until", "2026-01-01"), 1, "before"),
    ],
)
def test_bad_input_is_refused(live: Live, words: tuple[str, ...], code: int, said: str) -> None:
    found = live(*words)
    assert found.code == code, found
    assert said.lower() in found.err.lower()
    assert asked(live, "schedules list", "schedules", "list")["schedules"] == []


@pytest.mark.slow
def test_a_file_of_schedules_is_applied_and_exported(live: Live, tmp_path: Path) -> None:
    file = tmp_path / "schedules.yaml"
    file.write_text(
        "schedules:\n"
        "  - name: weekly\n"
        "    scan: {targets: [192.0.2.32/28], priority: low}\n"
        '    cron: "0 2 * * mon"\n'
        "    time_zone: Europe/Berlin\n"
        "  - name: often\n"
        "    kind: quick\n"
        "    scan: {targets: [192.0.2.33], discovery: os}\n"
        "    every_minutes: 60\n"
        "    overlap: queue_one\n"
        "    retry_absent: 3\n"
        "    retry_after_minutes: 30\n"
    )
    applied = asked(live, "schedules apply", "schedules", "apply", str(file), "--dry-run")
    assert [each["change"] for each in applied["schedules"]] == ["is new"] * 2
    assert "created" in live("schedules", "apply", str(file)).out
    tried = asked(live, "schedules apply", "schedules", "apply", str(file), "--dry-run")
    assert [each["change"] for each in tried["schedules"]] == ["unchanged"] * 2
    applied = asked(live, "schedules apply", "schedules", "apply", str(file))
    assert [each["change"] for each in applied["schedules"]] == ["unchanged"] * 2
    shown = asked(live, "schedules show", "schedules", "show", "often")
    assert shown["second_tries"] == "up to 3, 30m after each scan"
    exported = live("schedules", "export").out
    file.write_text(exported)
    applied = asked(live, "schedules apply", "schedules", "apply", str(file))
    assert [each["change"] for each in applied["schedules"]] == ["unchanged"] * 2
    assert live("schedules", "export").out == exported
    file.write_text(exported.replace("queue_one", "replace").replace("0 2 * *", "0 3 * *"))
    tried = asked(live, "schedules apply", "schedules", "apply", str(file), "--dry-run")
    assert [each["change"] for each in tried["schedules"]] == ["would be redefined"] * 2
    applied = asked(live, "schedules apply", "schedules", "apply", str(file))
    assert [each["change"] for each in applied["schedules"]] == ["redefined"] * 2
    file.write_text(live("schedules", "export", "weekly").out)
    pruned = asked(live, "schedules apply", "schedules", "apply", str(file), "--prune")
    assert pruned["schedules"][1] == {"name": "often", "change": "removed"}
    assert "weekly" in live("schedules", "list").out


def test_a_file_with_mistakes_changes_nothing(live: Live, tmp_path: Path) -> None:
    file = tmp_path / "schedules.yaml"
    file.write_text(
        "schedules:\n"
        "  - name: fine\n"
        "    scan: {targets: [192.0.2.33]}\n"
        "    every_minutes: 60\n"
        "  - name: fine\n"
        "    scn: {}\n"
        '    cron: "0 2 * * mon"\n'
        "more: 1\n"
    )
    said = live("schedules", "apply", str(file))
    shape = "write 'schedules:' and a list of schedules with name, scan and cron below it"
    assert said.code == 1
    assert [line.removeprefix(str(file)) for line in said.err.splitlines()[1:]] == [
        ":5:5: missing key 'scan'",
        ":5:11: the same name as schedule 1",
        ":6:5: scn: unknown key (did you mean 'scan'?)",
        f":8:1: more: unknown key ({shape})",
    ]
    file.write_text(
        "schedules:\n"
        "  - name: fine\n"
        "    scan: {targets: [192.0.2.33]}\n"
        "    every_minutes: 60\n"
        "  - name: wrong\n"
        "    scan: {targets: [203.0.113.1]}\n"
        "    every_minutes: 60\n"
        "  - name: never\n"
        "    scan: {targets: [192.0.2.33]}\n"
        '    cron: "0 2 30 feb *"\n'
    )
    said = live("schedules", "apply", str(file))
    places = [line.removeprefix(f"{file}:").split(": ")[0] for line in said.err.splitlines()[1:]]
    assert places == ["5:5", "10:11"]
    assert asked(live, "schedules list", "schedules", "list")["schedules"] == []
    for content, problem in ((": [", ""), ("", "there are no schedules"), ("a: 1", "unknown key")):
        file.write_text(content)
        said = live("schedules", "apply", str(file))
        assert (said.code, problem in said.err) == (1, True)
    one_sentence(live("schedules", "apply", str(tmp_path / "none")), 1, "cannot be read")


@pytest.mark.slow
def test_the_plan_lists_what_will_run(live: Live) -> None:
    for number in range(3):  # so that durations are known
        words = ("192.0.2.40", "--name", f"measured-{number}", "--wait")
        assert live("submit", *words).code == 0
    live("schedules", "add", "often", "192.0.2.40", "--every", "60m")
    found = asked(live, "plan", "plan", "--for", "3h")
    often = [each for each in found["scans"] if each["name"] == "often"]
    assert len(often) in (2, 3)
    assert [each["fits"] for each in often[:2]] == [True, True]
    shown = live("plan", "--for", "3h").out
    assert "often" in shown
    assert "yes" in shown
