"""Reads the ledger (synchronous, within one snapshot)."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import attrs

from nessus_sched.core.exceptions.rule import ExceptionKind
from nessus_sched.results.ledger.questions import (
    Change,
    ChangePage,
    ChangeQuery,
    Entry,
    Excepted,
    Host,
    HostPage,
    Shown,
)
from nessus_sched.results.ledger.states import Life, State
from nessus_sched.results.model import NO_SEVERITY, severity_name
from nessus_sched.store.ledger.addresses import within
from nessus_sched.store.ledger.excepted import EXCEPTED
from nessus_sched.store.ledger.regions import in_region
from nessus_sched.store.ledger.schema import FIRST_SCAN, REASONS

_HOST: Final = (
    "SELECT machine, name, ip, fqdn, netbios, first_seen, tried_at, at, last_answered, last_whole,"
    " last_login, login, logins, scanner, critical, high, medium, low, info, unknown FROM machines"
)
ENTRY: Final = """
SELECT m.name, m.ip, e.plugin, d.name, e.severity, e.first_severity, e.service,
  c.name, e.state, e.first_seen, e.last_seen, e.since, e.reason, e.unverified_since, e.resurfaced,
  e.cause, d.cves, d.exploited, d.published, d.solution, f.task_id, l.task_id,
  (SELECT name FROM protocols WHERE protocol = e.service >> 16),
  m.fqdn, d.cvss, x.exception_id, x.kind, x.severity, e.changed, e.machine, e.audit_check
