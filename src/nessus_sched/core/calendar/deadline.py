"""Deadlines of tasks, as people write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from nessus_sched.core.calendar.zones import BadCalendar, epoch_of, parse_moment, zone_of

EXAMPLES: Final = "'06:00', '8h' or '2026-03-02 06:00'"
_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_AFTER: Final = re.compile(r"([0-9]{1,5})\s*(m|min|h|d)")
_UNITS: Final = {"m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def deadline_of(text: str, zone: str, begin: float) -> float:
    """Epoch seconds of a deadline: the next time that the clock says `06:00` after `begin`, `8h`
    after it, or a moment. Clock times without an offset are those of the zone. Raises
    `BadCalendar`, also for a deadline that is not after `begin`."""
    given = text.strip()
    if (clock := _CLOCK.fullmatch(given)) is not None:
        return _next(int(clock[1]), int(clock[2]), zone, begin)
    if (after := _AFTER.fullmatch(given)) is not None:
        moment = begin + int(after[1]) * _UNITS[after[2]]
    else:
        try:
            moment = parse_moment(given, zone)
        except BadCalendar as error:
            if "is not a time" not in str(error):
                raise
            raise BadCalendar(f"{text!r} is not a deadline; write one such as {EXAMPLES}") from None
    if moment <= begin:
        raise BadCalendar(f"{text!r} is not in the future")
    return moment


def _next(hour: int, minute: int, zone: str, begin: float) -> float:
    today = datetime.fromtimestamp(begin, zone_of(zone)).replace(
        hour=hour, minute=minute, second=0, microsecond=0, fold=0
    )
    days = (today + timedelta(days=number) for number in range(3))
    return next(moment for day in days if (moment := epoch_of(day)) > begin)
