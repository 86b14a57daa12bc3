"""Times in answers in the operator's zone: the same moments, and nothing else changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.calendar.local_times import in_zone, localized
from nessus_sched.core.calendar.zones import BadCalendar

MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is added
ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Chatham"])


@given(MOMENTS, ZONES)
def test_a_time_stays_the_same_moment(moment: datetime, zone: str) -> None:
    text = moment.isoformat()
    found = localized({"rows": [{"at": text}], "at": (text, None)}, zone)
    (shown,) = {found["rows"][0]["at"], found["at"][0]}
    assert datetime.fromisoformat(shown) == moment
    assert localized(text, "UTC") == text
    assert datetime.fromisoformat(in_zone(shown, "Asia/Tokyo")) == moment
    assert in_zone([shown, "2026-11-29"], "Asia/Tokyo") == [
        in_zone(text, "Asia/Tokyo"),
        "2026-11-29",
    ]
    assert localized(shown, zone) in (shown, localized(text, zone))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-29T01:00:00+00:00", "2026-11-29T02:00:00+01:00"),
        ("2026-07-01T00:00:00+00:00", "2026-07-01T02:00:00+02:00"),
    ],
)
def test_offsets_follow_the_season(text: str, expected: str) -> None:
    assert localized(text, "Europe/Berlin") == expected


@pytest.mark.parametrize(
    "value",
    [
        "scanned at 2026-11-29T01:00:00+00:00",
        "2026-11-29",
        "2026-11-29T01:00:00",
        "2026-11-29T01:00:00+02:00",
        "2026-13-29T01:00:00+00:00",
        "9999-12-31T23:59:59+00:00",
        "<untrusted>2026-11-29T01:00:00+00:00</untrusted>",
        17, None, True,
        {"2026-11-29T01:00:00+00:00": 1},
    ],
)  # fmt: skip
def test_nothing_else_changes(value: Any) -> None:
    assert localized(value, "Europe/Berlin") == value


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(BadCalendar):
        localized("x", "Europe/Berlen")


def test_utc_is_left_alone() -> None:
    value = {"at": "2026-11-29T01:00:00+00:00"}
    assert localized(value, "UTC") is value
