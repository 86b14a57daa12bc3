"""Second tries that would never come."""

from __future__ import annotations

import pytest

from nessus_sched.core.calendar.second_tries import RetryAbsent

HOUR = 3600.0


@pytest.mark.parametrize(
    ("after", "firings", "none"),
    [
        (0.5 * HOUR, [0.0, HOUR], False),
        (HOUR, [0.0, HOUR], True),
        (4 * HOUR, [0.0, 24 * HOUR, 25 * HOUR], True),
        (4 * HOUR, [0.0], False),
        (4 * HOUR, [], False),
    ],
)
def test_the_next_firing_may_leave_no_time_for_one(
    after: float, firings: list[float], none: bool
) -> None:
    assert bool(RetryAbsent(times=2, after=after).notes(firings)) is none
