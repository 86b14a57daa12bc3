"""Kill the daemon at every step of a task's life, under load and faults, for many rounds.

    python tests/e2e/torture.py [--rounds 50] [--minutes 60] [--seed 1] [--jobs 2] [--lives 8]
                                [--attacks] [--keep DIR]

Each round prints a line; one that breaks a promise prints it, keeps its directory and makes
the exit code 1. The same seed has the same plan; what the machine makes of it differs.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parents[1] / "lib"))

from support.torture import Outcome, Round


async def rounds(chosen: argparse.Namespace, root: Path) -> list[Outcome]:
    """No round begins after the chosen time."""
    outcomes: list[Outcome] = []
    seeds = iter(range(chosen.seed, chosen.seed + chosen.rounds))
    end = trio.current_time() + 60 * chosen.minutes

    async def some() -> None:
        for seed in seeds:
            if trio.current_time() >= end:
                return
            directory = root / str(seed)
            directory.mkdir()
            outcome = await Round(
                directory=directory, seed=seed, lives=chosen.lives, attacks=chosen.attacks
            ).run()
            outcomes.append(outcome)
            report(outcome, directory)

    async with trio.open_nursery() as nursery:
        for _ in range(chosen.jobs):
            nursery.start_soon(some)
    return outcomes


def report(outcome: Outcome, directory: Path) -> None:
    counts = outcome.counts
    told = ", ".join(f"{counts[name]} {name}" for name in ("kills", "tasks", "launches"))
    print(f"seed {outcome.seed}: {told}, {len(outcome.problems)} broken promises", flush=True)
    for problem in outcome.problems:
        print(f"    {problem}", flush=True)
    if outcome.problems:
        print(f"    see {directory}", flush=True)
    else:
        shutil.rmtree(directory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no round later")
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--jobs", type=int, default=2, help="rounds at the same time")
    parser.add_argument("--lives", type=int, default=8, help="daemons a round")
    parser.add_argument("--attacks", action="store_true", help="hostile clients as well")
    parser.add_argument("--keep", type=Path, help="where the directories of rounds are")
    chosen = parser.parse_args()
    root = chosen.keep or Path(tempfile.mkdtemp(prefix="torture-"))
    root.mkdir(parents=True, exist_ok=True)
    outcomes = trio.run(rounds, chosen, root)
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total += outcome.counts
    for name, number in sorted(total.items()):
        print(f"{number:7} {name}")
    sys.exit(any(outcome.problems for outcome in outcomes))


if __name__ == "__main__":
    main()
