"""When a schedule fires: cron expressions, intervals and single times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import attrs
from cronsim import CronSim, CronSimError

from nessus_sched.core.calendar.zones import BadCalendar, is_known, local_text, zone_of
from nessus_sched.core.text import duration, pluralize

EXAMPLE: Final = "'0 2 * * mon' is Mondays at 02:00"
_FIELDS: Final = 5
_LATEST: Final = 253_000_000_000.0
"""Near the end of the year 9986, the last that `datetime` can convert between zones."""
_SAMPLE: Final = 1000
"""Firings that are looked at for the shortest interval."""


@attrs.frozen(kw_only=True)
class Recurrence:
    """Exactly one of `cron`, `every` (seconds) and `at` (epoch seconds) is set.

    `cron` has five fields (minute, hour, day of month, month, day of week) with names, `L` and
    `#`, in wall-clock time of `zone`: a time that does not exist fires once right after the gap,
    one that exists twice the first time only. An expression whose minute or hour begins with `*`
    follows elapsed time through both. `every` counts elapsed seconds from `start`. Nothing fires
    at or before `start`.
    """

    cron: str | None = None
    every: float | None = None
    at: float | None = None
    zone: str = "UTC"
    start: float = 0.0

    @property
    def text(self) -> str:
        """In words, such as `At 02:00 on Monday (Europe/Berlin)`."""
        if self.cron is not None:
            return f"{CronSim(self.cron, datetime.fromtimestamp(0, UTC)).explain()} ({self.zone})"
        if self.every is not None:
            return f"every {duration(self.every)}"
        assert self.at is not None
        return f"once, {local_text(self.at, self.zone if is_known(self.zone) else 'UTC')}"

    @property
    def definition(self) -> str:
        """As it was given, such as `0 2 * * mon (Europe/Berlin)`."""
        return self.text if self.cron is None else f"{self.cron} ({self.zone})"

    def next_after(self, moment: float) -> float | None:
        """The first time after `moment`, in epoch seconds; None if there is none."""
        if self.at is not None:
            return self.at if self.at > moment else None
        moment = max(moment, self.start)
        if moment >= _LATEST:
            return None
        if self.every is not None:
            return self.start + self.every * ((moment - self.start) // self.every + 1)
        assert self.cron is not None
        return _next_match(self.cron, self.zone, moment)

    def after(self, moment: float) -> Iterator[float]:
        """All times after `moment`, in order."""
        found = self.next_after(moment)
        while found is not None:
            yield found
            found = self.next_after(found)


@lru_cache(maxsize=4096)
def _next_match(cron: str, zone: str, moment: float) -> float | None:
    """To find one takes up to a millisecond, and each is asked for several times."""
    begin = datetime.fromtimestamp(moment, UTC if zone == "UTC" else zone_of(zone))
    # In the second of two equal hours the first comes up once more, and it is over.
    found = (local.timestamp() for local in CronSim(cron, begin))
    return next((each for each in found if each > moment), None)


def check_recurrence(recurrence: Recurrence, *, now: float, min_interval: float) -> None:
    """Raises `BadCalendar` for what is wrong, never fires, or fires more often than every
    `min_interval` seconds."""
    given = [recurrence.cron, recurrence.every, recurrence.at]
    if sum(each is not None for each in given) != 1:
        raise BadCalendar(f"give exactly one of cron, every and at; as cron, {EXAMPLE}")
    zone_of(recurrence.zone)
    if recurrence.cron is not None:
        _check_cron(recurrence.cron, now)
    if recurrence.next_after(now) is None:
        past = recurrence.at is not None
        raise BadCalendar("the time is in the past" if past else "it would never fire")
    _check_interval(recurrence, now, min_interval)


def notes_on(recurrence: Recurrence) -> list[str]:
    """What may surprise: a day of the month that some months lack."""
    days = (recurrence.cron or "").split()[2:3]
    lacking = [day for day in ("29", "30", "31") if days and day in days[0].split(",")]
    if not lacking:
        return []
    text = f"It does not fire in months without a day {lacking[-1]}"
    return [f"{text}; L instead means the last day of every month."]


def _check_cron(expression: str, now: float) -> None:
    fields = expression.split()
    if len(fields) != _FIELDS:
        raise BadCalendar(
            f"cron expression {expression!r} has {len(fields)} fields instead of five "
            f"(minute, hour, day of month, month, day of week): {EXAMPLE}"
        )
    try:
        CronSim(expression, datetime.fromtimestamp(now, UTC))
    except CronSimError as error:
        what = str(error).removeprefix("Bad ").replace("-", " ")
        raise BadCalendar(
            f"cron expression {expression!r} has an invalid {what}; {EXAMPLE}"
        ) from None


def _check_interval(recurrence: Recurrence, now: float, least: float) -> None:
    before: float | None = None
    for _, moment in zip(range(_SAMPLE), recurrence.after(now), strict=False):
        if before is not None and moment - before < least:
            raise BadCalendar(
                f"it would fire every {pluralize(round((moment - before) / 60), 'minute')}; the "
                "configuration allows no more than one firing in "
                f"{least / 60:g} minutes"
            )
        if before is not None and recurrence.every is not None:
            return
        before = moment
