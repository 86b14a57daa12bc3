"""How long to wait before trying again."""

from __future__ import annotations

from random import Random


def backoff(
    failures: int,
    *,
    base: float,
    maximum: float,
    random: Random,
    retry_after: float | None = None,
) -> float:
    """Seconds to wait after the `failures`-th failure in a row (1 for the first).

    Doubles from `base` up to `maximum`, then takes a random part between half and all of
    that, so that many who failed together do not come back together. Never sooner than
    `retry_after`, which the other side asked for.
    """
    assert failures >= 1, failures
    # The exponent is bounded because 2.0**1024 overflows.
    whole = min(maximum, base * 2.0 ** min(failures - 1, 64))
    delay = whole * (0.5 + random.random() / 2)
    return delay if retry_after is None else max(delay, retry_after)
