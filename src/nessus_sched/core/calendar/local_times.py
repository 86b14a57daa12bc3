"""Times in answers, in the time zone of whoever reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from nessus_sched.core.calendar.zones import zone_of

UTC_NAME: Final = "UTC"
_TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?"
_UTC_TIME: Final = re.compile(rf"{_TIME}\+00:00", re.ASCII)
_ANY_TIME: Final = re.compile(rf"{_TIME}(?:Z|[+-]\d\d:\d\d)", re.ASCII)


def localized(value: Any, zone: str) -> Any:
    """JSON data with every text that is a UTC time (ISO 8601, with the offset +00:00) as the same
    moment in the zone. Raises `BadCalendar` if there is no such zone."""
    return value if zone == UTC_NAME else _localized(value, zone_of(zone), _UTC_TIME)


def in_zone(value: Any, zone: str) -> Any:
    """JSON data with every text that is a time with an offset as the same moment in the zone.
    Raises `BadCalendar` if there is no such zone."""
    return _localized(value, zone_of(zone), _ANY_TIME)


def _localized(value: Any, zone: ZoneInfo, times: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return _moved(value, zone) if times.fullmatch(value) else value
    if isinstance(value, Mapping):
        return {key: _localized(inner, zone, times) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_localized(inner, zone, times) for inner in value]
    return value


def _moved(text: str, zone: ZoneInfo) -> str:
    try:
        return datetime.fromisoformat(text).astimezone(zone).isoformat()
    except (ValueError, OverflowError):
        return text
