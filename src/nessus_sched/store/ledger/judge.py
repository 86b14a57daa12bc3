"""Judges what a scan no longer shows, and why its new findings are new."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Final

import attrs

from nessus_sched.config.ledger import HostIdentity
from nessus_sched.results.absence import (
    LOGIN_PROBLEMS,
    Reason,
    Sighting,
    finding_obstacle,
    host_obstacle,
)
from nessus_sched.results.coverage import HostCoverage, ScanCoverage
from nessus_sched.results.identity import differ
from nessus_sched.results.ledger.hosts import ScanOrigin
from nessus_sched.results.ledger.states import State, matters
from nessus_sched.results.logins.verdict import Login
from nessus_sched.results.presence import TargetList
from nessus_sched.results.reached import target_of
from nessus_sched.store.findings.coverage import plugins_shown
from nessus_sched.store.findings.sql import ScanRow
from nessus_sched.store.ledger.addresses import address_key
from nessus_sched.store.ledger.dimensions import read_plugins
from nessus_sched.store.ledger.hosts import Matched, Step, View, read_view
from nessus_sched.store.ledger.schema import REASON_NUMBERS

_UNTRIED: Final = frozenset({Login.NONE, Login.NOT_PROVIDED})
_TO_JUDGE: Final = f"""
SELECT e.machine, e.plugin, e.service, e.audit_check, e.view, r.series, e.reason,
  e.first_run = :run AND e.first_seen = t.at, d.type, d.thorough, e.state
FROM (SELECT DISTINCT machine, at FROM temp.steps
      WHERE cause = 0 AND machine BETWEEN :first AND :last) t
CROSS JOIN entries e ON e.machine = t.machine
CROSS JOIN runs r ON r.run = e.last_run
LEFT JOIN definitions d ON d.plugin = e.plugin
WHERE (e.state < {State.FIXED:d} AND e.last_seen < t.at
    AND (:only IS NULL OR e.plugin IN (SELECT value FROM json_each(:only))))
  OR (e.state = {State.FIXED:d} AND e.since < t.at
    AND e.plugin IN (SELECT value FROM json_each(:only)))
  OR (e.first_run = :run AND e.first_seen = t.at)
"""
_AT_ONCE: Final = 100
"""Hosts whose entries are judged together; they are held in memory."""
_ENTRY: Final = "machine = ? AND plugin = ? AND service = ? AND audit_check = ?"
_FIX: Final = f"""
UPDATE entries SET state = {State.FIXED:d}, since = ?1, changed = ?1, reason = 0,
  unverified_since = NULL, last_run = ?2
WHERE machine = ?3 AND plugin = ?4 AND service = ?5 AND audit_check = ?6
"""
_CONFIRM: Final = f"UPDATE entries SET last_run = ? WHERE {_ENTRY}"
"""A scan to verify fixes proves again that a finding is gone."""
_DOUBT: Final = """
UPDATE entries SET reason = ?1, unverified_since = coalesce(unverified_since, ?2),
  changed = CASE WHEN unverified_since IS NULL THEN ?2 ELSE changed END
WHERE machine = ?3 AND plugin = ?4 AND service = ?5 AND audit_check = ?6
"""
_DOUBT_ALL: Final = f"""
UPDATE entries SET reason = ?1, unverified_since = coalesce(unverified_since, ?2),
  changed = CASE WHEN unverified_since IS NULL THEN ?2 ELSE changed END
WHERE machine = ?3 AND state < {State.FIXED:d} AND reason <> ?1 AND last_seen < ?2
  AND (?4 IS NULL OR plugin IN (SELECT value FROM json_each(?4)))
