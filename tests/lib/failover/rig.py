"""A round: machines, daemons and clients, one fault after the other, and the judgment."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Final

import attrs
import trio

from failover.clients import Client, Promises
from failover.daemons import Supervised, build_clock
from failover.database import Database, database
from failover.faults import FAULTS, FILE_FAULTS, AnyFault, Fault
from failover.judge import Head, Rows, judge
from failover.moments import MOMENTS, AtAnyTime, Moment, Moments
from failover.network import address, network
from failover.processes import ended, start
from failover.stage import Stage, Trap, traps
from nessus_sched.core.clock import system_now
from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.serve import RunningSim, serve_sim
from support.processes import scanner_yaml
from support.torture_judge import left_empty

CLIENTS: Final = 3
START: Final = 90.0
AFTER: Final = 90.0
"""Seconds after the end of a fault within which someone must lead and answer."""
WARM: Final = 0.8
"""How often the other daemon is let come up again before the next fault."""


@attrs.frozen(kw_only=True)
class Options:
    """`names`, `moments`: the faults and moments to choose from, all if empty. `careless`: the
    database does not wait for its replica. `faulty`: program of the daemons, to try the judge."""

    seed: int
    faults: int = 20
    minutes: float = math.inf
    names: Sequence[str] = ()
    moments: Sequence[str] = ()
    files: bool = False
    careless: bool = False
    durable: bool = True
    recovery: float = 180.0
    """Seconds within which everything must have ended, once nothing fails any more."""
    faulty: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Struck:
    """One fault. `took_over`: seconds until another process led, None if none had to. `gap`: the
    longest time without an answer from its beginning until all was well."""

    name: str
    moment: str
    took_over: float | None
    gap: float
    loses_leader: bool
    """The other daemon was waiting, and had to take over."""
    at: float
    """Epoch seconds."""


@attrs.frozen(kw_only=True)
class Outcome:
    seed: int
    struck: Sequence[Struck]
    problems: Sequence[str]
    counts: Counter[str]

    def takeovers(self) -> list[float]:
        return [
            each.took_over
            for each in self.struck
            if each.took_over is not None and each.loses_leader
        ]


@attrs.define
class Round:
    """`directory` keeps configurations and logs. `told` gets a line after each fault."""

    directory: Path
    options: Options
    told: Callable[[str], None] = print
    promises: Promises = attrs.field(factory=Promises)
    heads: list[Head] = attrs.field(factory=list)
    struck: list[Struck] = attrs.field(factory=list)
    missed: int = 0
    """Faults whose moment did not come; they began at any time."""
    _traps: Sequence[Trap] = ()

    async def run(self) -> Outcome:
        """Leaves the main thread on the machine of the scanners."""
        random = Random(f"{self.options.seed} plan")
        limits = [random.randint(1, 3), random.randint(2, 3)]
        async with self._stage(random, limits) as stage:
            scanners = {
                name: (sim, limit)
                for (name, sim), limit in zip(stage.sims.items(), limits, strict=True)
            }
            rows = Rows(stage.database or self.directory / "state")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stage.watch)
                for each in stage.daemons.values():
                    nursery.start_soon(each.supervise, stage.network)
                await self._led_first(stage)
                async with trio.open_nursery() as clients:
                    for number in range(CLIENTS):
                        clients.start_soon(self._client(f"{number}", stage).run)
                    await self._strikes(stage, rows, random)
                    self.promises.closed = True
                await self._recover(stage, rows, scanners)
                problems, ends = judge(rows, scanners, self.promises, self.heads)
                problems += await self._verify(stage)
                nursery.cancel_scope.cancel(reason="the round is over")
            problems += [line for each in stage.daemons.values() for line in each.crashes()]
        counts = ends + self.promises.seen
        for each in stage.daemons.values():
            counts += each.ends
        counts["moments that did not come"] = self.missed
        counts["tasks"] = len(self.promises.acknowledged)
        counts["launches"] = sum(sim.nessus.ledger.launches() for sim in stage.sims.values())
        return Outcome(seed=self.options.seed, struck=self.struck, problems=problems, counts=counts)

    async def _led_first(self, stage: Stage) -> None:
        with trio.move_on_after(START) as waiting:
            await stage.led(0)
        if waiting.cancelled_caught:
            logs = [each.log.read_text()[-2000:] for each in stage.daemons.values()]
            raise RuntimeError("no daemon leads:\n" + "\n".join(logs))

    @asynccontextmanager
    async def _stage(self, random: Random, limits: Sequence[int]) -> AsyncIterator[Stage]:
        async with AsyncExitStack() as stack:
            net = stack.enter_context(network())
            base: Database | None = None
            if not self.options.files:
                base = await stack.enter_async_context(
                    database(
                        net,
                        synchronous=not self.options.careless,
                        durable=self.options.durable,
                    )
                )
            net.enter("scanners")
            nursery = await stack.enter_async_context(trio.open_nursery())
            sims: dict[str, RunningSim] = {}
            for name, seed in (("east", 1), ("west", 2)):
                sims[name] = await nursery.start(
                    serve_sim,
                    SimOptions(
                        host=address("scanners"),
                        seed=seed,
                        scans_take=random.uniform(0.5, 2.5),
                        export_takes=0.1,
                    ),
                )
            self._traps = traps(list(sims.values()))
            config = self._config(random, sims, limits, base)
            daemons = await self._daemons(config)
            yield Stage(net, base, daemons, sims, random, daemons["one"])
            nursery.cancel_scope.cancel(reason="the round is over")

    def _config(
        self,
        random: Random,
        sims: Mapping[str, RunningSim],
        limits: Sequence[int],
        base: Database | None,
    ) -> dict[str, Any]:
        store = {} if base is None else {"store": base.url(address_moves=random.random() < 0.5)}
        return {
            **store,
            "targets": {"allow": ["192.0.2.0/24"]},
            "polling": {"fastest": "0.1s", "slowest": "0.5s", "probe": "0.3s", "probe_max": "1s"},
            "scheduling": {"backoff_base": "1s", "backoff_max": "2s", "max_attempts": 100},
            "scanners": [
                scanner_yaml(name, sim, limit, timeout="2s")
                for (name, sim), limit in zip(sims.items(), limits, strict=True)
            ],
        }

    async def _daemons(self, config: dict[str, Any]) -> dict[str, Supervised]:
        clock = await build_clock(self.directory)
        made: dict[str, Supervised] = {}
        for number, node in enumerate(("one", "two")):
            state = self.directory / ("state" if self.options.files else f"state-{node}")
            made[node] = Supervised(
                node=node,
                directory=self.directory / node,
                config={**config, "state_directory": str(state)},
                clock=clock,
                uptime=1_000_000 * number,
                faulty=self.options.faulty,
            )
            made[node].write()
        return made

    def _client(self, name: str, stage: Stage) -> Client:
        return Client(
            name=name,
            sockets=[each.socket for each in stage.daemons.values()],
            promises=self.promises,
            random=Random(f"{self.options.seed} client {name}"),
            launched=lambda: sum(sim.nessus.ledger.launches() for sim in stage.sims.values()),
        )

    async def _strikes(self, stage: Stage, rows: Rows, random: Random) -> None:
        known = FILE_FAULTS if self.options.files else FAULTS
        chosen = [
            each for each in known if not self.options.names or each.name in self.options.names
        ]
        end = trio.current_time() + 60 * self.options.minutes
        while len(self.struck) < self.options.faults and trio.current_time() < end:
            await trio.sleep(random.uniform(1, 4))
            if random.random() < WARM and not self.options.files:
                with trio.move_on_after(AFTER):
                    while not await stage.warm():  # noqa: ASYNC110 - asked over the network
                        await trio.sleep(0.5)
            self._note_head(stage, rows)
            several = 1 if random.random() < 0.75 else random.randint(2, 3)
            await self._strike(stage, [random.choice(chosen) for _ in range(several)], random)

    async def _strike(self, stage: Stage, faults: Sequence[AnyFault], random: Random) -> None:
        wanted = self.options.moments or list(map(str, MOMENTS))
        moment = random.choice([each for each in MOMENTS if str(each) in wanted])
        moments = Moments(self._traps, stage.database, random)
        before, warm = stage.identity(), await stage.warm()
        begun: list[float] = []
        async with trio.open_nursery() as nursery:
            for number, fault in enumerate(faults):
                delay = 0.0 if number == 0 else random.uniform(0, 4)
                at = moment if number == 0 else AtAnyTime()
                nursery.start_soon(self._one, stage, fault, delay, moments, at, begun)
        healed = trio.current_time()
        name = " + ".join(each.name for each in faults)
        with trio.move_on_after(AFTER) as waiting:
            await stage.led(healed)
            while self._answered(healed) == math.inf:  # noqa: ASYNC110 - clients note it
                await trio.sleep(0.1)
        if waiting.cancelled_caught:
            self.promises.problems.append(f"nobody answers {AFTER:.0f} s after {name}")
        since = min(begun)
        replaced = stage.identity() != before
        took = stage.first_ready(since, but=before) - since if replaced else None
        self.struck.append(
            Struck(
                name=name,
                moment=str(moment),
                took_over=took,
                gap=self._silence(since),
                at=system_now() + since - trio.current_time(),
                loses_leader=warm and len(faults) == 1 and faults[0].loses_leader,
            )
        )
        self.told(describe(self.struck[-1], self.promises))

    async def _one(
        self,
        stage: Stage,
        fault: AnyFault,
        delay: float,
        moments: Moments,
        moment: Moment,
        begun: list[float],
    ) -> None:
        await trio.sleep(delay)
        if not isinstance(fault, Fault):
            begun.append(trio.current_time())
            await fault.run(stage)
            return
        undo: list[Callable[[], None]] = []

        def spring() -> None:
            if not undo:
                begun.append(trio.current_time())
                undo.append(fault.begin(stage))

        if not await moments.wait(moment, spring):
            self.missed += 1
        try:
            await trio.sleep(stage.random.uniform(*fault.lasts))
        finally:
            undo[0]()

    def _answered(self, since: float) -> float:
        """When the first request was answered that was sent after `since`."""
        times = self.promises.times
        return min((answer for sent, answer in times if sent >= since), default=math.inf)

    def _silence(self, since: float) -> float:
        """The longest time from `since` to now in which no request was answered."""
        answers = sorted(answer for _, answer in self.promises.times if answer >= since)
        return max((b - a for a, b in pairwise([since, *answers])), default=math.inf)

    def _note_head(self, stage: Stage, rows: Rows) -> None:
        """What is in the journal now must stay, unless the replica does not have it yet."""
        if stage.database is None:
            self.heads.append(rows.head())
            return
        head = rows.head()
        if stage.database.has_everything():
            self.heads.append(head)

    async def _recover(
        self,
        stage: Stage,
        rows: Rows,
        scanners: Mapping[str, tuple[RunningSim, int]],
    ) -> None:
        with trio.move_on_after(self.options.recovery):
            while rows.unfinished() or rows.owed() or left_empty(scanners):  # noqa: ASYNC110
                await trio.sleep(0.3)

    async def _verify(self, stage: Stage) -> list[str]:
        """The program's own check of the journal, on both machines."""
        problems = []
        for each in stage.daemons.values():
            log = each.directory / "verify.log"
            process = start(each.command(stage.network, "journal", "verify"), log)
            if await ended(process):
                problems.append(f"journal verify on {each.node}: {log.read_text()}")
        return problems


