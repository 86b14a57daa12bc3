"""The hosts of a scan and of the ledger, matched before the findings are applied."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import attrs

from nessus_sched.config.ledger import HostIdentity
from nessus_sched.results.coverage import HostCoverage, from_data, of_both, to_data
from nessus_sched.results.identity import HostNames
from nessus_sched.results.ledger.hosts import ScanOrigin, identity, scan_time
from nessus_sched.results.logins.verdict import Login
from nessus_sched.results.reached import target_of
from nessus_sched.store.findings.coverage import scanner_runs
from nessus_sched.store.findings.sql import ScanRow
from nessus_sched.store.ledger.addresses import address_key
from nessus_sched.store.ledger.schema import FIRST_SCAN

_UPDATE_MACHINE: Final = """
UPDATE machines SET name = :name, at = :at, run = :run, view = :view, scanner = :scanner,
  tried_at = max(tried_at, :at), tried_run = CASE WHEN :at >= tried_at THEN :run ELSE tried_run END,
  ip = coalesce(:ip, ip), address = coalesce(:address, address),
  fqdn = CASE WHEN :answered THEN :fqdn ELSE fqdn END,
  netbios = CASE WHEN :answered THEN :netbios ELSE netbios END,
  login = CASE WHEN :answered THEN :login ELSE login END,
  logins = CASE WHEN :answered THEN :logins ELSE logins END,
  first_seen = CASE WHEN :answered THEN coalesce(first_seen, :at) ELSE first_seen END,
  last_answered = CASE WHEN :answered THEN :at ELSE last_answered END,
  last_whole = CASE WHEN :whole THEN :at ELSE last_whole END,
  last_login = CASE WHEN :entered THEN :at ELSE last_login END