"""
_EXPLAIN: Final = f"UPDATE entries SET cause = ? WHERE {_ENTRY}"

Key = tuple[int, int, int, int]


@attrs.frozen(kw_only=True)
class _Scan:
    """A scan as a witness: what it covered, and which plugins it is known to have run."""

    coverage: ScanCoverage | None
    plugins: frozenset[int]

    @property
    def watched(self) -> bool:
        return self.plugins >= LOGIN_PROBLEMS


class Judge:
    """Judges for one scan that is applied, on its connection."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        scan: ScanRow,
        origin: ScanOrigin,
        run: int,
        coverage: ScanCoverage | None,
        by: HostIdentity,
        series: str,
    ) -> None:
        self._connection = connection
        self._origin = origin
        self._run = run
        self._by = by
        self._series = series
        listed = frozenset() if coverage is None else coverage.plugins or frozenset()
        self._scan = _Scan(coverage=coverage, plugins=plugins_shown(connection, scan) | listed)
        self._views: dict[int, View] = {}
        self._scans: dict[int, _Scan] = {}
        self._only = None if origin.only is None else json.dumps(sorted(origin.only))

    def entries(self, matched: Matched) -> None:
        """Judges the entries of hosts that were scanned before."""
        known = sorted(step.machine for step in matched.steps.values() if step.before is not None)
        for start in range(0, len(known), _AT_ONCE):
            some = known[start : start + _AT_ONCE]
            self._views.clear()
            self._judge(matched, some[0], some[-1])

    def _judge(self, matched: Matched, first: int, last: int) -> None:
        """Judges the entries of the machines from `first` to `last`."""
        fixed: list[tuple[int, int, *Key]] = []
        confirmed: list[tuple[int, *Key]] = []
        doubted: list[tuple[int, int, *Key]] = []
        explained: list[tuple[int, *Key]] = []
        rows = self._connection.execute(
            _TO_JUDGE, {"run": self._run, "first": first, "last": last, "only": self._only}
        ).fetchall()
        for *key_parts, view, series, was, is_new, kind, thorough, state in rows:
            key: Key = (key_parts[0], key_parts[1], key_parts[2], key_parts[3])
            step = matched.steps[key[0]]
            seen = _sighting(key, kind, bool(thorough))
            if is_new:
                explained.append((_number(self._cause(step, seen)), *key))
                continue
            reason = self._reason(step, seen, self._view(view))
            if state == State.FIXED:
                confirmed += [(self._run, *key)] if reason is None else []
            elif reason is None:
                fixed.append((step.at, self._run, *key))
            elif self._matters(reason, series, step.now.coverage) and _number(reason) != was:
                doubted.append((_number(reason), step.at, *key))
        self._connection.executemany(_FIX, fixed)
        self._connection.executemany(_CONFIRM, confirmed)
        self._connection.executemany(_DOUBT, doubted)
        self._connection.executemany(_EXPLAIN, explained)

    def _reason(self, step: Step, seen: Sighting, then: View) -> Reason | None:
        """Why the scan does not prove the finding gone, or None if it does."""
        return _obstacle(self._scan, step.now, seen, then, changed=self._changed(then, step.now))

    def _cause(self, step: Step, seen: Sighting) -> Reason | None:
        """Why the scan before would not have shown a new finding, or None if it would have."""
        assert step.before is not None
        assert step.run_before is not None
        if step.run_before not in self._scans:
            self._scans[step.run_before] = self._read_scan(step.run_before)
        return _obstacle(
            self._scans[step.run_before], step.before, seen, step.now,
            changed=self._changed(step.before, step.now),
        )  # fmt: skip

    def _read_scan(self, run: int) -> _Scan:
        (whole,) = self._connection.execute(
            "SELECT whole FROM runs WHERE run = ?", (run,)
        ).fetchone()
        return _Scan(
            coverage=None if whole is None else ScanCoverage(whole=bool(whole)),
            plugins=read_plugins(self._connection, run),
        )

    def _changed(self, then: View, now: View) -> bool:
        return self._by is HostIdentity.ADDRESS and differ(then.names, now.names)

    def _matters(self, reason: Reason, series: str, host: HostCoverage | None) -> bool:
        return self._only is not None or matters(
            reason,
            same_series=series == self._series,
            login_tried=host is not None and host.login not in _UNTRIED,
        )

    def _view(self, view: int) -> View:
        if view not in self._views:
            self._views[view] = read_view(self._connection, view)
        return self._views[view]

    # -- hosts that were to be scanned and are not in the report

    def hosts_not_in_report(self, matched: Matched) -> None:
        at = matched.ended(self._origin)
        if at is None:
            return
        left = TargetList("\n".join(self._origin.left))
        for machine, series, *names in self._targeted(at):
            if machine in matched.present:
                continue
            reason = Reason.HOST_UNFINISHED if left.include(*names) else self._absent()
            if reason is None or not self._matters(reason, series, None):
                continue
            self._connection.execute(_DOUBT_ALL, (_number(reason), at, machine, self._only))
            if self._only is not None:
                continue
            self._connection.execute(
                "UPDATE machines SET tried_at = ?, tried_run = ? WHERE machine = ?",
                (at, self._run, machine),
            )

    def _absent(self) -> Reason | None:
        return host_obstacle(self._scan.coverage, None, targeted=True, changed=False)

    def _targeted(self, at: int) -> Iterator[tuple[int, str, str, str | None, str | None]]:
        """Machines among the targets that no later scan has tried: number, series of the latest
        scan that has them, names."""
        coverage = self._scan.coverage
        if self._origin.targets is not None:
            text: str | None = "\n".join(self._origin.targets)
        else:
            text = None if coverage is None else coverage.targets
        targets = TargetList(text)
        query = (
            "SELECT m.machine, r.series, m.name, m.ip, m.fqdn FROM machines m"
            " JOIN runs r USING (run) WHERE m.tried_at <= ?"
        )
        for first, last in targets.ranges:
            rows = self._connection.execute(
                f"{query} AND m.address BETWEEN ? AND ?",
                (at, address_key(first), address_key(last)),
            ).fetchall()
            # A host that is scanned by name is no target because of its address.
            yield from (row for row in rows if isinstance(target_of(row[2]), int))
        yield from self._connection.execute(
            f"{query} AND m.name IN (SELECT value FROM json_each(?))",
            (at, json.dumps(targets.names)),
        ).fetchall()


def _obstacle(
    scan: _Scan, host: View, seen: Sighting, seen_on: View, *, changed: bool
) -> Reason | None:
    coverage = host.coverage
    if coverage is None:
        return Reason.UNKNOWN
    reason = host_obstacle(scan.coverage, coverage, targeted=True, changed=changed)
    if reason is not None:
        return reason
    return finding_obstacle(
        seen, seen_on.coverage, coverage, ran=seen.plugin_id in scan.plugins, watched=scan.watched
    )


def _sighting(key: Key, kind: str | None, thorough: bool) -> Sighting:
    _, plugin, service, audit_check = key
    protocol, port = divmod(service, 65536)
    return Sighting(
        plugin, kind, thorough, port, "udp" if protocol == 1 else "tcp", audit_check != 0
    )


def _number(reason: Reason | None) -> int:
    return 0 if reason is None else REASON_NUMBERS[reason]
