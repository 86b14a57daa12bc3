"""Times and durations as people type them: what is no time is refused, and never a traceback."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import attrs
import pytest

from support.command import one_sentence
from support.live_daemon import Live
from support.stopped import TASK, Stopped


@pytest.mark.parametrize(
    "since",
    [
        "99999999d", "9999999999999d", "9" * 400 + "d", "0001-01-01", "9999-12-31T23:59:59-14:00",
        "2026-02-30", "2026-01-31T25:00", "yesterday", "7", "-7d", "",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(left: Stopped, since: str) -> None:
    one_sentence(left("changes", f"--since={since}"), 2, "Invalid value for '--since': ")


@pytest.mark.parametrize(
    ("since", "shown"),
    [
        ("2025-07-01", "2025-07-01T00:00:00+09:00"),
        ("2025-07-01T12:00Z", "2025-07-01T12:00:00+00:00"),
        ("2025-07-01T12:00-14:00", "2025-07-01T12:00:00-14:00"),
    ],
)
def test_a_time_without_an_offset_is_local(left: Stopped, since: str, shown: str) -> None:
    known = left.asked("changes", "changes", "--since", shown)
    there = left("--tz", "Asia/Tokyo", "changes", "--since", since, "--json")
    assert there.code == 0, there
    assert there.json["since"].endswith("+09:00")
    assert datetime.fromisoformat(there.json["since"]) == datetime.fromisoformat(
        str(known["since"])
    )
    assert there.json["scans"] == known["scans"]


@pytest.mark.parametrize("zone", ["", "Europe", "/etc/passwd", "../UTC", "Mars/Base", "x\udcff"])
def test_what_is_no_zone_is_refused(left: Stopped, zone: str) -> None:
    one_sentence(left("--tz", zone, "tasks"), 2, "is not a time zone, such as Europe/Berlin")


@pytest.mark.parametrize("at", [0, 1, 3])
@pytest.mark.parametrize("zone", [["--tz", "Asia/Tokyo"], ["--tz=Asia/Tokyo"]])
def test_the_zone_may_come_before_or_after_the_command(
    left: Stopped, zone: list[str], at: int
) -> None:
    words = ["journal", "show", TASK]
    assert left(*words[:at], *zone, *words[at:]) == left("--tz", "Asia/Tokyo", *words)
    beyond = left("tasks", "--", "--tz", "Asia/Tokyo")
    assert beyond.code == 2  # an argument, not an option


@pytest.mark.parametrize("since", ["0s", "401d", "9" * 400 + "d", "soon"])
def test_how_far_back_a_preview_goes_is_checked(live: Live, since: str) -> None:
    one_sentence(live("routes", "preview", "week", "--since", since), 2, "for '--since': ")
    assert live("routes", "preview", "week", "--since", "400d").code == 0


@pytest.mark.parametrize(
    "words",
    [("dlq", "purge", "--dry-run", "--older-than"), ("submit", "192.0.2.1", "--max-runtime")],
)
def test_no_duration_is_endless(live: Live, words: tuple[str, ...]) -> None:
    one_sentence(live(*words, "9" * 400 + "d"), 2, "that is too long")


def _times(value: object) -> list[datetime]:
    """Every time with an offset in a document, in order."""
    if isinstance(value, dict):
        return [at for inner in value.values() for at in _times(inner)]
    if isinstance(value, list):
        return [at for inner in value for at in _times(inner)]
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return []
    return [at] if at is not None and at.utcoffset() is not None else []


@pytest.mark.parametrize(
    "words",
    [("hosts", "192.0.2.10"), ("findings",), ("changes", "--since", "2025-07-01T00:00Z"),
     ("status", TASK), ("tasks",)],
)  # fmt: skip
def test_times_in_json_are_in_the_configured_zone_or_the_one_asked_for(
    left: Stopped, tmp_path: Path, words: tuple[str, ...]
) -> None:
    config = {**left.place.config, "calendar": {"time_zone": "Asia/Kolkata"}}
    there = attrs.evolve(left, place=attrs.evolve(left.place, directory=tmp_path, config=config))
    there.place.write()
    utc = _times(left(*words, "--json").json)
    local = _times(there(*words, "--json").json)
    asked = _times(there("--tz", "Asia/Tokyo", *words, "--json").json)
    assert utc
    for found, hours in ((utc, 0), (local, 5.5), (asked, 9)):
        assert {at.utcoffset() for at in found} == {timedelta(hours=hours)}
        assert found == utc
