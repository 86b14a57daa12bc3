"""The scans that the ledger knows, which it does longer than tasks are kept."""

from __future__ import annotations

import json
import sqlite3
from typing import Final

from nessus_sched.results.ledger.logins import ScanRun

_RUNS: Final = """
SELECT r.task_id, r.at, r.hosts, l.credentials, l.full, l.partial, l.failed
FROM runs r LEFT JOIN run_logins l USING (run)
WHERE r.at >= ? AND r.at < ? ORDER BY r.at, r.task_id
"""


def read_runs(connection: sqlite3.Connection, since: int, until: int) -> list[ScanRun]:
    """Those whose last host was scanned from `since` on and before `until`, in that order."""
    return [
        ScanRun(
            task_id=task_id, at=at, hosts=hosts,
            credentials=() if credentials is None else tuple(json.loads(credentials)),
            full=full or 0, partial=partial or 0, failed=failed or 0,
        )
        for task_id, at, hosts, credentials, full, partial, failed in connection.execute(
            _RUNS, (since, until)
        )
    ]  # fmt: skip
