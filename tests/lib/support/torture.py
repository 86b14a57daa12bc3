"""Rounds of torture: a real daemon, killed again and again under load and faults.

A round has clients that submit over MCP and two simulated scanners that misbehave. Each
of its lives is a daemon that is killed at one moment: at a chosen step of a task's life
or at random. The last life recovers in peace; then the scanners' ledgers and the store
are held against what the clients were promised.
"""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random

import attrs
import trio

from nessus_sched.core.states import SETTLED
from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.serve import RunningSim
from nessus_sched.store.tasks.offline import read_offline
from support import hasty_daemon
from support.ambush import STEPS, Ambush, AtTime, Moment
from support.processes import START, Site, client, daemon, scanner_yaml, simulators, site
from support.submitters import Book, Submitter, resume_everything
from support.torture_attacks import attack
from support.torture_judge import all_tasks, judge, left_empty
from support.torture_weather import Weather

CLIENTS = 2
HASTY = (sys.executable, str(Path(hasty_daemon.__file__)))
PATIENCE = 8.0
"""Seconds of service after which a daemon is killed though its moment has not come."""
RECOVERY = 120.0
"""Seconds within which everything must have ended, once nothing fails any more."""


@attrs.frozen(kw_only=True)
class Outcome:
    """What a round was and what came of it; `problems` are broken promises."""

    seed: int
    problems: Sequence[str]
    counts: Counter[str]


@attrs.define(kw_only=True)
class Round:
    """One state directory, `lives` daemons of which all but the last are killed."""

    directory: Path
    seed: int
    lives: int = 6
    book: Book = attrs.field(factory=Book)
    counts: Counter[str] = attrs.field(factory=Counter)
    clients: int = 0
    """How many are connected and have something to ask."""
    attacks: bool = False
    """Others send what no client should."""

    async def run(self) -> Outcome:
        random = self._random("plan")
        options = [
            SimOptions(seed=seed, scans_take=random.uniform(0.5, 3.0), export_takes=0.1)
            for seed in (1, 2)
        ]
        limits = [random.randint(1, 3) for _ in options]
        async with simulators(*options) as sims:
            place = self._site(sims, limits)
            ambush = Ambush(self.directory / "state")
            for sim in sims:
                ambush.watch(sim.nessus)
            scanners = {
                name: (sim, limit) for name, sim, limit in zip("ab", sims, limits, strict=True)
            }
            weather = Weather(
                sims=sims, random=self._random("weather"), book=self.book, counts=self.counts
            )
            async with self._clients(place, sims):
                async with weather.blowing(), self._attackers(place):
                    for moment in self._moments(random):
                        await self._life(place, ambush, moment, random)
                await self._recover(place, scanners)
            problems, ends = judge(self.directory / "state", scanners, self.book)
            self.counts["launches"] = sum(sim.nessus.ledger.launches() for sim in sims)
        counts = self.counts + ends + self.book.seen
        counts["tasks"] = len(self.book.acknowledged)
        return Outcome(seed=self.seed, problems=problems, counts=counts)

    def _random(self, purpose: str) -> Random:
        return Random(f"{self.seed} {purpose}")

    def _site(self, sims: Sequence[RunningSim], limits: Sequence[int]) -> Site:
        scanners = [
            scanner_yaml(name, sim, limit, timeout="2s")
            for name, sim, limit in zip("ab", sims, limits, strict=True)
        ]
        return site(
            self.directory,
            scanners,
            program=HASTY,
            polling={"fastest": "0.1s", "slowest": "0.5s", "probe": "0.3s", "probe_max": "1s"},
            scheduling={"backoff_base": "1s", "backoff_max": "2s", "max_attempts": 100},
        )

    def _moments(self, random: Random) -> Sequence[Moment]:
        """Random moments, and the steps in turn, so that enough rounds have them all."""
        kills = self.lives - 1
        first = self.seed * kills
        return [
            AtTime(random.uniform(0.3, 4.0))
            if random.random() < 0.2
            else STEPS[(first + number) % len(STEPS)]
            for number in range(kills)
        ]

    async def _life(self, place: Site, ambush: Ambush, moment: Moment, random: Random) -> None:
        """One daemon from its start to its violent end."""
        with (self.directory / "daemon.log").open("ab") as log:
            async with trio.open_nursery() as nursery:
                process = await nursery.start(
                    partial(
                        trio.run_process,
                        place.argv("serve"),
                        stdout=log,
                        stderr=log,
                        env=place.environ,
                        check=False,
                    )
                )
                await self._all_connected()  # the first life is spared until then
                skip = random.choice([0, 0, 0, 1, 2])
                came = await ambush.kill(process, moment, skip, partial(patience, place))
        if process.returncode != -signal.SIGKILL:
            self.book.problems.append(f"a daemon ended by itself with {process.returncode}")
        self.counts["kills"] += 1
        self.counts[f"kill {moment}" if came else "kill at no step"] += 1

    @asynccontextmanager
    async def _clients(self, place: Site, sims: Sequence[RunningSim]) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS):
                nursery.start_soon(self._client, f"{number}", place, sims)
            yield

    @asynccontextmanager
    async def _attackers(self, place: Site) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            if self.attacks:
                nursery.start_soon(attack, place.socket, self._random("attacks"), self.counts)
            yield
            nursery.cancel_scope.cancel(reason="the attackers leave")

    async def _client(self, name: str, place: Site, sims: Sequence[RunningSim]) -> None:
        submitter = Submitter(
            name=name,
            book=self.book,
            random=self._random(f"client {name}"),
            launched=lambda: sum(sim.nessus.ledger.launches() for sim in sims),
        )
        await reachable(place)
        async with client(place, "--no-start") as tools:
            self.clients += 1
            await submitter.run(tools)
        self.clients -= 1

    async def _all_connected(self) -> None:
        with trio.fail_after(2 * START):
            while self.clients < CLIENTS:  # noqa: ASYNC110 - there is no event
                await trio.sleep(0.05)

    async def _recover(self, place: Site, scanners: Mapping[str, tuple[RunningSim, int]]) -> None:
        """A life in peace, until everything has ended and nothing lies about on the scanners;
        then a stop as usual."""
        self.book.closed = True
        async with daemon(place) as process:
            async with client(place, "--no-start") as tools:
                with trio.move_on_after(RECOVERY):
                    while self.clients or self._unsettled() or left_empty(scanners):
                        await resume_everything(tools)
                        await trio.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            if await process.wait() != 0:
                self.book.problems.append(f"the last daemon ended with {process.returncode}")

    def _unsettled(self) -> bool:
        """Some task has not ended, or its scan is still to be cleaned up."""
        with read_offline(self.directory / "state") as store:
            live = any(n for state, n in store.counts().items() if state not in SETTLED)
            return live or any(task.owed for task in all_tasks(store))


async def reachable(place: Site) -> None:
    """Returns when a daemon accepts connections."""
    while True:
        try:
            stream = await trio.open_unix_socket(str(place.socket))
        except OSError:
            await trio.sleep(0.05)
        else:
            await stream.aclose()
            return


async def patience(place: Site) -> None:
    """Ends when a daemon that has come up has been waited for long enough."""
    await reachable(place)
    await trio.sleep(PATIENCE)