FROM {source} JOIN machines m USING (machine) LEFT JOIN definitions d USING (plugin)
LEFT JOIN audit_checks c USING (audit_check)
{excepted}
JOIN runs f ON f.run = e.first_run JOIN runs l ON l.run = e.last_run
"""
_SEVERITIES: Final = ("critical", "high", "medium", "low", "info", "unknown")
OPEN: Final = {
    Shown.OPEN: f"e.state < {State.FIXED:d}",
    Shown.FIXED: f"e.state = {State.FIXED:d}",
    Shown.ALL: "1",
}
_CHANGE: Final = f"""CASE
  WHEN e.state = {State.FIXED:d} AND e.since > :since THEN 'fixed'
  WHEN e.state = {State.FIXED:d} THEN ''
  WHEN e.unverified_since > :since THEN 'unverified'
  WHEN e.state = {State.RESURFACED:d} AND e.since > :since THEN 'resurfaced'
  WHEN e.first_seen > :since THEN 'new' ELSE '' END"""
_KEY: Final = "(e.changed, e.machine, e.plugin, e.service, e.audit_check)"


class Wanted(NamedTuple):
    """Which findings of a host to read. Exceptions count until `now` (epoch seconds)."""

    shown: Shown
    least_severity: int
    limit: int
    offset: int
    now: float


def read_hosts(connection: sqlite3.Connection, name: str, wanted: Wanted) -> list[HostPage]:
    """The hosts with this address or name, in lower case, with a page of their findings each."""
    rows = connection.execute(
        f"{_HOST} WHERE machine IN (SELECT machine FROM machines WHERE name = ?1"
        " UNION SELECT machine FROM machines WHERE ip = ?1"
        " UNION SELECT machine FROM machines WHERE fqdn = ?1"
        " UNION SELECT machine FROM machines WHERE netbios = ?1"
        " UNION SELECT machine FROM machines WHERE identity = ?1) ORDER BY at DESC LIMIT 10",
        (name,),
    ).fetchall()
    return [_host_page(connection, row, wanted) for row in rows]


def _host_page(connection: sqlite3.Connection, row: Sequence[Any], wanted: Wanted) -> HostPage:
    where = f"e.machine = ? AND {OPEN[wanted.shown]} AND {at_least(wanted.least_severity)}"
    excepted = EXCEPTED.format(now=wanted.now)
    entries = connection.execute(
        f"{ENTRY.format(source='entries e', excepted=excepted)} WHERE {where}"
        f" ORDER BY e.severity = {NO_SEVERITY} DESC, e.severity DESC, d.exploited DESC,"
        " e.plugin, e.service, e.audit_check LIMIT ? OFFSET ?",
        (row[0], wanted.limit, wanted.offset),
    ).fetchall()
    total, unverified = connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE e.reason <> 0) FROM entries e WHERE " + where,
        (row[0],),
    ).fetchone()
    checks = connection.execute(
        "SELECT e.severity, count(*) FROM entries e"
        f" WHERE e.machine = ? AND {OPEN[Shown.OPEN]} AND e.audit_check <> 0 GROUP BY 1",
        (row[0],),
    ).fetchall()
    counts = connection.execute(
        f"SELECT e.severity, count(*) FROM entries e {excepted} WHERE e.machine = ?"
        f" AND {OPEN[Shown.OPEN]} AND e.audit_check = 0 AND x.number IS NOT NULL GROUP BY 1",
        (row[0],),
    ).fetchall()
    return HostPage(
        host=_without_checks(_host(row), checks), entries=tuple(map(entry_of, entries)),
        total=total, unverified=unverified,
        excepted={_word(severity): count for severity, count in counts},
    )  # fmt: skip


def _without_checks(host: Host, checks: Sequence[tuple[int, int]]) -> Host:
    by_word = {_word(severity): count for severity, count in checks}
    return attrs.evolve(
        host,
        open={name: count - by_word.get(name, 0) for name, count in host.open.items()},
        failed_checks=sum(by_word.values()),
    )


def _word(severity: int) -> str:
    return severity_name(None if severity == NO_SEVERITY else severity)


def at_least(severity: int) -> str:
    """A finding without a readable severity may be serious."""
    return f"(e.severity >= {severity:d} OR e.severity = {NO_SEVERITY})"


def _host(row: Sequence[Any]) -> Host:
    (_, name, ip, fqdn, netbios, first_seen, tried_at, at, answered, whole, entered, login,
     logins, scanner, *counts) = row  # fmt: skip
    return Host(
        name=name, ip=ip, fqdn=fqdn, netbios=netbios, first_seen=first_seen, tried_at=tried_at,
        reported_at=at, answered_at=answered, whole_at=whole, login_at=entered, login=login,
        logins=tuple(json.loads(logins)) if logins else (), scanner=scanner,
        open=dict(zip(_SEVERITIES, counts, strict=True)),
    )  # fmt: skip


def entry_of(row: Sequence[Any]) -> Entry:
    (host, ip, plugin, name, severity, first_severity, service, check, state, first_seen,
     last_seen, since, reason, unverified_since, resurfaced, cause, cves, exploited, published,
     solution, first_task, last_task, protocol, fqdn, cvss,
     excepted, kind, changed, *_) = row  # fmt: skip
    return Entry(
        host=host, ip=ip, plugin_id=plugin, name=name, severity=severity,
        first_severity=first_severity, port=service & 0xFFFF, protocol=protocol or "",
        check=check,
        life=Life(
            state=State(state), first_seen=first_seen, last_seen=last_seen, since=since,
            reason=REASONS.get(reason), unverified_since=unverified_since, resurfaced=resurfaced,
        ),
        first_scan=cause == FIRST_SCAN, unseen_before=REASONS.get(cause),
        cves=tuple(json.loads(cves)) if cves else (), exploited=bool(exploited),
        published=published, solution=solution, first_task_id=first_task, last_task_id=last_task,
        fqdn=fqdn, cvss=cvss,
        exception=None if excepted is None
        else Excepted(exception_id=excepted, kind=ExceptionKind(kind), severity=changed),
    )  # fmt: skip


# -- changes


def read_changes(connection: sqlite3.Connection, query: ChangeQuery) -> ChangePage:
    """The latest changes first."""
    values: dict[str, Any] = {"since": query.since}
    where = f"e.changed > :since AND e.severity <> 0 AND {at_least(query.least_severity)}"
    if query.ranges is not None:
        where += f" AND {within('m.address', query.ranges)}"
    where += f" AND {in_region(connection, query.region, query.labelled)}"
    counted = _count_changes(connection, where, values, query.now)
    wanted = ", ".join(f"'{each}'" for each in query.changes)
    paged = f"{where} AND {_CHANGE} IN ({wanted})"
    if query.after is not None:
        paged += f" AND {_KEY} < (:k0, :k1, :k2, :k3, :k4)"
        values |= {f"k{number}": part for number, part in enumerate(query.after)}
    rows = connection.execute(
        f"{_CHANGED_ENTRY.format(source=_BY_CHANGE, excepted=EXCEPTED.format(now=query.now))}"
        f" WHERE {paged} ORDER BY e.changed DESC, e.machine DESC, e.plugin DESC, e.service DESC,"
        " e.audit_check DESC LIMIT :limit",
        {**values, "limit": query.limit + 1},
    ).fetchall()
    (scans,) = connection.execute(
        "SELECT count(*) FROM runs WHERE at > ?", (query.since,)
    ).fetchone()
    more = len(rows) > query.limit
    shown = rows[: query.limit]
    return ChangePage(
        entries=tuple((Change(row[0]), entry_of(row[1:])) for row in shown),
        counts=counted.counts, excepted=counted.excepted, checks=counted.checks,
        first_scans=counted.first_scans, reasons=counted.reasons, scans=scans,
        after=_key(shown[-1][1:]) if more else None,
    )  # fmt: skip


_CHANGED_ENTRY: Final = ENTRY.replace("SELECT", f"SELECT {_CHANGE},", 1)
_BY_CHANGE: Final = "entries e INDEXED BY entries_by_change"


def _key(row: Sequence[Any]) -> tuple[int, ...]:
    changed, machine, audit_check = row[-3:]
    return changed, machine, row[2], row[6], audit_check


@attrs.define
class _Counted:
    counts: dict[Change, dict[str, int]] = attrs.field(
        factory=lambda: {change: {} for change in Change}
    )
    first_scans: int = 0
    reasons: Counter[Any] = attrs.field(factory=Counter)
    excepted: Counter[Change] = attrs.field(factory=Counter)
    checks: Counter[Change] = attrs.field(factory=Counter)


def _count_changes(
    connection: sqlite3.Connection, where: str, values: dict[str, Any], now: float
) -> _Counted:
    rows = connection.execute(
        f"SELECT {_CHANGE} AS change, e.severity, e.reason, e.cause = {FIRST_SCAN},"
        f" e.audit_check <> 0, count(*), count(x.number)"
        f" FROM {_BY_CHANGE} JOIN machines m USING (machine)"
        f" {EXCEPTED.format(now=now)} WHERE {where} GROUP BY 1, 2, 3, 4, 5"
        f" ORDER BY e.severity = {NO_SEVERITY} DESC, e.severity DESC",
        values,
    ).fetchall()
    found = _Counted()
    for name, severity, reason, first_scan, check, number, covered in rows:
        if not name:
            continue
        change = Change(name)
        if check:
            found.checks[change] += number
            continue
        word = _word(severity)
        if covered:
            found.excepted[change] += covered
        found.counts[change][word] = found.counts[change].get(word, 0) + number
        found.first_scans += number if first_scan and change is Change.NEW else 0
        if change is Change.UNVERIFIED:
            found.reasons[REASONS[reason]] += number
    return found


def read_run_times(connection: sqlite3.Connection, task_ids: Sequence[str]) -> list[int]:
    """When the scans of these tasks took place, latest first; those that were applied."""
    rows = connection.execute(
        "SELECT at FROM runs WHERE task_id IN (SELECT value FROM json_each(?)) AND at IS NOT NULL"
        " ORDER BY at DESC",
        (json.dumps(list(task_ids)),),
    )
    return [at for (at,) in rows]