def describe(struck: Struck, promises: Promises) -> str:
    took = "same leader" if struck.took_over is None else f"new leader in {struck.took_over:.1f} s"
    at = f" {struck.moment}" if struck.moment else ""
    clock = datetime.fromtimestamp(struck.at, UTC).strftime("%H:%M:%S.%f")[:-5]
    told = f"{len(promises.acknowledged)} tasks, {len(promises.problems)} broken promises"
    return f"{clock} {struck.name}{at}: {took}, {struck.gap:.1f} s without an answer; {told}"


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """Lines for people: times by fault, and totals."""
    by_name: dict[str, list[Struck]] = {}
    for outcome in outcomes:
        for each in outcome.struck:
            by_name.setdefault(each.name if "+" not in each.name else "several", []).append(each)
    lines = [f"{'fault':32} {'times':>5} {'new leader':>10} {'median':>7} {'worst':>7} {'gap':>7}"]
    for name, struck in sorted(by_name.items()):
        took = [each.took_over for each in struck if each.took_over is not None]
        median = f"{statistics.median(took):.1f}" if took else ""
        worst = f"{max(took):.1f}" if took else ""
        gap = max(each.gap for each in struck)
        lines.append(f"{name:32} {len(struck):5} {len(took):10} {median:>7} {worst:>7} {gap:7.1f}")
    takeovers = [each for outcome in outcomes for each in outcome.takeovers()]
    if takeovers:
        lines.append(
            f"leader lost {len(takeovers)} times: replaced in {statistics.median(takeovers):.1f} s "
            f"(median), {max(takeovers):.1f} s (worst)"
        )
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total += outcome.counts
    lines += [f"{number:7} {name}" for name, number in sorted(total.items())]
    return lines
