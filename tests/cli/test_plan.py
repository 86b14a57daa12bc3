"""`nessus-sched plan`: what will run in the coming hours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import pytest

from nessus_sched.cli import output
from nessus_sched.cli.schedules import plan
from support.command import Said, one_sentence
from support.live_daemon import Live, asked, submitted

HOST = "192.0.2.21"
ROW = re.compile(r"\S+  \w{3} \d\d (\d\d:\d\d)  ")
HEADING = ["name", "due", "starts", "ends", "fits", "scanners", "remark"]


@pytest.fixture
def hourly(live: Live) -> Iterator[str]:
    asked(live, "schedules add", "schedules", "add", "hourly", f"{HOST}9", "--every", "1h")
    yield "hourly"
    live("schedules", "remove", "hourly")


@pytest.fixture(scope="module")
def measured(live: Live) -> None:
    """How long a scan of one host takes is known."""
    tasks = [submitted(live, f"{HOST}{last}") for last in range(3)]
    assert live("watch", *tasks).code == 0


def rows(said: Said) -> list[str]:
    assert said.code == 0, said
    lines = said.out.splitlines()
    heading = next(number for number, line in enumerate(lines) if line.startswith("name "))
    assert lines[heading].split() == HEADING
    return lines[heading + 1 :]


@pytest.mark.usefixtures("measured")
def test_each_firing_is_a_row_with_when_it_should_end(live: Live, hourly: str) -> None:
    found = asked(live, "plan", "plan", "--for", "3h")
    firings = [each for each in found["scans"] if each["name"] == hourly]
    assert len(firings) in (2, 3)  # the third may be due in a moment more than three hours
    assert all(each["fits"] and each["scanners"] for each in firings[:2])
    shown = [line for line in rows(live("plan", "--for", "3h")) if line.startswith(hourly)]
    for each, line in zip(firings[:2], shown, strict=False):
        due = datetime.fromisoformat(each["due"]).astimezone()
        assert line.startswith(f"{hourly}  {due:%a %d %H:%M}  ")
        assert f"  yes   {' '.join(each['scanners'])}" in line


@pytest.mark.usefixtures("hourly")
def test_times_are_in_the_zone_that_was_asked_for(live: Live) -> None:
    due: dict[str, str] = {}
    for zone in ("UTC", "Asia/Kolkata"):
        said = live("--tz", zone, "plan", "--for", "90m")
        (row, *_) = [found for line in rows(said) if (found := ROW.match(line))]
        due[zone] = row[1]
        begin = said.out.splitlines()[0]
        assert re.fullmatch(r"\w{3} \d\d \d\d:\d\d to \w{3} \d\d \d\d:\d\d \(.+\)", begin)
    minutes = [int(at[:2]) * 60 + int(at[3:]) for at in due.values()]
    assert (minutes[1] - minutes[0]) % (24 * 60) == 5 * 60 + 30


@pytest.mark.usefixtures("hourly", "measured")
def test_on_a_terminal_the_hours_of_each_scanner_are_drawn(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (output, plan):
        monkeypatch.setattr(module, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    said = live("--tz", "Asia/Kolkata", "plan", "--for", "6h")
    lines = said.out.splitlines()
    assert any(line.startswith("east  ") for line in lines)
    assert any(line.startswith("share of slots in use") for line in lines)
    assert "timeline" not in live("plan", "--for", "6h").out
    assert asked(live, "plan", "plan", "--for", "6h")["timeline"] is None


def test_part_of_an_hour_counts_as_one(live: Live) -> None:
    for within, hours in (("0s", 1), ("1h", 1), ("61m", 2), ("31d", 744)):
        found = asked(live, "plan", "plan", "--for", within)
        begin, until = (datetime.fromisoformat(found[name]) for name in ("begin", "until"))
        assert (until - begin).total_seconds() == hours * 3600


@pytest.mark.parametrize("within", ["745h", "32d", "9" * 400 + "d", "-1h", "1e3h", "1w", ""])
def test_how_far_ahead_is_checked(live: Live, within: str) -> None:
    one_sentence(live("plan", f"--for={within}"), 2, "Invalid value for '--for': ")
