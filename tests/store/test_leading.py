"""Daemons that share a store in PostgreSQL: one leads, and another takes over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs
import pytest

from nessus_sched.core.leading.leader import Daemon
from nessus_sched.core.leading.watch import PATIENCE
from nessus_sched.core.store_errors import (
    AlreadyRunning,
    OtherConfiguration,
    StoreClosed,
    StoreTakenOver,
    StoreUnavailable,
)
from nessus_sched.store.tasks.store import TaskStore
from support import postgres
from support.stored import START, a_task, submitted

if TYPE_CHECKING:
    from nessus_sched.store.postgres.engine import PostgresEngine

pytestmark = pytest.mark.slow

EAST = Daemon(host="east", addresses=("/run/east.sock",), sections={"scanners": "1"})
WEST = Daemon(host="west", sections={"scanners": "1"})
_LOCKS = """SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
WHERE locktype = 'advisory' AND datname = '{}'"""
_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"


@attrs.define
class Pair:
    """The engines of two daemons with one database, of which nobody leads yet."""

    cluster: postgres.Cluster
    conninfo: str
    steady: float = 0.0
    engines: list[PostgresEngine] = attrs.field(factory=list)

    def engine(self, daemon: Daemon) -> PostgresEngine:
        engine = postgres.engine(self.conninfo, daemon)
        self.engines.append(engine)
        engine.candidate._steady = lambda: self.steady
        return engine

    def end_sessions(self) -> None:
        self.cluster.sql(_END.format(self.conninfo.rsplit("=", 1)[1]))

    def wait_for_lock(self) -> None:
        """Until the server has noticed that the leader closed its session."""
        name = self.conninfo.rsplit("=", 1)[1]
        for _ in range(500):
            if self.cluster.sql(_LOCKS.format(name)) == "0":
                return
        raise AssertionError("somebody still leads")

    def looks(self, engine: PostgresEngine, seconds: float) -> list[bool]:
        """One each second of the waiting daemon's clock."""
        seen = []
        for _ in range(int(seconds)):
            self.steady += 1
            seen.append(engine.candidate.look())
        return seen


@pytest.fixture
def pair(cluster: postgres.Cluster) -> Iterator[Pair]:
    pair = Pair(cluster, cluster.database())
    yield pair
    for engine in pair.engines:
        engine.candidate.close()


def opened(engine: PostgresEngine) -> postgres.Opened:
    return TaskStore.open_engine(engine, now=lambda: START)


async def test_the_first_leads_and_the_second_takes_over_when_it_ends(pair: Pair) -> None:
    east, west = pair.engine(EAST), pair.engine(WEST)
    assert east.candidate.look()
    async with opened(east) as store:
        assert not store.lease.unsettled_for(60.0)
        await store.submit(a_task(1), submitted(a_task(1)))
        assert pair.looks(west, 3) == [False] * 3
        leader = west.candidate.leader
        assert leader is not None
        assert leader.daemon == EAST
        assert leader.since > 0
        assert not leader.released
    pair.wait_for_lock()
    assert west.candidate.look()
    leader = west.candidate.leader
    assert leader is not None
    assert leader.released
    async with opened(west) as store:
        assert store.journal_head == 1
        assert not store.lease.unsettled_for(60.0)  # the other has ended in good order
        east = pair.engine(EAST)
        assert not east.candidate.look()
        assert east.candidate.leader is not None
        assert east.candidate.leader.daemon == WEST


async def test_a_leader_that_is_silent_is_replaced_and_writes_no_more(pair: Pair) -> None:
    east, west = pair.engine(EAST), pair.engine(WEST)
    with pytest.RaisesGroup(pytest.RaisesExc(StoreTakenOver), flatten_subgroups=True):
        async with opened(east) as old:
            await old.submit(a_task(1), submitted(a_task(1)))
            old._writer._lease.seconds = 1e9  # it is stopped, and does not touch its row
            assert not any(pair.looks(west, PATIENCE))
            assert pair.looks(west, 1) == [True]
            async with opened(west) as new:
                assert new.lease.unsettled_for(60.0) > 60.0
                with pytest.raises(StoreClosed):
                    await old.submit(a_task(2), submitted(a_task(2)))
                await new.submit(a_task(3), submitted(a_task(3)))
                assert new.journal_head == 2


async def test_a_leader_that_writes_or_comes_back_is_not_replaced(pair: Pair) -> None:
    east, west = pair.engine(EAST), pair.engine(WEST)
    async with opened(east) as store:
        for number in range(1, 4):
            assert not any(pair.looks(west, PATIENCE - 1))
            await store.submit(a_task(number), submitted(a_task(number)))
        # The database ends all sessions. Who waits finds no leader, and yet does not lead.
        pair.end_sessions()
        with pytest.raises(StoreUnavailable):
            west.candidate.look()
        assert not any(pair.looks(west, PATIENCE - 1))
        await store.submit(a_task(4), submitted(a_task(4)))
        assert not any(pair.looks(west, PATIENCE - 1))


