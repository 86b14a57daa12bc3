"""Lists tasks, newest first, in pages that stay fast at any size."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import TaskFilter, TaskPage
from nessus_sched.store.connection import Connection, Dialect, dialect_of
from nessus_sched.store.tasks.codec import casefold_for_search, decode_task

WINDOW: Final = 5000
"""Order numbers that one read scans when no index helps, so that no snapshot is held for
long."""

_BEYOND: Final = 2**63 - 1
_HIGHEST_BELOW: Final = "SELECT max(ord) FROM task WHERE ord < ?"


class Listing:
    """Gathers one page of at most `limit` tasks older than `cursor`.

    Call `step` with a connection in a read transaction until it returns False, then
    `page`. What an index narrows down takes one step; text and targets are looked for
    window by window, a step each.
    """

    def __init__(self, wanted: TaskFilter, limit: int, cursor: int | None) -> None:
        self._wanted = wanted
        self._limit = limit
        self._below = _BEYOND if cursor is None else cursor
        self._found: list[Task] = []

    def step(self, connection: Connection) -> bool:
        floor = 0
        if self._wanted.text or _judges(self._wanted):
            (highest,) = connection.execute(_HIGHEST_BELOW, (self._below,)).fetchone()
            if highest is None:
                return False
            floor = highest - WINDOW + 1
        # One more than requested shows whether there is a next page.
        missing = self._limit + 1 - len(self._found)
        self._found += _select(connection, self._wanted, missing, self._below, floor)
        self._below = floor
        return floor > 0 and len(self._found) <= self._limit

    def page(self) -> TaskPage:
        tasks = tuple(self._found[: self._limit])
        more = len(self._found) > self._limit
        return TaskPage(tasks=tasks, cursor=tasks[-1].order if more else None)


def count(connection: Connection, wanted: TaskFilter) -> int:
    """The number of matching tasks, ignoring `targets`; reads all rows the indexes leave."""
    conditions, values = _conditions(wanted, dialect_of(connection))
    if wanted.states:
        conditions += f" AND state IN ({', '.join('?' * len(wanted.states))})"
        values += sorted(wanted.states)
    sql = f"SELECT count(*) FROM task WHERE true{conditions}"  # noqa: S608 - our own texts
    (found,) = connection.execute(sql, values).fetchone()
    assert isinstance(found, int)
    return found


def _select(
    connection: Connection, wanted: TaskFilter, limit: int, below: int, floor: int
) -> list[Task]:
    """At most `limit` matching tasks with `floor` <= order < `below`, newest first."""
    conditions, values = _conditions(wanted, dialect_of(connection))
    branch = f"SELECT ord, document FROM task WHERE ord < ? AND ord >= ?{conditions}"  # noqa: S608 - our own
    bounds = [below, floor, *values]
    # SQL cannot apply our predicates, so it cannot limit the rows.
    sql_limit = _BEYOND if _judges(wanted) else limit
    if wanted.states:
        sql, states = merged_states(branch + " AND state = ?", wanted.states, descending=True)
        parameters: list[object] = []
        for state in states:
            parameters += [*bounds, state, sql_limit]
        parameters.append(sql_limit)
    else:
        sql, parameters = f"{branch} ORDER BY ord DESC LIMIT ?", [*bounds, sql_limit]
    return _matching(connection.execute(sql, parameters), wanted, limit)


def _judges(wanted: TaskFilter) -> bool:
    return wanted.targets is not None or wanted.shown is not None


def merged_states(
    branch: str, states: Iterable[TaskState], *, descending: bool
) -> tuple[str, list[TaskState]]:
    """One ordered and limited query over several states, and the states in its order.

    `branch` selects `ord` first, for one state. Each branch reads from the index in order, and
    the results are merged, so that the cost of a page does not depend on the number of tasks.
    Parameters: those of the branch and a limit for each state, then a limit.
    """
    direction = "DESC" if descending else "ASC"
    ordered = sorted(states)
    one = f"SELECT * FROM ({branch} ORDER BY ord {direction} LIMIT ?) AS one"  # noqa: S608
    return " UNION ALL ".join([one] * len(ordered)) + f" ORDER BY ord {direction} LIMIT ?", ordered


def _conditions(wanted: TaskFilter, dialect: Dialect) -> tuple[str, list[object]]:
    choices: list[tuple[str, object]] = [
        ("scanner = ?", wanted.scanner),
        ("pool = ?", wanted.pool),
        ("kind = ?", wanted.kind),
        ("priority = ?", wanted.priority),
        ("actor = ?", wanted.actor),
        ("created_at >= ?", wanted.created_from),
        ("created_at < ?", wanted.created_before),
        ("updated_at >= ?", wanted.updated_from),
        ("updated_at < ?", wanted.updated_before),
        (dialect.contains.format("words"), casefold_for_search(wanted.text) or None),
    ]
    given = [(sql, value) for sql, value in choices if value is not None]
    which = "part_of IS NULL" if wanted.part_of is None else "part_of = ?"
    values = [] if wanted.part_of is None else [wanted.part_of]
    conditions = "".join(f" AND {sql}" for sql in (which, *(sql for sql, _ in given)))
    return conditions, [*values, *(value for _, value in given)]


def _matching(rows: Iterable[tuple[int, str]], wanted: TaskFilter, limit: int) -> list[Task]:
    found: list[Task] = []
    for _, document in rows:
        if wanted.targets and not wanted.targets(json.loads(document)["request"]["targets"]):
            continue
        task = decode_task(document)
        if wanted.shown is None or wanted.shown(task):
            found.append(task)
            if len(found) == limit:
                break
    return found
