"""What must be true after a round, by the scanners, the rows of the store, and the promises.

Reads the store's tables by itself. Nobody but the daemons makes scans here, and no scan fails, so a
task is launched once in all, whatever happens to daemons, database and network.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import psycopg

from failover.clients import Promises
from failover.database import DATABASE, Database
from nessus_sched.sim.serve import RunningSim
from support.torture_judge import MARKER, left_empty, task_of

ENDED = frozenset({"completed", "partial", "canceled", "timed_out", "dead"})


@attrs.frozen(kw_only=True)
class Head:
    """The last entry of the journal at some time."""

    seq: int
    hash: bytes


class Rows:
    """Reads tables of the task store, in a database or else in a directory."""

    def __init__(self, where: Database | Path) -> None:
        self._where = where

    def tasks(self) -> dict[str, dict[str, Any]]:
        """State, key and latest error by id."""
        rows = self._read("SELECT task_id, state, document FROM task")
        found = {}
        for task_id, state, text in rows:
            document = json.loads(text)
            key, error = document.get("idempotency_key"), document.get("last_error")
            found[task_id] = {"state": state, "key": key, "error": error}
        return found

    def unfinished(self) -> int:
        return sum(each["state"] not in ENDED for each in self.tasks().values())

    def owed(self) -> int:
        """Tasks whose scans are still to be cleaned up."""
        return int(self._read("SELECT count(*) FROM task WHERE owed > 0")[0][0])

    def head(self) -> Head:
        seq, found = self._read("SELECT head_seq, head_hash FROM chain")[0]
        return Head(seq=seq, hash=bytes(found))

    def hashes(self) -> dict[int, bytes]:
        return {seq: bytes(found) for seq, found in self._read("SELECT seq, hash FROM journal")}

    def _read(self, sql: str) -> list[tuple[Any, ...]]:
        if isinstance(self._where, Path):
            connection = sqlite3.connect(f"file:{self._where / 'tasks.db'}?mode=ro", uri=True)
            try:
                return connection.execute(sql).fetchall()
            finally:
                connection.close()
        given = f"host={self._where.primary.directory} user=postgres dbname={DATABASE}"
        options = "-c search_path=nessus_sched -c statement_timeout=20000"
        with psycopg.connect(given, connect_timeout=5, options=options) as reading:
            return reading.execute(sql.encode()).fetchall()


def judge(
    rows: Rows,
    scanners: Mapping[str, tuple[RunningSim, int]],
    promises: Promises,
    heads: Sequence[Head],
) -> tuple[list[str], Counter[str]]:
    """The promises that were broken, and how the tasks ended. `scanners` are simulators with their
    limits; `heads` were seen when every commit was safe."""
    tasks = rows.tasks()
    problems = [*promises.problems, *_lost(tasks, promises)]
    problems += _ended_badly(tasks, promises)
    problems += _launched(tasks, scanners)
    for name, (sim, limit) in scanners.items():
        most = sim.nessus.ledger.max_unfinished
        if most > limit:
            problems.append(f"{name}: {most} scans at once, its limit is {limit}")
    problems += left_empty(scanners)
    problems += _rewritten(rows.hashes(), heads)
    return problems, Counter(each["state"] for each in tasks.values())


def _lost(tasks: Mapping[str, Mapping[str, Any]], promises: Promises) -> Iterator[str]:
    """In the end every submission was acknowledged, so both sides must have the same."""
    for key, task_id in promises.acknowledged.items():
        if task_id not in tasks:
            yield f"{key} was acknowledged as {task_id} and is lost"
        elif (found := tasks[task_id]["key"]) != key:
            yield f"{key} was acknowledged as {task_id}, which is of {found}"
    for task_id in sorted(tasks.keys() - set(promises.acknowledged.values())):
        yield f"{task_id} is a task that nobody was told of"


def _ended_badly(tasks: Mapping[str, Mapping[str, Any]], promises: Promises) -> Iterator[str]:
    for task_id, task in tasks.items():
        good = {"completed", "canceled"} if task_id in promises.cancel_asked else {"completed"}
        if task["state"] not in good:
            yield f"{task_id} is {task['state']}: {task['error']}"


def _launched(
    tasks: Mapping[str, Mapping[str, Any]], scanners: Mapping[str, tuple[RunningSim, int]]
) -> Iterator[str]:
    """Each task once, by all scanners together."""
    launches: Counter[str] = Counter()
    for sim, _ in scanners.values():
        for name, count in sim.nessus.ledger.of("launch").items():
            launches[task_of(name) or name] += count
    for task_id, count in launches.items():
        if count > 1:
            yield f"{task_id} was launched {count} times"
        if task_id not in tasks:
            yield f"{task_id} was launched, and the store does not have it"
    for task_id, task in tasks.items():
        if task["state"] == "completed" and launches[task_id] == 0:
            yield f"{task_id} is completed and was never launched"
    there = Counter(
        found[0]
        for sim, _ in scanners.values()
        for scan in sim.nessus.scans.values()
        if (found := MARKER.search(scan.name)) is not None
    )
    yield from (f"there {count} times: {marker}" for marker, count in there.items() if count > 1)


def _rewritten(hashes: Mapping[int, bytes], heads: Sequence[Head]) -> Iterator[str]:
    for head in heads:
        found = hashes.get(head.seq)
        if found != head.hash:
            what = "is gone" if found is None else "has changed"
            yield f"entry {head.seq} of the journal {what}"
