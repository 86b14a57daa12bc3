from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.retry import backoff


@given(st.integers(1, 5000), st.floats(1, 100), st.floats(1, 10_000), st.integers())
def test_it_lies_between_half_and_all_of_the_doubled_base(
    failures: int, base: float, maximum: float, seed: int
) -> None:
    whole = min(maximum, base * 2 ** min(failures - 1, 40))
    delay = backoff(failures, base=base, maximum=maximum, random=Random(seed))
    assert whole / 2 <= delay <= whole


def test_it_doubles_and_then_stays() -> None:
    class Highest(Random):
        def random(self) -> float:
            return 1.0

    delays = [backoff(n, base=30.0, maximum=200.0, random=Highest()) for n in range(1, 6)]
    assert delays == [30.0, 60.0, 120.0, 200.0, 200.0]


def test_those_who_failed_together_do_not_come_back_together() -> None:
    random = Random(1)
    delays = [backoff(3, base=30.0, maximum=3600.0, random=random) for _ in range(100)]
    assert max(delays) - min(delays) > 40


@given(st.integers(1, 20), st.floats(0, 1e6))
def test_never_sooner_than_the_other_side_asked(failures: int, retry_after: float) -> None:
    delay = backoff(failures, base=1.0, maximum=60.0, random=Random(1), retry_after=retry_after)
    assert delay >= retry_after
    assert delay <= max(retry_after, 60.0)


def test_the_same_seed_gives_the_same_waits() -> None:
    first, second = (
        [backoff(n, base=1.0, maximum=60.0, random=random) for n in range(1, 9)]
        for random in (Random(7), Random(7))
    )
    assert first == second
