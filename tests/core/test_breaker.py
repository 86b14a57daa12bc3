from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.pool.breaker import Breaker, BreakerSettings, BreakerState

SETTINGS = BreakerSettings(threshold=5, probe=30.0, probe_max=100.0)


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(SETTINGS)
    for _ in range(SETTINGS.threshold):
        breaker.failure(at, "connection refused")
    return breaker


def test_five_failures_in_a_row_open_it() -> None:
    breaker = Breaker(SETTINGS)
    for _ in range(4):
        breaker.failure(1.0, "timeout")
    assert breaker.closed
    breaker.failure(7.0, "connection refused")
    figures = breaker.statistics()
    assert figures.state is BreakerState.OPEN
    assert (figures.opened_at, figures.probe_at) == (7.0, 37.0)
    assert (figures.failures, figures.openings) == (5, 1)
    assert figures.reason == "connection refused"


def test_an_answer_in_between_starts_the_count_anew() -> None:
    breaker = Breaker(SETTINGS)
    for _ in range(3):
        for _ in range(4):
            breaker.failure(1.0, "timeout")
        breaker.success()
    assert breaker.closed


def test_it_lets_one_probe_through_and_only_when_it_is_due() -> None:
    breaker = opened()
    assert not breaker.begin_probe(29.9)
    assert breaker.begin_probe(30.0)
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.begin_probe(31.0)
    assert not breaker.closed


def test_a_closed_breaker_wants_no_probe() -> None:
    assert not Breaker(SETTINGS).begin_probe(1e9)


def test_a_failed_probe_opens_it_for_longer_up_to_the_maximum() -> None:
    breaker, now, waits = opened(), 0.0, []
    for _ in range(4):
        assert breaker.probe_at is not None
        waits.append(breaker.probe_at - now)
        now = breaker.probe_at
        assert breaker.begin_probe(now)
        breaker.failure(now, "still down")
    assert waits == [30.0, 60.0, 100.0, 100.0]
    assert breaker.statistics().openings == 1
    assert breaker.statistics().opened_at == 0.0


def test_a_probe_that_succeeds_closes_it_and_the_next_opening_starts_short() -> None:
    breaker = opened()
    breaker.begin_probe(30.0)
    breaker.failure(30.0, "still down")
    breaker.begin_probe(90.0)
    breaker.success()
    assert breaker.closed
    assert breaker.statistics().reason == ""
    assert breaker.probe_at is None
    for _ in range(5):
        breaker.failure(200.0, "again")
    assert breaker.probe_at == 230.0
    assert breaker.statistics().openings == 2


def test_late_failures_while_open_do_not_put_the_probe_off() -> None:
    breaker = opened()
    breaker.failure(20.0, "late")
    breaker.trip(25.0, "late")
    assert breaker.probe_at == 30.0
    assert breaker.statistics().reason == "connection refused"


def test_an_abandoned_probe_may_be_made_again_at_once() -> None:
    breaker = opened()
    breaker.begin_probe(30.0)
    breaker.abandon_probe(31.0)
    assert breaker.state is BreakerState.OPEN
    assert breaker.begin_probe(31.0)


@pytest.mark.parametrize("settle", [Breaker.success, lambda each: each.failure(40.0, "down")])
def test_abandoning_after_the_outcome_changes_nothing(settle: object) -> None:
    breaker = opened()
    breaker.begin_probe(30.0)
    assert callable(settle)
    settle(breaker)
    before = breaker.statistics()
    breaker.abandon_probe(41.0)
    assert breaker.statistics() == before


def test_trip_opens_it_at_once() -> None:
    breaker = Breaker(SETTINGS)
    breaker.trip(5.0, "login refused")
    assert breaker.probe_at == 35.0
    breaker.begin_probe(35.0)
    breaker.trip(35.0, "login refused")
    assert breaker.probe_at == 95.0


@given(st.lists(st.sampled_from(["fail", "ok", "probe", "abandon", "trip", "wait"])))
def test_it_always_either_takes_work_or_knows_when_to_probe(steps: list[str]) -> None:
    breaker, now = Breaker(SETTINGS), 0.0
    for step in steps:
        match step:
            case "fail":
                breaker.failure(now, "x")
            case "ok":
                breaker.success()
            case "probe":
                breaker.begin_probe(now)
            case "abandon":
                breaker.abandon_probe(now)
            case "trip":
                breaker.trip(now, "x")
            case _:
                now += 17.0
        figures = breaker.statistics()
        assert (figures.state is BreakerState.OPEN) == (figures.probe_at is not None)
        assert (figures.state is BreakerState.CLOSED) == (figures.opened_at is None)
        assert figures.probe_at is None or figures.probe_at <= now + SETTINGS.probe_max
