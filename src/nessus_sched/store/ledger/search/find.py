"""Finds the entries of a page.

The default order is walked: severity by severity, and in each by plugin, an index leads to the
entries in just this order, so that a page costs as much as it has rows. Any other order, and
searches that an index leads to few entries of, are sorted.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, Final

import attrs

from nessus_sched.results.model import NO_SEVERITY
from nessus_sched.store.findings.schema import STORED_SEVERITIES
from nessus_sched.store.findings.sql import Clause, join
from nessus_sched.store.ledger.search.columns import excepted
from nessus_sched.store.ledger.search.conditions import Conditions
from nessus_sched.store.ledger.search.counts import Counts
from nessus_sched.store.ledger.search.order import Key, Place, after, order_by, rank, rank_of_plugin
from nessus_sched.store.ledger.search.source import Source, excepted_source, where

_FEW: Final = 100
"""Plugins that are sorted rather than met in the order of an index."""


@attrs.define
class Finder:
    """`counts` are those of the entries that match. Exceptions count until `now` (epoch
    seconds)."""

    connection: sqlite3.Connection
    conditions: Conditions
    source: Source
    counts: Counts
    now: float

    def worst_first(self, keys: Sequence[Key], begin: Place | None, limit: int) -> list[Place]:
        """The next entries in the default order, which `keys` describe."""
        if self.source is not Source.MACHINES and not self.conditions.all_open:
            return self.sorted(keys, begin, limit)
        found: list[Place] = []
        for severity, count in zip(STORED_SEVERITIES, self.counts, strict=True):
            shown = None if severity == NO_SEVERITY else severity
            past = begin is not None and (shown is None, -(shown or 0)) < rank(begin)[:2]
            if past or not (count or self._changed):
                continue
            found += self._of_severity(keys, severity, begin, limit - len(found))
            if len(found) == limit:
                break
        return found

    def sorted(self, keys: Sequence[Key], begin: Place | None, limit: int) -> list[Place]:
        """The next entries in the order of `keys`."""
        return self._sorted(self.source, where(self.conditions, self.source), keys, begin, limit)

    def _sorted(
        self, source: Source, clause: Clause, keys: Sequence[Key], begin: Place | None, limit: int
    ) -> list[Place]:
        if begin is not None:
            clause = join("AND", [clause, after(keys, begin)])
        values = ", ".join(key.sql for key in keys)
        return self.connection.execute(
            f"SELECT {values} FROM {source} WHERE {clause.sql} ORDER BY {order_by(keys)} LIMIT ?",
            (*clause.values, limit),
        ).fetchall()

    @cached_property
    def _changed(self) -> bool:
        """Whether exceptions change severities at all."""
        row = self.connection.execute(
            "SELECT 1 FROM exceptions WHERE severity IS NOT NULL AND expires > ?", (self.now,)
        ).fetchone()
        return row is not None

    def _of_severity(
        self, keys: Sequence[Key], severity: int, begin: Place | None, limit: int
    ) -> list[Place]:
        """Entries whose severity is this one after exceptions."""
        found: list[Place] = []
        if severity in self.conditions.severities and self.source is Source.MACHINES:
            found = self._sorted(
                self.source, join("AND", self._own(severity, self.source)), keys, begin, limit
            )
        elif severity in self.conditions.severities:
            found = list(islice(self._walked(severity, begin, limit), limit))
        if self._changed:
            source = excepted_source(self.source)
            changed = Clause("x.severity = ? AND x.expires > ?", (severity, self.now))
            clause = join("AND", [changed, where(self.conditions, source)])
            found += self._sorted(source, clause, keys, begin, limit)
            found.sort(key=rank)
        return found[:limit]

    def _own(self, severity: int, source: Source) -> list[Clause]:
        """Clauses for the entries of a severity that no exception changes."""
        clauses = [Clause(f"e.severity = {severity:d}"), where(self.conditions, source)]
        if self._changed:
            clauses.append(Clause(f"{excepted('x.severity', self.now)} IS NULL"))
        return clauses

    def _walked(self, severity: int, begin: Place | None, limit: int) -> Iterator[Place]:
        """Entries whose severity no exception changes, by indexes in just this order."""
        source = Source.SEVERITIES if severity else Source.PLUGINS
        indexed = Clause("e.severity <> 0" if severity else "e.severity = 0")
        clause = join("AND", [indexed, *self._own(severity, source)])
        statement = (
            f"SELECT e.machine, e.service, e.audit_check FROM {source} WHERE {clause.sql}"
            " AND e.plugin = ? AND (e.machine, e.service, e.audit_check) > (?, ?, ?)"
            " ORDER BY e.machine, e.service, e.audit_check LIMIT ?"
        )
        shown = None if severity == NO_SEVERITY else severity
        begins = None
        if begin is not None and begin[0] == shown:
            begins = (*rank_of_plugin(*begin[1:3]), begin[3])
        for plugin, exploited, cvss in self._plugins():
            here = (*rank_of_plugin(exploited, cvss), plugin)
            if begins is not None and here < begins:
                continue
            place = begin[4:] if begin is not None and here == begins else (-1, -1, -1)
            for entry in self.connection.execute(
                statement, (*clause.values, plugin, *place, limit)
            ):
                yield (shown, exploited, cvss, plugin, *entry)

    def _plugins(self) -> Iterator[tuple[Any, ...]]:
        """The plugins that may have entries in their order, each with what that is by."""
        wanted = self.conditions.plugins
        if wanted is not None and len(wanted) <= _FEW:
            rows = self.connection.execute(
                "SELECT plugin, exploited, cvss FROM definitions"
                " WHERE plugin IN (SELECT value FROM json_each(?))",
                (json.dumps(wanted),),
            )
            yield from sorted(rows, key=lambda row: (*rank_of_plugin(*row[1:]), row[0]))
            return
        among = None if wanted is None else frozenset(wanted)
        rows = self.connection.execute(
            "SELECT plugin, exploited, cvss FROM definitions INDEXED BY definitions_by_rank"
            " ORDER BY exploited DESC, cvss DESC, plugin"
        )
        yield from (row for row in rows if among is None or row[0] in among)
