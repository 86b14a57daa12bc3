"""What may happen to two daemons, their database, their clocks and the network between them."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import attrs
import trio

from failover.database import Database
from failover.network import Cut, between, towards
from failover.stage import Stage

HOURS: Final = 3600


@attrs.frozen(kw_only=True)
class Fault:
    """`begin` takes no time, so that it can happen while a scanner processes a request; what it
    returns undoes it, after `lasts` seconds (least, most)."""

    name: str
    begin: Callable[[Stage], Callable[[], None]]
    lasts: tuple[float, float] = (0.0, 0.0)
    loses_leader: bool = False
    """The leader is gone for longer than its lease, and the other daemon could lead."""


@attrs.frozen(kw_only=True)
class DatabaseFault:
    """Takes as long as the database needs."""

    name: str
    run: Callable[[Stage], Awaitable[None]]
    loses_leader: bool = False


AnyFault = Fault | DatabaseFault


def _nothing() -> None:
    pass


def _kill(stage: Stage) -> Callable[[], None]:
    stage.leader.kill()
    return _nothing


def _lose_machine(stage: Stage) -> Callable[[], None]:
    """Killed, unplugged, and not started again before the end."""
    victim = stage.leader
    back = victim.held = trio.Event()
    victim.kill()
    stage.network.unplug(victim.node)

    def end() -> None:
        stage.network.plug_in(victim.node)
        victim.held = None
        back.set()

    return end


def _stop(stage: Stage, *, leader: bool = True) -> Callable[[], None]:
    victim = stage.leader if leader else stage.other
    victim.stop()
    return victim.go_on


def _unplug(stage: Stage) -> Callable[[], None]:
    node = stage.leader.node
    stage.network.unplug(node)
    return partial(stage.network.plug_in, node)


def _part(cuts: Callable[[Stage], tuple[Cut, ...]]) -> Callable[[Stage], Callable[[], None]]:
    def begin(stage: Stage) -> Callable[[], None]:
        chosen = cuts(stage)
        stage.network.cut(*chosen)
        return partial(stage.network.mend, *chosen)

    return begin


def _step(seconds: int, *, both: bool = False) -> Callable[[Stage], Callable[[], None]]:
    """Clocks are set, and stay so."""

    def begin(stage: Stage) -> Callable[[], None]:
        stage.leader.set_clock(seconds)
        if both:
            stage.other.set_clock(seconds)
        return _nothing

    return begin


def _refuse(stage: Stage) -> Callable[[], None]:
    for sim in stage.sims.values():
        sim.nessus.refuse(stage.random.uniform(1, 5))
    return _nothing


async def _restart(stage: Stage, how: int) -> None:
    database = _database(stage)
    async with stage.database_busy:
        server = database.primary
        await database.stop(server, how)
        await trio.sleep(stage.random.uniform(0, 4))
        await database.start(server)


async def _freeze(stage: Stage) -> None:
    database = _database(stage)
    async with stage.database_busy:
        await database.freeze(database.primary, stage.random.uniform(2, 15))


async def _crash_over(stage: Stage) -> None:
    """The primary's machine is gone; its replica takes its place."""
    database = _database(stage)
    async with stage.database_busy:
        await database.stop(database.primary, signal.SIGKILL)
        await trio.sleep(stage.random.uniform(0.5, 3))
        await database.promote()
        await _replace(stage)


async def _switch_over(stage: Stage) -> None:
    database = _database(stage)
    async with stage.database_busy:
        await database.caught_up()
        await database.stop(database.primary, signal.SIGINT)
        await database.promote()
        await _replace(stage)


async def _isolate_over(stage: Stage) -> None:
    """The primary is cut off from all but lives, until its replica has taken its place; then it
    comes back for a moment as it was."""
    database = _database(stage)
    async with stage.database_busy:
        old = database.primary.node
        cuts = {cut for node in ("one", "two", database.replica.node) for cut in between(node, old)}
        stage.network.cut(*cuts)
        try:
            await trio.sleep(stage.random.uniform(0.5, 6))
            await database.promote()
            await trio.sleep(stage.random.uniform(0, 4))
        finally:
            stage.network.mend(*cuts)
        await trio.sleep(stage.random.uniform(0, 2))
        await _replace(stage)


