"""Pairs two stored scans: which findings both have, and what an absence proves.

The hosts are paired once, in memory; findings are compared in SQL, with two functions that use
the pairs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import attrs

from nessus_sched.results.absence import (
    LOGIN_PROBLEMS,
    Reason,
    Sighting,
    finding_obstacle,
    host_obstacle,
)
from nessus_sched.results.coverage import HostCoverage, ScanCoverage
from nessus_sched.results.identity import HostIndex
from nessus_sched.results.presence import TargetList
from nessus_sched.store.findings.coverage import (
    StoredHost,
    plugins_shown,
    read_coverage,
    read_hosts,
)
from nessus_sched.store.findings.sql import Clause, ScanRow, join

_REMEMBERED: Final = 100_000

PORT: Final = "(SELECT port FROM services s WHERE s.service_row = findings.service_row)"
PROTOCOL: Final = "(SELECT protocol FROM services s WHERE s.service_row = findings.service_row)"
_COMPLIANCE: Final = (
    "(SELECT {} FROM compliances c WHERE c.compliance_row = findings.compliance_row)"
)
_CHECK: Final = _COMPLIANCE.format(
    "coalesce(compliance_check_id, compliance_check_name || '|' || compliance_audit_file,"
    " compliance_check_name)"
)
RESULT: Final = f"coalesce({_COMPLIANCE.format('compliance_result')}, '')"
_STATE: Final = (
    "same + severity + 8 * (SELECT coalesce(256 * unicode(compliance_result)"
    " + length(compliance_result), 0) FROM compliances c"
    " WHERE c.compliance_row = findings.compliance_row)"
)
"""A number, because SQLite looks up multi-column rows one by one. `same` is a 64-bit hash, so
sums are just as unlikely to collide."""
ABSENCE: Final = "absence(host_row, plugin_row, service_row, compliance_row)"
"""For a finding that the other scan does not have: empty if it is proved gone, otherwise the
`Reason` why not."""
_ABOUT: Final = f"entity_plugin(plugin_row), {PORT}, {PROTOCOL}, {_CHECK}"
OF_HOST: Final = f"identity({_ABOUT})"
"""Equal for identical findings of one host."""


@attrs.frozen
class _Standing:
    """What the other scan can say about a host: its coverage in that scan, for each matching
    host, or the obstacle if there is none."""

    seen_on: HostCoverage | None
    hosts: tuple[HostCoverage, ...]
    obstacle: Reason | None


class Pairing:
    """One scan (`own`) compared with another. Created by `paired`."""

    def __init__(self, connection: sqlite3.Connection, own: ScanRow, other: ScanRow) -> None:
        self.own, self.other = own, other
        self._connection = connection
        self._coverage = read_coverage(connection, other)
        self._targets = TargetList(self._coverage.targets if self._coverage else None)
        self._own_hosts = read_hosts(connection, own)
        self._other_hosts = read_hosts(connection, other)
        self._plugins = _plugins(connection, own)
        self._plugin_ids = self._plugin_numbers(connection)
        self._had = plugins_shown(connection, other) | _listed(self._coverage)
        self.entities: dict[int, int] = {}
        """For hosts with different names in the scans: a number for each machine."""
        self.counterparts: dict[int, list[int]] = {}
        """Rows of the same host in the other scan, for each of this scan's hosts."""
        self._standings: dict[int, _Standing] = {}
        self._answers: dict[tuple[object, ...], str] = {}
        self._pair()

    def _plugin_numbers(self, connection: sqlite3.Connection) -> dict[int, int | None]:
        return {
            row: seen.plugin_id
            for scan in (self.own, self.other)
            for row, seen in (
                self._plugins if scan is self.own else _plugins(connection, scan)
            ).items()
        }

    def _pair(self) -> None:
        directory = HostIndex(host.names for host in self._other_hosts)
        known: dict[tuple[object, ...], _Standing] = {}
        for host in self._own_hosts:
            found = directory.find(host.names)
            others = [(self._other_hosts[match.index], match.changed) for match in found]
            self.counterparts[host.row] = [other.row for other, _ in others]
            for other, _ in others:
                if other.names.key != host.names.key:
                    number = self.entities.get(other.row, host.row)
                    self.entities[other.row] = self.entities[host.row] = number
            key = (host.facts, *((other.facts, changed) for other, changed in others))
            if not others:
                self._standings[host.row] = self._standing(host, others)
            else:
                if key not in known:
                    known[key] = self._standing(host, others)
                self._standings[host.row] = known[key]

    def _standing(self, host: StoredHost, others: list[tuple[StoredHost, bool]]) -> _Standing:
        usable: list[HostCoverage] = []
        obstacles: list[Reason] = []
        for other, changed in others:
            coverage = other.coverage
            obstacle = host_obstacle(self._coverage, coverage, targeted=True, changed=changed)
            if obstacle is not None:
                obstacles.append(obstacle)
            elif coverage is not None:
                usable.append(coverage)
        if not others:
            targeted = self._targets.include(host.names.key, host.names.ip, host.names.fqdn)
            absent = host_obstacle(self._coverage, None, targeted=targeted, changed=False)
            obstacles += [absent] if absent else []
        return _Standing(host.coverage, tuple(usable), next(iter(obstacles), None))

    # -- hosts

    def hosts_without(self) -> list[str]:
        """The names of hosts that are not in the other scan, each once."""
        names = (host.names.key for host in self._own_hosts if not self.counterparts[host.row])
        return list(dict.fromkeys(names))

    def hosts_in_both(self) -> int:
        return len({host.names.key for host in self._own_hosts if self.counterparts[host.row]})

    # -- functions for SQL

    def absence(self, host_row: int, plugin_row: int, service_row: int, compliance_row: int) -> str:
        standing = self._standings[host_row]
        if not standing.hosts:
            assert standing.obstacle is not None
            return standing.obstacle.value
        key = (id(standing), plugin_row, service_row, compliance_row)
        answer = self._answers.get(key)
        if answer is None:
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            answer = self._answers[key] = self._decide(standing, *key[1:])
        return answer

    def _decide(
        self, standing: _Standing, plugin_row: int, service_row: int, compliance_row: int
    ) -> str:
        port, protocol = self._connection.execute(
            "SELECT port, protocol FROM services WHERE service_row = ?", (service_row,)
        ).fetchone()
        (checked,) = self._connection.execute(
            "SELECT compliance_result IS NOT NULL OR compliance_check_name IS NOT NULL"
            " FROM compliances WHERE compliance_row = ?",
            (compliance_row,),
        ).fetchone()
        plugin = self._plugins[plugin_row]
        seen = attrs.evolve(plugin, port=port, protocol=protocol, compliance=bool(checked))
        ran = seen.plugin_id in self._had
        watched = self._had >= LOGIN_PROBLEMS
        reason = None
        for host in standing.hosts:
            reason = finding_obstacle(seen, standing.seen_on, host, ran=ran, watched=watched)
            if reason is None:
                return ""
        assert reason is not None
        return reason.value

    def entity(self, host_row: int) -> int | None:
        return self.entities.get(host_row)

    def plugin_number(self, plugin_row: int) -> int:
        return self._plugin_ids.get(plugin_row) or 0

    # -- clauses

    def known(self) -> Clause:
        """The other scan has the finding."""
        same = Clause(
            # Sorted, because indexing a million random numbers is then three times as fast.
            "same IN (SELECT same FROM findings WHERE finding_row BETWEEN ? AND ? ORDER BY same)",
            self.other.rows,
        )
        return self._or_by_machine(same, "")

    def alike(self) -> Clause:
        """The other scan has it with the same severity and result."""
        same = Clause(
            f"{_STATE} IN (SELECT {_STATE} AS state FROM findings"
            " WHERE finding_row BETWEEN ? AND ? ORDER BY state)",
            self.other.rows,
        )
        return self._or_by_machine(same, f", severity, {RESULT}")

    def _or_by_machine(self, same: Clause, state: str) -> Clause:
        if not self.entities:
            return same
        identity = f"identity(entity(host_row), {_ABOUT}{state})"
        machine = Clause(
            f"(entity(host_row) IS NOT NULL AND {identity} IN (SELECT {identity} FROM findings"
            " WHERE finding_row BETWEEN ? AND ? AND entity(host_row) IS NOT NULL))",
            self.other.rows,
        )
        return join("OR", [same, machine])


