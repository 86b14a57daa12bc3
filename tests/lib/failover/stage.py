"""What faults act on, and who leads there as seen from outside."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from random import Random
from typing import Final

import attrs
import trio

from failover.daemons import Supervised, status_of
from failover.database import Database
from failover.network import Network
from nessus_sched.sim.faults import Fault, Faults
from nessus_sched.sim.serve import RunningSim

LOOK: Final = 0.2
"""Seconds between two looks at the daemons."""

Process = tuple[str, int]
"""The machine of a daemon, and its process id."""


@attrs.frozen
class Seen:
    """At `at`, by the clock of Trio, these processes said that they lead and take work."""

    at: float
    ready: frozenset[Process]


@attrs.define(eq=False)
class Stage:
    """`database` is None where both daemons share a file. `leader` is the one that was ready
    last."""

    network: Network
    database: Database | None
    daemons: Mapping[str, Supervised]
    sims: Mapping[str, RunningSim]
    random: Random
    leader: Supervised
    seen: list[Seen] = attrs.field(factory=list)
    database_busy: trio.Lock = attrs.field(factory=trio.Lock)
    """Held while the database is down, moved or copied."""

    @property
    def other(self) -> Supervised:
        return next(each for each in self.daemons.values() if each is not self.leader)

    async def watch(self) -> None:
        """For ever: who is ready."""
        while True:
            ready: set[Process] = set()

            async def look(daemon: Supervised, ready: set[Process] = ready) -> None:
                process = daemon.process
                if await daemon.ready(self.network) and process is not None:
                    ready.add((daemon.node, process.pid))

            async with trio.open_nursery() as nursery:
                for each in self.daemons.values():
                    nursery.start_soon(look, each)
            self.seen.append(Seen(trio.current_time(), frozenset(ready)))
            if len(ready) == 1:
                ((node, _),) = ready
                self.leader = self.daemons[node]
            await trio.sleep(LOOK)

    def identity(self) -> Process:
        """Of the leader's process."""
        process = self.leader.process
        return self.leader.node, -1 if process is None else process.pid

    def first_ready(self, since: float, *, but: Process | None = None) -> float:
        """When somebody (else) was ready first after `since`; infinite if nobody was yet."""
        for each in self.seen:
            if each.at >= since and each.ready - {but}:
                return each.at
        return math.inf

    async def warm(self) -> bool:
        """Whether the daemon that does not lead is up and waits."""
        other = self.other
        if other.stopped or other.process is None or await other.ready(self.network):
            return False
        return await status_of(self.network, other.node, "/health") == 200

    async def led(self, since: float) -> None:
        """Returns when someone is ready, and was at the look before as well."""
        while True:
            latest = [each for each in self.seen[-2:] if each.at >= since]
            if len(latest) == 2 and latest[0].ready & latest[1].ready:
                return
            await trio.sleep(LOOK)


class Trap(Faults):
    """The faults of a scanner, which are asked about every request: when the one that is waited
    for has arrived, and before it has any effect, `spring` is called."""

    def __init__(self) -> None:
        super().__init__()
        self._armed: tuple[str, str, Callable[[], None]] | None = None

    def arm(self, method: str, path: str, spring: Callable[[], None]) -> None:
        self._armed = method, path, spring

    def disarm(self) -> None:
        self._armed = None

    def for_request(self, method: str, path: str) -> Fault | None:
        if self._armed is not None:
            wanted, pattern, spring = self._armed
            if method == wanted and fnmatchcase(path, pattern):
                self._armed = None
                spring()
        return super().for_request(method, path)


def traps(sims: Sequence[RunningSim]) -> list[Trap]:
    """Set up on these scanners."""
    made = [Trap() for _ in sims]
    for sim, trap in zip(sims, made, strict=True):
        sim.nessus.faults = trap
    return made
