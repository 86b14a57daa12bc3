"""When a daemon that waits takes over, and until when the one before may act."""

from __future__ import annotations

import math

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.leading.leader import Daemon
from nessus_sched.core.leading.lease import MARGIN, SECONDS, Lease
from nessus_sched.core.leading.watch import GAP, PATIENCE, Seen, Verdict, Watch

WAIT, LEAD, END = Verdict.WAIT, Verdict.LEAD, Verdict.END


def looks(watch: Watch, start: float, stop: float, seen: Seen) -> list[Verdict]:
    """One each second."""
    return [watch.look(seen, start + i) for i in range(int(stop - start) + 1)]


def test_a_leader_that_writes_is_left_alone() -> None:
    watch = Watch()
    for number in range(100):
        assert watch.look(Seen((1, number // 4), held=True), float(number)) is WAIT


def test_a_silent_leader_is_replaced_when_its_lease_is_over() -> None:
    watch = Watch()
    assert set(looks(watch, 0.0, PATIENCE - 1, Seen((1, 5), held=True))) == {WAIT}
    assert watch.look(Seen((1, 5), held=True), PATIENCE) is END


def test_a_leader_that_is_gone_is_replaced_at_once() -> None:
    watch = Watch()
    assert watch.look(Seen((1, 5), held=True), 0.0) is WAIT
    assert watch.look(Seen((1, 5), held=False), 1.0) is LEAD


def test_a_new_session_gives_a_leader_time_to_come_back() -> None:
    """The database was restarted, and everybody has lost its session."""
    watch = Watch()
    assert set(looks(watch, 0.0, PATIENCE - 1, Seen((1, 5), held=False))) == {WAIT}
    assert watch.look(Seen((2, 5), held=False), PATIENCE) is WAIT
    assert set(looks(watch, PATIENCE + 1, 2 * PATIENCE - 1, Seen((2, 5), held=False))) == {WAIT}
    assert watch.look(Seen((2, 5), held=False), 2 * PATIENCE) is LEAD


def test_time_in_which_nobody_looked_proves_nothing() -> None:
    """The host was suspended, perhaps the leader's as well."""
    watch = Watch()
    watch.look(Seen((1, 5), held=True), 0.0)
    assert watch.look(Seen((1, 5), held=True), 1000.0) is WAIT
    assert set(looks(watch, 1001.0, 999.0 + PATIENCE, Seen((1, 5), held=True))) == {WAIT}
    assert watch.look(Seen((1, 5), held=True), 1000.0 + PATIENCE) is END


@given(
    writes=st.lists(st.floats(0.01, 12.0), max_size=20),
    delays=st.lists(st.floats(0.0, 8.0), min_size=20, max_size=20),
    gaps=st.lists(st.floats(0.2, 2 * GAP), min_size=60, max_size=60),
)
def test_nobody_is_replaced_while_its_lease_lasts(
    writes: list[float], delays: list[float], gaps: list[float]
) -> None:
    """Each write takes time to arrive; the lease counts from its beginning."""
    clock = [0.0]
    lease, watch = Lease(lambda: clock[0], SECONDS), Watch()
    moment, arrivals = 0.0, [(0.0, 0.0)]
    for pause, delay in zip(writes, delays, strict=False):
        begun = moment + pause
        moment = begun + delay
        arrivals.append((begun, moment))
    for gap in gaps:
        clock[0] += gap
        stored = [begun for begun, arrived in arrivals if arrived <= clock[0]]
        lease.confirm(stored[-1])
        if watch.look(Seen((1, len(stored)), held=True), clock[0]) is END:
            assert not lease.held
            return


async def test_a_renewed_lease_lets_all_go_on_that_wait(
    autojump_clock: trio.testing.MockClock,
) -> None:
    lease = Lease(trio.current_time, SECONDS)
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(lease.wait)
            await trio.sleep(number)
        lease.confirm(trio.current_time())
        with trio.fail_after(1):
            while nursery.child_tasks:  # noqa: ASYNC110 - a nursery tells nobody
                await trio.sleep(0.1)


async def test_a_lease_ends_and_is_renewed(autojump_clock: trio.testing.MockClock) -> None:
    lease = Lease(trio.current_time, SECONDS)
    assert not lease.held
    lease.confirm(trio.current_time())
    assert lease.renew_in == pytest.approx(SECONDS / 3)
    await trio.sleep(SECONDS - 0.1)
    assert lease.held
    assert lease.renew_in == 0.0
    await trio.sleep(0.1)
    assert not lease.held
    with trio.move_on_after(100) as waited:
        await lease.wait()
    assert waited.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lease.wait)
        await trio.sleep(1)
        lease.confirm(trio.current_time() - SECONDS)  # a write that took too long
        await trio.sleep(1)
        assert nursery.child_tasks
        lease.confirm(trio.current_time())


async def test_a_store_of_its_own_cannot_be_taken_over(
    autojump_clock: trio.testing.MockClock,
) -> None:
    lease = Lease.forever()
    await trio.sleep(80_000)
    assert lease.held
    await lease.wait()
    assert lease.renew_in == math.inf
    assert lease.unsettled_for(60.0) == 0.0


async def test_requests_of_the_daemon_before_are_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    lease = Lease(trio.current_time, SECONDS)
    assert lease.unsettled_for(60.0) == 0.0
    lease.taken_over()
    await trio.sleep(10)
    assert lease.unsettled_for(60.0) == pytest.approx(SECONDS + 60 + MARGIN - 10)
    await trio.sleep(100)
    assert lease.unsettled_for(60.0) == 0.0


def test_sections_that_differ_are_named() -> None:
    ours = Daemon(host="a", sections={"scanners": "1", "roles": "2", "windows": "3"})
    theirs = Daemon(host="b", sections={"scanners": "9", "roles": "2", "labels": "4"})
    assert ours.differs_in(theirs) == theirs.differs_in(ours) == ("labels", "scanners", "windows")
    assert ours.differs_in(ours) == ()
