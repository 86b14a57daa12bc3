"""Reads the findings of a selection (synchronous, within one snapshot)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

from nessus_sched.results.ledger.selection import Selected, Selection
from nessus_sched.store.ledger.addresses import within
from nessus_sched.store.ledger.excepted import EXCEPTED
from nessus_sched.store.ledger.hosts import coverage_of
from nessus_sched.store.ledger.read import ENTRY, OPEN, at_least, entry_of

_SELECTED: Final = ENTRY.replace("SELECT", "SELECT d.family, d.type, h.text, l.series,", 1) + (
    "LEFT JOIN views v ON v.view = e.view LEFT JOIN facts h ON h.fact = v.fact"
)
_NAMES: Final = ("name", "ip", "fqdn", "netbios", "identity")


def read_selected(connection: sqlite3.Connection, wanted: Selection, now: float) -> list[Selected]:
    """The findings, worst first. Exceptions count until `now` (epoch seconds).
    Compliance checks are not among them: their plugins run all checks of an audit."""
    values: dict[str, Any] = {"limit": -1 if wanted.limit is None else wanted.limit}
    where = [
        "e.audit_check = 0",
        OPEN[wanted.shown],
        at_least(wanted.least_severity),
        *_machines(wanted, values),
        *_plugins(wanted, values),
    ]
    rows = connection.execute(
        f"{_SELECTED.format(source='entries e', excepted=EXCEPTED.format(now=now))}"
        f" WHERE {' AND '.join(where)}"
        " ORDER BY e.severity DESC, e.machine, e.plugin, e.service LIMIT :limit",
        values,
    ).fetchall()
    return [
        Selected(
            entry=entry_of(row),
            family=family,
            plugin_type=kind,
            seen_on=None if facts is None else coverage_of(facts),
            series=series,
        )
        for family, kind, facts, series, *row in rows
    ]


def _machines(wanted: Selection, values: dict[str, Any]) -> Iterator[str]:
    if not wanted.ranges and not wanted.names:
        return
    parts = [within("address", wanted.ranges)]
    if wanted.names:
        values["names"] = json.dumps(wanted.names)
        parts += [f"{name} IN (SELECT value FROM json_each(:names))" for name in _NAMES]
    yield f"e.machine IN (SELECT machine FROM machines WHERE {' OR '.join(parts)})"


def _plugins(wanted: Selection, values: dict[str, Any]) -> Iterator[str]:
    parts = []
    if wanted.plugins:
        values["plugins"] = json.dumps(wanted.plugins)
        parts.append("e.plugin IN (SELECT value FROM json_each(:plugins))")
    if wanted.cves:
        values["cves"] = json.dumps(wanted.cves)
        parts.append(
            "e.plugin IN (SELECT plugin FROM definition_cves"
            " WHERE cve IN (SELECT value FROM json_each(:cves)))"
        )
    if parts:
        yield f"({' OR '.join(parts)})"


def read_ever_seen(
    connection: sqlite3.Connection, ranges: Sequence[tuple[int, int]], names: Sequence[str]
) -> list[str]:
    """The addresses and names among these that have ever answered a scan."""
    found: dict[str, None] = {}
    rows = connection.execute(
        "SELECT coalesce(ip, name) FROM machines WHERE first_seen IS NOT NULL"
        f" AND {within('address', tuple(ranges))} ORDER BY address"
    )
    found |= dict.fromkeys(ip for (ip,) in rows)
    for name in names:
        seen = connection.execute(
            "SELECT 1 FROM machines WHERE first_seen IS NOT NULL AND (name = ?1 OR fqdn = ?1)",
            (name,),
        ).fetchone()
        if seen is not None:
            found[name] = None
    return list(found)
