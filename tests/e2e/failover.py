"""Two daemons, a database with a replica and scanners on machines of their own, and faults.

    python tests/e2e/failover.py [--faults 20] [--minutes 60] [--seed 1] [--files]
                                 [--only FAULT]... [--at MOMENT]...

Needs root, iproute2, a C compiler, and Debian's PostgreSQL. Every fault prints a line; if a promise
was broken, the directory with the logs is kept and the exit code is 1. The same seed has the same
plan; what the machine makes of it differs.
"""

from __future__ import annotations

import argparse
import math
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

import trio

sys.path.insert(0, str(Path(__file__).parents[1] / "lib"))

from failover import database, network
from failover.faults import FAULTS
from failover.moments import MOMENTS
from failover.rig import Options, Outcome, Round, summary


def lacking(chosen: argparse.Namespace) -> str | None:
    """Why this cannot be run here."""
    if shutil.which("cc") is None:
        return "needs a C compiler, for clocks"
    return network.lacking() or (None if chosen.files else database.lacking())


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--faults", type=int, default=20, help="how many, one after the other")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no fault later")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", metavar="NAME", help="choose from these faults",
                        choices=[each.name for each in FAULTS])  # fmt: skip
    parser.add_argument("--at", action="append", metavar="MOMENT", help="choose from these moments",
                        choices=sorted({str(each) for each in MOMENTS}))  # fmt: skip
    parser.add_argument("--files", action="store_true",
                        help="no database: daemons share a directory, so one runs")  # fmt: skip
    parser.add_argument("--careless", action="store_true",
                        help="the database does not wait for its replica: loses tasks")  # fmt: skip
    parser.add_argument("--no-sync", action="store_true", help="spare the disk")
    parser.add_argument("--faulty", metavar="FAULT", help="break the daemons on purpose")
    parser.add_argument("--check", action="store_true", help="only say what is missing here")
    return parser.parse_args()


def main() -> None:
    chosen = parsed()
    if (reason := lacking(chosen)) is not None:
        sys.exit(f"cannot be run here: {reason}")
    if chosen.check:
        return
    signal.signal(signal.SIGTERM, _interrupt)
    faulty = Path(database.__file__).with_name("faulty_daemon.py")
    options = Options(
        seed=chosen.seed,
        faults=chosen.faults,
        minutes=chosen.minutes,
        names=chosen.only or (),
        moments=chosen.at or (),
        files=chosen.files,
        careless=chosen.careless,
        recovery=40.0 if chosen.careless else 180.0,  # what was lost is not waited for
        durable=not chosen.no_sync,
        faulty=(str(faulty), chosen.faulty) if chosen.faulty else (),
    )
    directory = Path(tempfile.mkdtemp(prefix=f"failover-{chosen.seed}-"))
    outcome = trio.run(Round(directory, options, told=_tell).run)
    _report(outcome, directory)
    sys.exit(bool(outcome.problems))


def _report(outcome: Outcome, directory: Path) -> None:
    print("\n".join(summary([outcome])))
    print(f"seed {outcome.seed}: {len(outcome.struck)} faults, "
          f"{len(outcome.problems)} broken promises")  # fmt: skip
    for problem in outcome.problems:
        print(f"    {problem}")
    if outcome.problems:
        print(f"    see {directory}")
    else:
        shutil.rmtree(directory)


def _tell(line: str) -> None:
    print(line, flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