async def test_after_a_restart_of_the_database_somebody_leads(pair: Pair) -> None:
    east, west = pair.engine(EAST), pair.engine(WEST)
    async with opened(east) as store:
        assert not west.candidate.look()
        store.lease.seconds = 1e9  # it is stopped, and does not come back
        pair.end_sessions()
        with pytest.raises(StoreUnavailable):
            west.candidate.look()
        assert pair.looks(west, PATIENCE + 1) == [False] * int(PATIENCE) + [True]


async def test_an_idle_leader_touches_its_row(pair: Pair) -> None:
    engine = pair.engine(EAST)
    assert engine.lease < PATIENCE
    batch = "SELECT batch FROM nessus_sched.writer"
    name = pair.conninfo.rsplit("=", 1)[1]
    async with opened(engine) as store:
        before = int(pair.cluster.sql(batch, database=name))
        store.lease.confirm(-1e9)
        store.lease._confirmed -= engine.lease
        store._writer._wake.set()
        await store.lease.wait()
        assert int(pair.cluster.sql(batch, database=name)) == before + 1
        assert store.statistics().writer.commits == 0


async def test_a_daemon_with_other_scanners_neither_waits_nor_leads(pair: Pair) -> None:
    other = Daemon(host="west", sections={"scanners": "2"})
    async with opened(pair.engine(EAST)):
        with pytest.raises(OtherConfiguration, match=r"east, which leads, .*\(scanners\)"):
            pair.engine(other).candidate.look()
        with pytest.raises(OtherConfiguration, match="which leads"):
            pair.engine(attrs.evolve(other, host="east")).candidate.look()
        # One that was waiting when the leader's configuration changed, or its own.
        west = pair.engine(WEST)
        assert not west.candidate.look()
        west.candidate.daemon = other
        assert not west.candidate.look()
        assert west.candidate.differs == ("scanners",)
    pair.wait_for_lock()
    assert not any(pair.looks(west, PATIENCE + 5))
    assert west.candidate.differs == ("scanners",)
    west.candidate.daemon = WEST
    assert west.candidate.look()


async def test_who_starts_after_a_crash_elsewhere_needs_the_same_configuration(
    pair: Pair,
) -> None:
    other = Daemon(host="west", sections={"scanners": "2"})
    async with opened(pair.engine(EAST)):
        pass
    pair.cluster.sql(
        "UPDATE nessus_sched.writer SET released = false",
        database=pair.conninfo.rsplit("=", 1)[1],
    )
    pair.wait_for_lock()
    with pytest.raises(OtherConfiguration, match="east, which led last and did not stop"):
        pair.engine(other).candidate.look()
    mine = pair.engine(attrs.evolve(other, host="east"))
    assert mine.candidate.look()  # who edits the file of the only daemon
    mine.candidate.close()
    pair.wait_for_lock()
    forced = pair.engine(other)
    forced.candidate.accepts_any = True
    assert forced.candidate.look()


async def test_a_leader_that_is_ending_is_waited_for_whatever_its_configuration_was(
    pair: Pair,
) -> None:
    """As when the only daemon is started again with another configuration."""
    again = pair.engine(Daemon(host="east", sections={"scanners": "2"}))
    async with opened(pair.engine(EAST)):
        pair.cluster.sql(
            "UPDATE nessus_sched.writer SET released = true",
            database=pair.conninfo.rsplit("=", 1)[1],
        )
        assert pair.looks(again, 2) == [False, False]
    pair.wait_for_lock()
    assert again.candidate.look()


async def test_a_changed_configuration_is_announced(pair: Pair) -> None:
    changed = attrs.evolve(EAST, sections={"scanners": "3"})
    async with opened(pair.engine(EAST)) as store:
        await store.announce(changed)
        west = pair.engine(attrs.evolve(WEST, sections={"scanners": "3"}))
        assert not west.candidate.look()
        assert west.candidate.leader is not None
        assert west.candidate.leader.daemon == changed


async def test_a_missing_right_is_not_taken_for_another_daemon(pair: Pair) -> None:
    engine = pair.engine(EAST)
    name = pair.conninfo.rsplit("=", 1)[1]
    pair.cluster.sql(
        "REVOKE EXECUTE ON FUNCTION pg_advisory_lock(int, int) FROM PUBLIC", database=name
    )
    with pytest.raises(StoreUnavailable, match="permission denied") as caught:
        async with opened(engine):
            raise AssertionError("opened")
    assert not isinstance(caught.value, AlreadyRunning)