WHERE machine = :machine
"""
_LOGGED_IN: Final = frozenset({Login.FULL, Login.PARTIAL})


@attrs.frozen(kw_only=True)
class View:
    """What a scan knew about a host: its names, and its coverage (None if unknown)."""

    names: HostNames
    coverage: HostCoverage | None


@attrs.define(kw_only=True)
class Step:
    """A host of the scan that is applied. `before` is the view of the latest scan before,
    `run_before` that scan; None for a new host."""

    machine: int
    at: int
    rows: tuple[int, ...]
    view: int
    now: View
    before: View | None
    run_before: int | None
    cause: int


@attrs.define
class Matched:
    """The hosts of a scan: those to apply by machine, and counts of those that are not.
    `present` are all of its machines."""

    steps: dict[int, Step]
    present: set[int]
    late: int = 0
    undated: int = 0

    def ended(self, origin: ScanOrigin) -> int | None:
        """When the scan ended, as far as is known: when the absence of hosts was noticed."""
        times = [step.at for step in self.steps.values()]
        if origin.began is not None:
            times.append(int(origin.began))
        return max(times, default=None)


@attrs.frozen(kw_only=True)
class _Found:
    row: int
    names: HostNames
    facts: str | None
    at: int | None
    login: str | None
    logins: str | None
    scanner: str | None


@attrs.frozen
class _Known:
    machine: int
    at: int
    run: int
    tried_at: int
    tried_run: int
    view: int

    def is_past(self, at: int, run: int) -> bool:
        """Whether a later scan is known, or this one of the same task."""
        if self.tried_run != run and at < self.tried_at:
            return True
        return at < self.at or (at == self.at and run == self.run)


@lru_cache(maxsize=4096)
def coverage_of(facts: str) -> HostCoverage:
    return from_data(json.loads(facts))


def match_hosts(
    connection: sqlite3.Connection,
    scan: ScanRow,
    origin: ScanOrigin,
    run: int,
    by: HostIdentity,
) -> Matched:
    """Records the scan's hosts in the ledger and returns those to be applied. Hosts of a task
    that was applied before are applied again only if they were scanned again. A scan that verifies
    fixes (`origin.only`) adds no hosts, and changes nothing that is known of one."""
    matched = Matched({}, set())
    again = _applied_before(connection, run)
    for key, several in _by_identity(_read(connection, scan, origin), by).items():
        known = connection.execute(
            "SELECT machine, at, run, tried_at, tried_run, view FROM machines WHERE identity = ?",
            (key,),
        ).fetchone()
        if known is not None:
            known = _Known(*known)
            matched.present.add(known.machine)
        if any(each.at is None for each in several):
            matched.undated += 1
        elif known is not None and known.is_past(_latest(several), run):
            matched.late += not again
        elif known is not None or origin.only is None:
            step = _step(connection, key, several, known, run, update=origin.only is None)
            matched.present.add(step.machine)
            matched.steps[step.machine] = step
    return matched


def _applied_before(connection: sqlite3.Connection, run: int) -> bool:
    (at,) = connection.execute("SELECT at FROM runs WHERE run = ?", (run,)).fetchone()
    return at is not None


def _latest(several: Iterable[_Found]) -> int:
    return max(each.at or 0 for each in several)


def _by_identity(found: Iterable[_Found], by: HostIdentity) -> Mapping[str, list[_Found]]:
    groups: dict[str, list[_Found]] = {}
    for each in found:
        groups.setdefault(identity(each.names, by), []).append(each)
    return groups


def _read(connection: sqlite3.Connection, scan: ScanRow, origin: ScanOrigin) -> Iterator[_Found]:
    runs = scanner_runs(connection, scan)
    starts = [first for first, _ in runs]
    rows = connection.execute(
        "SELECT host_row, host, host_ip, host_fqdn, host_netbios_name, host_mac_address, facts,"
        " host_ended_at, host_login, host_logins"
        " FROM hosts LEFT JOIN host_coverage USING (host_row) WHERE host_row BETWEEN ? AND ?"
        " AND host <> ''",
        scan.rows,
    ).fetchall()
    for row, key, ip, fqdn, netbios, macs, facts, ended_at, login, logins in rows:
        place = bisect_right(starts, row) - 1
        yield _Found(
            row=row,
            names=HostNames(
                key=key, ip=ip, fqdn=fqdn, netbios=netbios,
                macs=() if macs is None else tuple(json.loads(macs)),
            ),
            facts=facts,
            at=scan_time(origin, ended_at, scan.imported_at),
            login=login,
            logins=logins,
            scanner=(runs[place][1] or None) if place >= 0 else None,
        )  # fmt: skip


def _step(
    connection: sqlite3.Connection,
    key: str,
    several: list[_Found],
    known: _Known | None,
    run: int,
    *,
    update: bool,
) -> Step:
    last = max(several, key=lambda each: each.at or 0)
    coverage = _common([each.facts for each in several])
    now = View(names=last.names, coverage=coverage)
    if known is None:
        machine, before, view = _new_machine(connection, key, last, run), None, None
    else:
        machine, before = known.machine, read_view(connection, known.view)
        if before == now:
            before, view = now, known.view
        else:
            view = None
    if view is None:
        view = _store_view(connection, machine, last, coverage, [each.facts for each in several])
    if update:
        _update_machine(connection, machine, last, coverage, run, view)
    return Step(
        machine=machine, at=_latest(several), rows=tuple(each.row for each in several), view=view,
        now=now, before=before, run_before=None if known is None else known.run,
        cause=FIRST_SCAN if before is None else 0,
    )  # fmt: skip


def _common(facts: list[str | None]) -> HostCoverage | None:
    """What a scan could see of a host that it has several times: what holds for each."""
    if None in facts:
        return None
    found = [coverage_of(each) for each in facts if each is not None]
    common = found[0]
    for other in found[1:]:
        common = of_both(common, other)
    return common


def _new_machine(connection: sqlite3.Connection, key: str, found: _Found, run: int) -> int:
    machine = connection.execute(
        "INSERT INTO machines (identity, name, at, run, tried_at, tried_run)"
        " VALUES (?1, ?2, ?3, ?4, ?3, ?4)",
        (key, found.names.key, found.at, run),
    ).lastrowid
    assert machine is not None
    return machine


def _update_machine(
    connection: sqlite3.Connection,
    machine: int,
    found: _Found,
    coverage: HostCoverage | None,
    run: int,
    view: int,
) -> None:
    names = found.names
    number = target_of(names.ip or names.key)
    answered = coverage is None or coverage.answered
    whole = coverage is not None and coverage.whole and answered and coverage.ended
    entered = coverage is not None and answered and coverage.login in _LOGGED_IN
    connection.execute(
        _UPDATE_MACHINE,
        {
            "machine": machine, "name": names.key, "ip": names.ip,
            "address": address_key(number) if isinstance(number, int) else None,
            "at": found.at, "run": run, "view": view, "answered": answered, "whole": whole,
            "entered": entered, "fqdn": names.fqdn and names.fqdn.lower(),
            "netbios": names.netbios and names.netbios.lower(),
            "login": found.login, "logins": found.logins, "scanner": found.scanner,
        },
    )  # fmt: skip


def read_view(connection: sqlite3.Connection, view: int) -> View:
    name, ip, fqdn, netbios, macs, facts = connection.execute(
        "SELECT name, ip, fqdn, netbios, macs, text FROM views LEFT JOIN facts USING (fact)"
        " WHERE view = ?",
        (view,),
    ).fetchone()
    return View(
        names=HostNames(
            key=name, ip=ip, fqdn=fqdn, netbios=netbios,
            macs=() if macs is None else tuple(json.loads(macs)),
        ),
        coverage=None if facts is None else coverage_of(facts),
    )  # fmt: skip


def _store_view(
    connection: sqlite3.Connection,
    machine: int,
    found: _Found,
    coverage: HostCoverage | None,
    facts: list[Any],
) -> int:
    names = found.names
    text = facts[0] if len(facts) == 1 else _text_of(coverage)
    view = connection.execute(
        "INSERT INTO views (machine, fact, name, ip, fqdn, netbios, macs)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            machine, None if text is None else _fact(connection, text), names.key, names.ip,
            names.fqdn, names.netbios, json.dumps(names.macs) if names.macs else None,
        ),
    ).lastrowid  # fmt: skip
    assert view is not None
    return view


def _text_of(coverage: HostCoverage | None) -> str | None:
    return None if coverage is None else json.dumps(to_data(coverage), sort_keys=True)


def _fact(connection: sqlite3.Connection, text: str) -> int:
    connection.execute("INSERT OR IGNORE INTO facts (text) VALUES (?)", (text,))
    (fact,) = connection.execute("SELECT fact FROM facts WHERE text = ?", (text,)).fetchone()
    assert isinstance(fact, int)
    return fact
