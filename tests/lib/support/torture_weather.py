"""What goes wrong at the scanners during a round of torture, whether the daemon lives or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random

import attrs
import trio

from nessus_sched.sim.faults import Fault, FaultKind
from nessus_sched.sim.refusals import Refusal
from nessus_sched.sim.runs import RunStatus
from nessus_sched.sim.serve import RunningSim
from support.hasty_daemon import LOST_AFTER
from support.submitters import Book
from support.torture_judge import task_of

FAULTS = (
    Fault(kind=FaultKind.RESET_BEFORE, method="POST", path="/scans"),
    Fault(kind=FaultKind.RESET_AFTER, method="POST", path="/scans"),
    Fault(kind=FaultKind.RESET_BEFORE, method="POST", path="/scans/*/launch"),
    Fault(kind=FaultKind.RESET_AFTER, method="POST", path="/scans/*/launch"),
    Fault(kind=FaultKind.RESET_AFTER, method="POST", path="/scans/*/export"),
    Fault(kind=FaultKind.STATUS, method="POST", path="/scans*", status=500),
    Fault(kind=FaultKind.STATUS, method="GET", path="/scans*", status=500),
    Fault(kind=FaultKind.STATUS, method="*", path="*", status=429, retry_after=1),
    Fault(kind=FaultKind.HANG, method="*", path="/scans*", seconds=3.0),
    Fault(kind=FaultKind.SLOW, method="POST", path="/scans*", seconds=0.5),
    Fault(kind=FaultKind.TRUNCATED, method="GET", path="/scans/*/download"),
    Fault(kind=FaultKind.RESET_AFTER, method="*", path="*", times=2),
    Fault(kind=FaultKind.HTML, method="*", path="*", times=2),
    Fault(kind=FaultKind.EMPTY, method="*", path="*", times=2),
    Fault(kind=FaultKind.TRUNCATED, method="GET", path="/scans*", clean=True, after_bytes=40),
)
STOPPABLE = frozenset({RunStatus.RUNNING, RunStatus.PAUSED})


@attrs.define(kw_only=True)
class Weather:
    """`book` is told of what people do at the scanners, `counts` of what happens."""

    sims: Sequence[RunningSim]
    random: Random
    book: Book
    counts: Counter[str]

    @asynccontextmanager
    async def blowing(self) -> AsyncIterator[None]:
        """All kinds of trouble until the end of the block, when the sky is clear again."""
        kinds: Sequence[tuple[float, Callable[[RunningSim], float]]] = (
            (2.0, self._fault),
            (20.0, self._restart),
            (20.0, self._lost),
            (15.0, self._refuses),
            (3.0, self._stopped),
        )
        async with trio.open_nursery() as nursery:
            for every, strike in kinds:
                nursery.start_soon(self._now_and_then, every, strike)
            yield
            nursery.cancel_scope.cancel(reason="the weather clears up")
        for sim in self.sims:
            sim.nessus.faults.clear()
            sim.nessus.refuses.clear()

    async def _now_and_then(self, every: float, strike: Callable[[RunningSim], float]) -> None:
        """`strike` returns the seconds for which it lasts; then refusals end."""
        while True:
            await trio.sleep(self.random.expovariate(1 / every))
            sim = self.random.choice(self.sims)
            await trio.sleep(strike(sim))
            if strike == self._refuses:
                sim.nessus.refuses.clear()

    def _fault(self, sim: RunningSim) -> float:
        fault = attrs.evolve(self.random.choice(FAULTS))
        self.counts[f"fault {fault.kind}"] += 1
        sim.nessus.faults.inject(fault)
        return 0.0

    def _restart(self, sim: RunningSim) -> float:
        self.counts["fault restart"] += 1
        sim.nessus.restart(down_seconds=self.random.uniform(0.0, 1.0))
        return 0.0

    def _lost(self, sim: RunningSim) -> float:
        """Nothing is heard of it for longer than the daemon waits; its scans run on."""
        self.counts["fault lost"] += 1
        lasts = LOST_AFTER * self.random.uniform(1.0, 3.0)
        sim.nessus.refuse(lasts)
        return lasts

    def _refuses(self, sim: RunningSim) -> float:
        refusal = self.random.choice(list(Refusal))
        self.counts["fault refusal"] += 1
        sim.nessus.refuses.add(refusal)
        return self.random.uniform(0.5, 4.0)

    def _stopped(self, sim: RunningSim) -> float:
        """Someone stops a scan on the scanner."""
        now = sim.nessus.advance()
        scans = [
            each
            for each in sim.nessus.scans.values()
            if each.latest is not None and each.latest.status in STOPPABLE
        ]
        if scans:
            scan = self.random.choice(scans)
            self.book.stopped.add(str(task_of(scan.name)))
            self.counts["fault stopped by a person"] += 1
            sim.nessus.engine.stop(scan, now)
        return 0.0
