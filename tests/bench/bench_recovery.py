"""A daemon on a store with very many queued tasks, against one on an empty store.

    python tests/bench/bench_recovery.py [--tasks 100000] [--rounds 1] [--json FILE]

The promise: it is ready within 10 s, takes less than 256 MiB, and submissions take as long
as ever.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path

import attrs
import trio

sys.path.insert(0, str(Path(__file__).parents[1] / "lib"))

from support.crowd import Cost, cost

UNITS = {"tasks": "", "ready": "s", "worked": "s", "memory": "MiB", "peak": "MiB", "stop": "s"}


async def measured(tasks: int) -> Cost:
    with tempfile.TemporaryDirectory() as directory:
        return await cost(Path(directory), tasks)


def median(costs: list[Cost]) -> Cost:
    columns = zip(*map(attrs.astuple, costs), strict=True)
    names = [field.name for field in attrs.fields(Cost)]
    return Cost(**dict(zip(names, map(statistics.median, columns), strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    empty: list[Cost] = []
    full: list[Cost] = []
    for _ in range(chosen.rounds):  # in turn, so that both meet the same machine
        empty.append(trio.run(measured, 0))
        full.append(trio.run(measured, chosen.tasks))
    before, after = attrs.asdict(median(empty)), attrs.asdict(median(full))
    for name in before:
        print(f"{name:16} {before[name]:12,.2f} {after[name]:12,.2f} {UNITS.get(name, 'ms')}")
    if chosen.json:
        document = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
            "python": platform.python_version(),
            "empty": before,
            "full": after,
        }
        chosen.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
