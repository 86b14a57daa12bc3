"""The program with one of its safeguards removed, to see whether the judge notices.

python tests/lib/failover/faulty_daemon.py SAFEGUARD serve ...
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final


def without_fence() -> None:
    """Every session may write, also one that was replaced."""
    from nessus_sched.store.postgres import engine

    unchecked = "UPDATE writer SET batch = CASE WHEN ? >= 0 AND ? >= 0 THEN batch + 1 END"
    vars(engine)["_FENCE"] = unchecked


def without_lease() -> None:
    """A daemon that has not heard of its store goes on with its scanners, and one that takes over
    does not wait for it."""
    from nessus_sched.core.leading.lease import Lease

    def always(_lease: Any) -> bool:
        return True

    def nothing(_lease: Any, _longest: float) -> float:
        return 0.0

    vars_of: Any = Lease
    vars_of.held = property(always)
    vars_of.unsettled_for = nothing


def without_markers() -> None:
    """A scan that was created before is not found again."""
    from nessus_sched.nessus import client

    async def none(_client: Any, *_args: Any, **_kwargs: Any) -> list[Any]:
        return []

    found: Any = client.NessusScanner
    found.list_scans = none


def without_anything() -> None:
    """Nobody can be ended or fenced off, and everybody may lead."""
    from nessus_sched.store.postgres import leading
    from nessus_sched.store.postgres.engine import PostgresEngine

    without_fence()
    without_lease()
    vars(leading)["_END"] = "SELECT ?::int[], ?::bigint, ?::bigint"
    vars(leading)["_TRY"] = "SELECT ?::bigint + ?::bigint IS NOT NULL"

    def nothing(_engine: Any, _connection: Any) -> None:
        pass

    found: Any = PostgresEngine
    found._lock = nothing


SAFEGUARDS: Final[Mapping[str, Callable[[], None]]] = {
    "fence": without_fence,
    "lease": without_lease,
    "markers": without_markers,
    "anything": without_anything,
}


def main() -> None:
    SAFEGUARDS[sys.argv.pop(1)]()
    from nessus_sched.__main__ import main as program

    sys.exit(program())


if __name__ == "__main__":
    main()
