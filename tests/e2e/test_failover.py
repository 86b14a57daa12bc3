"""Two daemons, a database with a replica and scanners on machines of their own, and faults.

A few here; `python tests/e2e/failover.py` has as many as you like, as does
NESSUS_SCHED_FAULTS=NUMBER in the environment of these tests.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import trio

from failover.clients import Promises
from failover.judge import Head, Rows, judge
from nessus_sched.sim import SimOptions, SimulatedNessus
from nessus_sched.sim.certificate import make_certificate
from nessus_sched.sim.serve import RunningSim
from support.seals import marker

COMMAND = Path(__file__).with_name("failover.py")
FAULTS = int(os.environ.get("NESSUS_SCHED_FAULTS", "3"))


async def failover(*words: str) -> tuple[int, str]:
    done = await trio.run_process(
        [sys.executable, str(COMMAND), *words],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    if (said := done.stderr.decode()).startswith("cannot be run here: "):
        pytest.skip(said.removeprefix("cannot be run here: ").strip())
    return done.returncode, done.stdout.decode() + said


@pytest.mark.slow
@pytest.mark.timeout(300 + 60 * FAULTS)
@pytest.mark.parametrize("where", [(), ("--files",)], ids=["database", "files"])
async def test_whatever_fails_nothing_is_lost_and_nothing_is_launched_twice(
    where: tuple[str, ...],
) -> None:
    code, said = await failover("--faults", str(FAULTS), *where)
    assert code == 0, said
    assert f" {FAULTS} faults, 0 broken promises" in said


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif("NESSUS_SCHED_LONG" not in os.environ, reason="a minute")
async def test_a_database_that_does_not_wait_for_its_replica_is_found_out() -> None:
    code, said = await failover("--careless", "--faults", "2", "--only", "failover: cut off")
    assert code == 1, said
    assert "and is lost" in said


LIMIT = 2


class Told(Rows):
    """Rows that are not read."""

    def __init__(self, tasks: dict[str, dict[str, Any]], hashes: dict[int, bytes]) -> None:
        super().__init__(Path())
        self._tasks, self._hashes = tasks, hashes

    def tasks(self) -> dict[str, dict[str, Any]]:
        return self._tasks

    def hashes(self) -> dict[int, bytes]:
        return self._hashes


class Round:
    """One task that went well, until a test changes that."""

    def __init__(self) -> None:
        options = SimOptions(seed=1)
        nessus = SimulatedNessus(options, now=lambda: 0.0)
        self.sim = RunningSim(url="", certificate=make_certificate("x", seed=1), nessus=nessus)
        self.promises = Promises(acknowledged={"k": "task"})
        self.tasks = {"task": {"state": "completed", "key": "k", "error": None}}
        self.hashes = {1: b"one"}
        self.launch("task", 1)

    def launch(self, task: str, attempt: int) -> int:
        name = f"scan {marker(task, attempt)}"
        self.sim.nessus.ledger.record("launch", name, at=0.0)
        return self.sim.nessus.ledger.launches()

    def problems(self) -> tuple[list[str], Counter[str]]:
        rows = Told(self.tasks, self.hashes)
        heads = [Head(seq=1, hash=b"one")]
        return judge(rows, {"east": (self.sim, LIMIT)}, self.promises, heads)


def test_the_judge_has_nothing_against_what_went_well() -> None:
    assert Round().problems() == ([], {"completed": 1})


SPOILED: Mapping[str, Callable[[Round], object]] = {
    "k was acknowledged as task and is lost": lambda r: r.tasks.clear(),
    "which is of other": lambda r: r.tasks["task"].update(key="other"),
    "k is task, and then other": lambda r: r.promises.accept("k", "other"),
    "more is a task that nobody was told of": lambda r: r.tasks.update(more=r.tasks["task"]),
    "task is dead": lambda r: r.tasks["task"].update(state="dead"),
    "task is running": lambda r: r.tasks["task"].update(state="running"),
    "task is canceled": lambda r: r.tasks["task"].update(state="canceled"),
    "task was launched 2 times": lambda r: r.launch("task", 1),
    "task was launched 3 times": lambda r: [r.launch("task", n) for n in (2, 3)],
    "was launched, and the store does not have it": lambda r: r.launch("ghost", 1),
    "was never launched": lambda r: r.sim.nessus.ledger.by_scan.clear(),
    "3 scans at once, its limit is 2": lambda r: r.sim.nessus.ledger.saw(0, LIMIT + 1),
    "entry 1 of the journal is gone": lambda r: r.hashes.clear(),
    "entry 1 of the journal has changed": lambda r: r.hashes.update({1: b"x"}),
}


@pytest.mark.parametrize("words", SPOILED)
def test_the_judge_sees_each_broken_promise(words: str) -> None:
    spoiled = Round()
    SPOILED[words](spoiled)
    problems, _ = spoiled.problems()
    assert any(words in each for each in problems), problems
