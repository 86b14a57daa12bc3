"""Random histories of a pool against the model: nothing lost, nothing twice, in order."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from nessus_sched.core.pool import refiling
from nessus_sched.core.pool.scanners import ScannerSpec
from nessus_sched.core.task import Priority
from support.judged_pool import JudgedPool
from support.pool_model import AGEING
from support.pools import entry, spec

IDS = ("a", "b", "c")
SCANNERS = st.sampled_from(IDS)
TARGETS = st.sampled_from(
    [f"192.0.2.{n}" for n in range(6)]
    + ["192.0.2.0/30", "192.0.2.3-192.0.2.9", "198.51.100.1", "192.0.2.4/31, 198.51.100.0/31"]
)
SPECS = st.tuples(
    st.integers(0, 3),
    st.sampled_from(["nessus", "nessus", "other"]),
    st.sampled_from([None, None, "192.0.2.0/24", "198.51.100.0/24"]),
    st.booleans() | st.just(True),
)


TROUBLES = st.one_of(
    st.builds(lambda value: lambda pool, each: pool.enable(each, value), st.booleans()),
    st.builds(lambda value: lambda pool, each: pool.drain(each, value), st.booleans()),
    st.builds(lambda value: lambda pool, each: pool.pause(value), st.booleans()),
    st.builds(
        lambda most, foreign: lambda pool, each: pool.report(each, most, foreign),
        st.none() | st.integers(0, 4),
        st.integers(0, 3),
    ),
    st.builds(lambda seconds: lambda pool, each: pool.hold(each, seconds), st.floats(0.0, 50.0)),
    st.builds(lambda times: lambda pool, each: pool.fail(each, times), st.integers(1, 6)),
    st.just(JudgedPool.answer),
)


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other things happen in the midst of a reload."""
    monkeypatch.setattr(refiling, "PATIENCE", 2 * refiling.EACH)


class PoolMachine(RuleBasedStateMachine):
    tasks = Bundle("tasks")

    @initialize(guard=st.booleans() | st.just(True), limits=st.tuples(*[st.integers(1, 3)] * 2))
    def start(self, guard: bool, limits: tuple[int, int]) -> None:
        specs = [spec(name, limit) for name, limit in zip(IDS, limits, strict=False)]
        self.judged = JudgedPool(specs, guard=guard)
        self.accepted = 0

    @rule(
        target=tasks,
        where=st.lists(TARGETS, min_size=1, max_size=5),
        priority=st.sampled_from(Priority),
        pinned=st.none() | SCANNERS,
        group=st.sampled_from(["nessus", "nessus", "other"]),
    )
    def submit(
        self, where: list[str], priority: Priority, pinned: str | None, group: str
    ) -> MultipleResults[str]:
        judged = self.judged
        if pinned not in judged.scanners:
            pinned = None
        changes = {"accepted_at": judged.now, "priority": priority, "pool": group}
        new = []
        for targets in where:
            self.accepted += 1
            new.append(entry(self.accepted, targets, pinned=pinned, **changes))
            judged.place(new[-1])
        return multiple(*(each.task_id for each in new))

    @rule(audit=st.booleans())
    def drive(self, audit: bool) -> None:
        for scanner_id in dict.fromkeys(self.judged.pool.woken):
            self.judged.drive(scanner_id)
        if audit:
            self.judged.audit()

    @rule(task=tasks, finished=st.booleans(), again=st.booleans())
    def end(self, task: str, finished: bool, again: bool) -> None:
        if task in self.judged.model.running:
            old = self.judged.end(task, finished=finished)
            if again and (old.pinned is None or old.pinned in self.judged.scanners):
                self.judged.place(old)

    @rule(task=tasks)
    def cancel(self, task: str) -> None:
        self.judged.cancel(task)

    @rule(target=tasks, scanner=SCANNERS, where=TARGETS)
    def adopt(self, scanner: str, where: str) -> MultipleResults[str] | str:
        if scanner not in self.judged.scanners:
            return multiple()
        self.accepted += 1
        found = entry(self.accepted, where, accepted_at=self.judged.now)
        self.judged.adopt(scanner, found)
        return found.task_id

    @rule(seconds=st.floats(0.0, 40.0) | st.floats(0.0, 2000.0))
    def wait(self, seconds: float) -> None:
        self.judged.wait(seconds)

    @rule(scanner=SCANNERS, trouble=TROUBLES)
    def trouble(self, scanner: str, trouble: Callable[[JudgedPool, str], None]) -> None:
        if scanner in self.judged.scanners:
            trouble(self.judged, scanner)

    @rule(
        specs=st.tuples(*[st.none() | SPECS] * 3),
        guard=st.booleans() | st.just(True),
        ageing=st.sampled_from([AGEING, AGEING, 0.0, 50.0]),
    )
    def reload(self, specs: tuple[object, ...], guard: bool, ageing: float) -> None:
        wanted = {
            name: ScannerSpec(
                scanner_id=name,
                limit=given[0],
                pool=given[1],
                networks=spec(name, 0, given[2]).networks,
                enabled=given[3],
            )
            for name, given in zip(IDS, specs, strict=True)
            if isinstance(given, tuple)
        }
        self.judged.reload(wanted, guard=guard, ageing=ageing)

    @invariant()
    def holds(self) -> None:
        self.judged.check()
        self.judged.check_waiting()

    def teardown(self) -> None:
        if hasattr(self, "judged"):
            self.judged.finish([*(spec(name, 2) for name in IDS), spec("d", 1, pool="other")])


PoolMachine.TestCase.settings = settings(
    max_examples=200,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
test_any_history_of_a_pool = pytest.mark.slow(PoolMachine.TestCase)
