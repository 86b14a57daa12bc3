"""Measures what nessus-sched exists for, beside what one would use instead.

    python -m tests.bench                       everything, into etc/doc/bench: ~26 minutes
    python -m tests.bench submissions parsing   some parts, shown only
    python -m tests.bench --write submissions   the same, and kept with the others' figures
    python -m tests.bench --changes v0.1.0      what differs from the figures of a revision

Each part is a process of its own and takes three minutes at most, splitting ten. Wants a quiet
machine, a few GB on disk, and for the peers `pip install -e '.[bench]'`, redis-server, beanstalkd,
postgresql and cc.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import attrs
import cattrs

ROOT = Path(__file__).parents[2]
OUT = ROOT / "etc/doc/bench"
PARTS = {
    "submissions": "submissions:measure",
    "slow_disk": "submissions:measure_slow_disk",
    "databases": "databases:measure",
    "protocol": "protocol:measure",
    "dispatch": "dispatch:measure",
    "scale": "dispatch:measure_scale",
    "splitting": "splitting:measure",
    "reads": "reads:measure",
    "findings": "findings:measure",
    "ledger": "ledger:measure",
    "startup": "startup:measure",
    "parsing": "parsing:measure",
    "calendar": "calendar:measure",
    "health": "health:measure",
}


def run_part(name: str) -> None:
    """In this process; the figures go to standard output as JSON."""
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    module, function = PARTS[name].split(":")
    found = getattr(import_module(f"tests.bench.{module}"), function)()
    print(json.dumps([attrs.asdict(figure) for figure in found]))


def measured(name: str) -> list[dict[str, object]]:
    begun = time.perf_counter()
    print(f"{name} ...", file=sys.stderr, end=" ", flush=True)
    command = [sys.executable, "-m", "tests.bench", "--in-process", name]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "tests/lib")}
    done = subprocess.run(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, check=True)
    print(f"{time.perf_counter() - begun:.0f} s", file=sys.stderr)
    found: list[dict[str, object]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--write", action="store_true", help="keep the figures of these parts")
    parser.add_argument("--changes", metavar="REVISION", help="compare with the figures of then")
    parser.add_argument("--in-process", choices=PARTS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.in_process:
        run_part(chosen.in_process)
        return
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")

    from tests.bench.changes import changes, figures_of
    from tests.bench.figures import Figure, machine
    from tests.bench.report import Part, markdown, write

    if chosen.changes:
        print("\n".join(changes(figures_of(ROOT, chosen.changes), figures_of(ROOT, None))))
        return
    for name in chosen.parts or PARTS:
        here = machine()
        part = Part(here, cattrs.structure(measured(name), list[Figure]))
        print(markdown({name: part}))
        if chosen.write or not chosen.parts:
            write(OUT, name, part)


if __name__ == "__main__":
    main()
