"""How well targets are covered, against a count of single addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.targets.ranges import V4, merged
from nessus_sched.core.targets.targets import TargetSet
from nessus_sched.results.ledger.reach import Reach, Reached, Tries, stretches

SINCE = 100
BASE = V4 + 0xC0000200
NAMES = ("a.example.com", "b.example.com")

addresses = st.sets(st.integers(0, 7)).map(lambda some: [BASE + each for each in some])
names = st.sets(st.sampled_from(NAMES)).map(lambda some: tuple(sorted(some)))
sets = st.builds(
    lambda some, named: TargetSet(ranges=merged((each, each) for each in some), names=named),
    addresses,
    names,
)
moments = st.sampled_from((50, 99, 100, 101, 150))
times = st.none() | moments
machines = st.builds(
    Reached,
    target=st.integers(0, 4).map(lambda each: BASE + each) | st.sampled_from(NAMES),
    tried_at=moments,
    answered_at=times,
    whole_at=times,
    login_at=times,
    login=st.none(),
    scanner=st.none(),
)


def _in(target: int | str, targets: TargetSet) -> bool:
    if isinstance(target, str):
        return target in targets.names
    return any(first <= target <= last for first, last in targets.ranges)


def expected(target: int | str, tries: Tries, hosts: list[Reached]) -> Reach:
    """In words of the definition, for one target."""
    here = [each for each in hosts if each.target == target]
    lately = _in(target, tries.lately)
    if not here:
        if lately:
            return Reach.NEVER_ANSWERED
        return Reach.NOT_LATELY if _in(target, tries.ever) else Reach.NEVER_SCANNED
    host = max(here, key=lambda each: (each.answered_at or 0, each.tried_at))
    if not (lately or host.tried_at >= SINCE):
        return Reach.NOT_LATELY
    if not host.answered_at:
        return Reach.NEVER_ANSWERED
    if host.tried_at > host.answered_at or host.answered_at < SINCE:
        return Reach.NO_LONGER_ANSWERS
    if not host.whole_at or host.whole_at < SINCE:
        return Reach.UNFINISHED
    logged_in = host.login_at is not None and host.login_at >= SINCE
    return Reach.COVERED if logged_in else Reach.WITHOUT_LOGIN


@pytest.mark.slow
@given(asked=sets, ever=sets, lately=sets, hosts=st.lists(machines, max_size=12))
def test_every_target_has_the_one_status_that_it_should(
    asked: TargetSet, ever: TargetSet, lately: TargetSet, hosts: list[Reached]
) -> None:
    found = stretches(asked, Tries(ever=ever, lately=lately), hosts, SINCE)
    listed: list[int | str] = []
    for each in found:
        if isinstance(each.target, str):
            targets: list[int | str] = [each.target]
        else:
            targets = list(range(each.target[0], each.target[1] + 1))
        assert each.size == len(targets)
        assert each.end == targets[-1]
        for target in targets:
            assert each.status is expected(target, Tries(ever=ever, lately=lately), hosts)
        assert each.host is None or each.size == 1
        listed += targets
    every = [number for first, last in asked.ranges for number in range(first, last + 1)]
    assert listed == [*every, *sorted(asked.names)]


def test_a_narrow_scan_lately_shows_that_a_host_is_gone() -> None:
    """One whose absence says nothing about findings, so that the host itself was not tried."""
    tried = TargetSet(ranges=((BASE, BASE),))
    host = Reached(
        target=BASE, tried_at=50, answered_at=50, whole_at=50, login_at=50, login="full",
        scanner="east",
    )  # fmt: skip
    (found,) = stretches(tried, Tries(ever=tried, lately=tried), [host], SINCE)
    assert found.status is Reach.NO_LONGER_ANSWERS
