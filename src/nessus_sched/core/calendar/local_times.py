"""Times in answers, in the time zone of whoever reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from nessus_sched.core.calendar.zones import zone_of

UTC_NAME: Final = "UTC"
_UTC_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?\+00:00", re.ASCII)


def localized(value: Any, zone: str) -> Any:
    """JSON data with every text that is a UTC time (ISO 8601, with the offset +00:00) as the same
    moment in the zone. Raises `BadCalendar` if there is no such zone."""
    return value if zone == UTC_NAME else _localized(value, zone_of(zone))


def _localized(value: Any, zone: ZoneInfo) -> Any:
    if isinstance(value, str):
        return _moved(value, zone) if _UTC_TIME.fullmatch(value) else value
    if isinstance(value, Mapping):
        return {key: _localized(inner, zone) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_localized(inner, zone) for inner in value]
    return value


def _moved(text: str, zone: ZoneInfo) -> str:
    try:
        return datetime.fromisoformat(text).astimezone(zone).isoformat()
    except (ValueError, OverflowError):
        return text