async def _freeze_over(stage: Stage) -> None:
    """The primary hangs, its replica takes its place, and it wakes up as if nothing had been."""
    database = _database(stage)
    async with stage.database_busy:
        old, seconds = database.primary, stage.random.uniform(3, 8)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(database.freeze, old, seconds + 4)
            await trio.sleep(seconds)
            await database.promote()
        await trio.sleep(stage.random.uniform(0, 2))
        await _replace(stage)


async def _replace(stage: Stage) -> None:
    await trio.sleep(stage.random.uniform(0, 2))
    while True:
        try:
            await _database(stage).make_replica()
        except (RuntimeError, AssertionError, trio.TooSlowError):  # a network that is parted
            await trio.sleep(1)
        else:
            return


def _database(stage: Stage) -> Database:
    assert stage.database is not None
    return stage.database


_LONG = (11.0, 25.0)
_SHORT = (0.3, 7.0)

FILE_FAULTS: Sequence[AnyFault] = (
    Fault(name="kill", begin=_kill, loses_leader=True),
    Fault(name="lose machine", begin=_lose_machine, lasts=_LONG, loses_leader=True),
    Fault(name="stop briefly", begin=_stop, lasts=_SHORT),
    Fault(name="part from scanners", lasts=_LONG,
          begin=_part(lambda stage: between(stage.leader.node, "scanners"))),
    Fault(name="scanners refuse", begin=_refuse, lasts=_SHORT),
    Fault(name="clock +2 h", begin=_step(2 * HOURS)),
    Fault(name="clock -2 h", begin=_step(-2 * HOURS)),
    Fault(name="clocks +5 min", begin=_step(300, both=True)),
    Fault(name="clocks right", begin=_step(0, both=True)),
)  # fmt: skip
"""Those that a store in files has an answer to."""

FAULTS: Sequence[AnyFault] = (
    *FILE_FAULTS,
    Fault(name="stop", begin=_stop, lasts=_LONG, loses_leader=True),
    Fault(name="stop the other", begin=partial(_stop, leader=False), lasts=_LONG),
    Fault(name="unplug", begin=_unplug, lasts=_LONG, loses_leader=True),
    Fault(name="unplug for long", begin=_unplug, lasts=(28.0, 45.0), loses_leader=True),
    Fault(name="part from database", lasts=_LONG, loses_leader=True,
          begin=_part(lambda stage: between(stage.leader.node, "db"))),
    Fault(name="part from database briefly", lasts=_SHORT,
          begin=_part(lambda stage: between(stage.leader.node, "db"))),
    Fault(name="no answers from database", lasts=_LONG, loses_leader=True,
          begin=_part(lambda stage: towards("db", stage.leader.node))),
    Fault(name="nothing reaches database", lasts=_LONG, loses_leader=True,
          begin=_part(lambda stage: towards(stage.leader.node, "db"))),
    Fault(name="part the other from database", lasts=_LONG,
          begin=_part(lambda stage: between(stage.other.node, "db"))),
    Fault(name="part both from database", lasts=_LONG,
          begin=_part(lambda _: (*between("one", "db"), *between("two", "db")))),
    Fault(name="no answers from scanners", lasts=_LONG,
          begin=_part(lambda stage: towards("scanners", stage.leader.node))),
    Fault(name="part the databases", lasts=(2.0, 15.0),
          begin=_part(lambda _: between("db1", "db2"))),
    Fault(name="part the daemons", lasts=_SHORT, begin=_part(lambda _: between("one", "two"))),
    DatabaseFault(name="database: fast restart", run=partial(_restart, how=signal.SIGINT)),
    DatabaseFault(name="database: immediate restart", run=partial(_restart, how=signal.SIGQUIT)),
    DatabaseFault(name="database: kill", run=partial(_restart, how=signal.SIGKILL)),
    DatabaseFault(name="database: freeze", run=_freeze),
    DatabaseFault(name="failover: crash", run=_crash_over),
    DatabaseFault(name="failover: planned", run=_switch_over),
    DatabaseFault(name="failover: cut off", run=_isolate_over),
    DatabaseFault(name="failover: hangs", run=_freeze_over),
)  # fmt: skip
