"""kill -9 at the steps of tasks' lives: nothing lost, nothing twice, nothing left behind.

A short round here; `python tests/e2e/torture.py` is the same for as long as you like, as
is NESSUS_SCHED_TORTURE=ROUNDS in the environment of this test.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.torture import Round

ROUNDS = int(os.environ.get("NESSUS_SCHED_TORTURE", "1"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(1, ROUNDS + 1))
async def test_nothing_is_lost_nothing_runs_twice_and_nothing_is_left_behind(
    tmp_path: Path, seed: int
) -> None:
    outcome = await Round(directory=tmp_path, seed=seed, lives=5, attacks=True).run()
    assert not outcome.problems, f"seed {seed}, {tmp_path}"
    assert outcome.counts["kills"] == 4
    assert outcome.counts["tasks"] > 0
