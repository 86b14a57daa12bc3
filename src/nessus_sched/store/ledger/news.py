"""Reads what the scans of some tasks have changed (synchronous, within one snapshot)."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import attrs

from nessus_sched.core.exceptions.rule import ExceptionKind
from nessus_sched.core.targets.scope import Rules
from nessus_sched.results.ledger.news import News, NewsGroup, NewsQuery
from nessus_sched.results.ledger.questions import Change
from nessus_sched.results.ledger.states import State
from nessus_sched.results.model import NO_SEVERITY, severity_name
from nessus_sched.store.findings.sql import Clause, join
from nessus_sched.store.ledger.addresses import within
from nessus_sched.store.ledger.excepted import EXCEPTED
from nessus_sched.store.ledger.schema import FIRST_SCAN

_RUNS: Final = "(SELECT run FROM runs WHERE task_id IN (SELECT value FROM json_each(:tasks)))"
_BEGIN: Final = f"""
SELECT min(coalesce((SELECT min(at) FROM tries t WHERE t.run = r.run), r.at - 30 * 86400))
FROM runs r WHERE r.run IN {_RUNS}"""
"""No host of a scan was scanned before the scan began."""
_BASELINE: Final = "baseline"
_CHANGE: Final = f"""CASE
  WHEN e.first_run IN {_RUNS} AND e.state = {State.FIXED:d} THEN NULL
  WHEN e.first_run IN {_RUNS} AND e.cause = {FIRST_SCAN} THEN '{_BASELINE}'
  WHEN e.state = {State.FIXED:d} AND e.since >= :begin AND e.last_run IN {_RUNS} THEN 'fixed'
  WHEN e.unverified_since >= :begin AND m.tried_run IN {_RUNS} THEN 'unverified'
  WHEN e.state = {State.RESURFACED:d} AND e.since >= :begin AND e.last_run IN {_RUNS}
    THEN 'resurfaced'
  WHEN e.first_run IN {_RUNS} THEN 'new' END"""
_SEVERITY: Final = "coalesce(x.severity, e.severity)"
_NEWS: Final = f"""
SELECT {_CHANGE} AS change, e.plugin, {_SEVERITY}, e.machine, m.name, m.address, e.first_seen
FROM entries e INDEXED BY entries_by_change JOIN machines m USING (machine)
{{excepted}}
WHERE e.changed >= :begin AND e.severity <> 0 AND (x.number IS NULL OR x.kind = :rated)
  AND ({_SEVERITY} >= :least OR {_SEVERITY} = {NO_SEVERITY})
  AND {{region}} AND change IS NOT NULL"""


@attrs.define
class _Group:
    """The findings of a plugin that changed alike; `hosts` are names by address and machine."""

    severity: int
    first_seen: float
    hosts: dict[tuple[bytes, str, int], None] = attrs.field(factory=dict)


def read_news(connection: sqlite3.Connection, query: NewsQuery) -> News:
    values: dict[str, Any] = {
        "tasks": json.dumps(query.task_ids),
        "least": query.least_severity,
        "rated": ExceptionKind.SEVERITY.value,
    }
    (values["begin"],) = connection.execute(_BEGIN, values).fetchone()
    if values["begin"] is None:
        return News()
    sql = _NEWS.format(
        excepted=EXCEPTED.format(now=query.now), region=_region(query.region, values)
    )
    wanted = {each.value for each in query.changes}
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    groups: dict[tuple[str, int], _Group] = {}
    first_scanned: set[int] = set()
    for change, plugin, severity, machine, name, address, first_seen in connection.execute(
        sql, values
    ):
        counts[change][_word(severity)] += 1
        if change == _BASELINE:
            first_scanned.add(machine)
        elif change in wanted:
            group = groups.setdefault((change, plugin), _Group(severity, first_seen))
            group.severity = max(group.severity, severity, key=_rank)
            group.first_seen = min(group.first_seen, first_seen)
            group.hosts[address or b"\xff", name, machine] = None
    with_baseline = Change.NEW in query.changes
    return News(
        counts={each.value: dict(counts[each.value]) for each in query.changes if each in counts},
        groups=tuple(_worst(connection, groups, query)),
        left_out=max(0, len(groups) - query.groups),
        baseline_hosts=len(first_scanned) if with_baseline else 0,
        baseline_counts=dict(counts[_BASELINE]) if with_baseline else {},
    )


def _worst(
    connection: sqlite3.Connection, groups: dict[tuple[str, int], _Group], query: NewsQuery
) -> Iterable[NewsGroup]:
    """The groups that are listed: by severity, then those on most hosts."""
    order = {each.value: place for place, each in enumerate(Change)}
    listed = sorted(
        groups.items(),
        key=lambda each: (
            -_rank(each[1].severity), order[each[0][0]], -len(each[1].hosts), each[0][1],
        ),
    )  # fmt: skip
    for (change, plugin), group in listed[: query.groups]:
        name, solution, exploited = connection.execute(
            "SELECT name, solution, exploited FROM definitions WHERE plugin = ?", (plugin,)
        ).fetchone() or (None, None, 0)
        yield NewsGroup(
            change=Change(change),
            plugin_id=plugin,
            name=name,
            severity=_word(group.severity),
            solution=solution,
            exploited=bool(exploited),
            hosts=tuple(name for _, name, _ in sorted(group.hosts)[: query.hosts]),
            host_count=len({machine for _, _, machine in group.hosts}),
            first_seen=group.first_seen,
        )


def _rank(severity: int) -> int:
    """A finding without a readable severity may be serious."""
    return 3 if severity == NO_SEVERITY else severity


def _word(severity: int) -> str:
    return severity_name(None if severity == NO_SEVERITY else severity)


def _region(region: Rules | None, values: dict[str, Any]) -> str:
    """SQL for hosts in a region; its names go into `values`."""
    if region is None:
        return "1"
    values["names"] = json.dumps(sorted(region.names))
    values |= {f"suffix{number}": suffix for number, suffix in enumerate(region.patterns)}
    named = ["{} IN (SELECT value FROM json_each(:names))"]
    named += [
        f"substr({{}}, -length(:suffix{number})) = :suffix{number}"
        for number in range(len(region.patterns))
    ]
    clauses = [sql.format(column) for sql in named for column in ("m.name", "m.fqdn")]
    return join(
        "OR", [Clause(each) for each in (within("m.address", region.networks), *clauses)]
    ).sql
