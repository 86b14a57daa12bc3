"""A random schedule in virtual time: arrivals, scans that take a while, troubles, reloads.

Everything follows from the seed, so a failing seed tells the same story again.
"""

from __future__ import annotations

import heapq
from collections import Counter
from random import Random

from nessus_sched.core.pool.entry import QueueEntry
from nessus_sched.core.pool.scanners import ScannerSpec
from nessus_sched.core.task import Priority, ScanKind
from support.judged_pool import JudgedPool
from support.pool_model import AGEING
from support.pools import entry, spec

NAMES = ("a", "b", "c", "d")
NETWORKS = (None, None, None, "192.0.2.0/25", "192.0.2.0/24, 198.51.100.0/24")


class Story:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        specs = [self._spec(name) for name in NAMES[: self.random.randint(1, 4)]]
        self.judged = JudgedPool(specs, guard=self.random.random() < 0.8)
        self.events: list[tuple[float, int, str, str]] = []
        self.numbers = 0
        self.accepted = 0
        self.begun: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()

    def tell(self, arrivals: int) -> None:
        at = 0.0
        for _ in range(arrivals):
            at += self.random.expovariate(1 / 60)
            self._plan(at, "submit")
            if self.random.random() < 0.3:
                self._plan(at + self.random.uniform(0, 600), "trouble")
            if self.random.random() < 0.05:
                self._plan(at, "reload")
        while self.events:
            self._step()
        specs = [spec(name, 2) for name in NAMES] + [spec("other", 1, pool="other")]
        waiting = list(self.judged.model.waiting)
        running = list(self.judged.model.running)
        self.judged.finish(specs)
        self.ended.update(running)
        self.begun.update(waiting)
        self.ended.update(waiting)
        assert self.begun == self.ended
        assert len(self.ended) == self.accepted

    def _plan(self, at: float, what: str, whom: str = "") -> None:
        self.numbers += 1
        heapq.heappush(self.events, (at, self.numbers, what, whom))

    def _step(self) -> None:
        at, _, what, whom = heapq.heappop(self.events)
        deadline = self.judged.next_deadline()
        if deadline is not None and self.judged.now < deadline < at:
            self._plan(at, what, whom)
            at, what = deadline, "deadline"
        self.judged.wait(at - self.judged.now)
        {
            "submit": self._submit,
            "end": lambda: self._end(whom),
            "trouble": self._trouble,
            "reload": self._reload,
            "deadline": self._probe,
        }[what]()
        if not self.judged.refiling or self.random.random() < 0.3:
            self._drive()
        self.judged.check()
        if self.random.random() < 0.1:
            self.judged.audit()
            self.judged.check_waiting()

    def _drive(self) -> None:
        while self.judged.pool.woken:
            for started in self.judged.drive(self.random.choice(self.judged.pool.woken)):
                self._started(started)

    def _started(self, started: QueueEntry) -> None:
        self.begun[started.task_id] += 1
        took = self.random.lognormvariate(5, 1)
        self._plan(
            self.judged.now + took, "end", f"{started.task_id} {self.begun[started.task_id]}"
        )

    def _submit(self) -> None:
        self.accepted += 1
        pinned = self.random.choice([None, None, *self.judged.scanners])
        self.judged.place(
            entry(
                self.accepted,
                self._targets(),
                accepted_at=self.judged.now,
                priority=self.random.choice(list(Priority)),
                kind=self.random.choice(list(ScanKind)),
                pinned=pinned,
                pool=self.random.choice(["nessus"] * 5 + ["other"]),
            )
        )

    def _targets(self) -> str:
        first = self.random.randrange(40)
        if self.random.random() < 0.2:
            return f"192.0.2.{first}-192.0.2.{first + self.random.randrange(1, 30)}"
        return f"192.0.2.{first}"

    def _end(self, run: str) -> None:
        """That run ends, unless it was canceled meanwhile; it may fail and come again."""
        task_id, number = run.split()
        if task_id not in self.judged.model.running or self.begun[task_id] != int(number):
            return
        old = self.judged.end(task_id, finished=True)
        self.ended[task_id] += 1
        if self.random.random() < 0.1 and (old.pinned or NAMES[0]) in self.judged.scanners:
            self.judged.place(old)

    def _trouble(self) -> None:
        judged, random = self.judged, self.random
        if not judged.scanners:
            return
        each = random.choice(list(judged.scanners))
        yes = random.random() < 0.5
        random.choice(
            [
                lambda: judged.enable(each, yes),
                lambda: judged.drain(each, yes),
                lambda: judged.pause(yes and random.random() < 0.3),
                lambda: judged.report(each, random.choice([None, 1, 3]), random.randrange(3)),
                lambda: judged.hold(each, random.uniform(0, 120)),
                lambda: judged.fail(each, random.randrange(1, 7)),
                lambda: judged.answer(each),
                self._cancel,
            ]
        )()

    def _cancel(self) -> None:
        known = [*self.judged.model.waiting, *self.judged.model.running]
        if known:
            task_id = self.random.choice(known)
            self.begun[task_id] += task_id in self.judged.model.waiting
            self.ended[task_id] += 1
            self.judged.cancel(task_id)

    def _reload(self) -> None:
        wanted = [self._spec(name) for name in NAMES if self.random.random() < 0.7]
        guard = self.random.random() < 0.9
        ageing = self.random.choice([AGEING, AGEING, 0.0, 50.0])
        self.judged.reload({each.scanner_id: each for each in wanted}, guard=guard, ageing=ageing)

    def _probe(self) -> None:
        for scanner_id in self.judged.pool.scanners():
            if self.judged.pool.begin_probe(scanner_id, self.judged.now):
                self.judged.probed(scanner_id, self.random.random() < 0.6)

    def _spec(self, name: str) -> ScannerSpec:
        return spec(
            name,
            self.random.randrange(0, 5),
            self.random.choice(NETWORKS),
            pool=self.random.choice(["nessus"] * 6 + ["other"]),
            enabled=self.random.random() < 0.95,
        )