def _plugins(connection: sqlite3.Connection, scan: ScanRow) -> Mapping[int, Sighting]:
    found = connection.execute(
        "SELECT plugin_row, plugin_id, plugin_type, thorough_tests FROM plugins WHERE plugin_row"
        " IN (SELECT plugin_row FROM plugin_tally WHERE scan = ?)",
        (scan.scan,),
    )
    return {
        row: Sighting(plugin_id, kind, bool(thorough), None, None, False)
        for row, plugin_id, kind, thorough in found
    }


def _listed(coverage: ScanCoverage | None) -> frozenset[int]:
    return frozenset() if coverage is None or coverage.plugins is None else coverage.plugins


@contextmanager
def paired(connection: sqlite3.Connection, own: ScanRow, other: ScanRow) -> Iterator[Pairing]:
    """A pairing whose clauses are usable within the block; only one at a time."""
    pairing = Pairing(connection, own, other)
    functions: dict[str, tuple[int, Callable[..., int | str | None]]] = {
        "absence": (4, pairing.absence),
        "entity": (1, pairing.entity),
        "entity_plugin": (1, pairing.plugin_number),
        "identity": (-1, lambda *parts: hash(parts)),
    }
    for name, (arguments, function) in functions.items():
        connection.create_function(name, arguments, function, deterministic=True)
    try:
        yield pairing
    finally:
        for name, (arguments, _) in functions.items():
            connection.create_function(name, arguments, None)
