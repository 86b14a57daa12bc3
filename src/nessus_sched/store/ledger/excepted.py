"""Which exception counts for each open entry: made from the exceptions in force, and made again for
the hosts of each scan that is applied."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nessus_sched.core.exceptions.exception import FindingException, PluginFacts, rank
from nessus_sched.core.exceptions.rule import Rule
from nessus_sched.results.ledger.port import Covered
from nessus_sched.results.ledger.states import State
from nessus_sched.store.ledger.addresses import within

EXCEPTED: Final = """
LEFT JOIN excepted y ON y.machine = e.machine AND y.plugin = e.plugin AND y.service = e.service
  AND y.audit_check = e.audit_check
LEFT JOIN exceptions x ON x.number = y.number AND x.expires > {now:f}
"""
"""Joins the exception that counts for an entry at a time (epoch seconds), if there is one."""
_SCANNED: Final = "(SELECT machine FROM temp.steps)"
_COVERED: Final = f"""
FROM entries e WHERE e.state < {State.FIXED:d}
  AND e.plugin IN (SELECT value FROM json_each(:plugins) UNION
    SELECT plugin FROM definition_cves WHERE cve IN (SELECT value FROM json_each(:cves)))
  AND (:port IS NULL OR e.service & 65535 = :port)
  AND (:protocol IS NULL
    OR e.service >> 16 = (SELECT protocol FROM protocols WHERE name = :protocol))
"""
_VERSIONS: Final = """
SELECT p.plugin_id, max(p.script_version) FROM scanned.plugin_tally t
JOIN scanned.plugins p USING (plugin_row)
WHERE t.scan = ? AND p.plugin_id IN (SELECT value FROM json_each(?)) GROUP BY 1
"""


def cover_all(
    connection: sqlite3.Connection, exceptions: Sequence[FindingException]
) -> dict[str, Covered]:
    """Covers all open entries with these exceptions and no others."""
    connection.execute("DELETE FROM exceptions")
    connection.execute("DELETE FROM excepted")
    connection.executemany(
        "INSERT INTO exceptions VALUES (?, ?, ?, ?, ?)",
        (
            (number, each.exception_id, each.rule.kind, each.rule.severity, each.expires)
            for number, each in enumerate(_wide_to_narrow(exceptions))
        ),
    )
    return _cover(connection, exceptions, "")


def cover_scanned(
    connection: sqlite3.Connection, exceptions: Sequence[FindingException], run: int, scan: int
) -> dict[str, Mapping[int, PluginFacts]]:
    """Covers the open entries of the hosts of the scan that is being applied. Returns what that
    scan says about the plugins of the exceptions."""
    if not exceptions:
        return {}
    connection.execute(f"DELETE FROM excepted WHERE machine IN {_SCANNED}")
    _cover(connection, exceptions, f" AND e.machine IN {_SCANNED}")
    narrowed = f" AND e.machine IN {_SCANNED} AND e.last_run = {run:d}"
    found = {each.exception_id: _facts(connection, each.rule, narrowed)[1] for each in exceptions}
    plugins = {plugin for facts in found.values() for plugin in facts}
    versions = dict(connection.execute(_VERSIONS, (scan, json.dumps(sorted(plugins)))).fetchall())
    return {
        name: {
            plugin: PluginFacts(
                severity=each.severity, exploited=each.exploited, version=versions.get(plugin)
            )
            for plugin, each in facts.items()
        }
        for name, facts in found.items()
        if facts
    }


def count_covered(connection: sqlite3.Connection, rule: Rule) -> int:
    """How many open entries a rule covers."""
    return _facts(connection, rule, "")[0]


def _cover(
    connection: sqlite3.Connection, exceptions: Sequence[FindingException], narrowed: str
) -> dict[str, Covered]:
    found = {}
    for number, each in enumerate(_wide_to_narrow(exceptions)):  # so that the last one counts
        where, values = _entries(each.rule, narrowed)
        connection.execute(
            "INSERT OR REPLACE INTO excepted"
            f" SELECT e.machine, e.plugin, e.service, e.audit_check, :number {where}",
            {**values, "number": number},
        )
        if not narrowed:
            count, facts = _facts(connection, each.rule, narrowed)
            found[each.exception_id] = Covered(count=count, facts=facts)
    return found


def _facts(
    connection: sqlite3.Connection, rule: Rule, narrowed: str
) -> tuple[int, Mapping[int, PluginFacts]]:
    where, values = _entries(rule, narrowed)
    rows = connection.execute(
        "SELECT plugin, most, coalesce(exploited, 0), number FROM"
        f" (SELECT e.plugin, max(e.severity) AS most, count(*) AS number {where} GROUP BY e.plugin)"
        " LEFT JOIN definitions USING (plugin)",
        values,
    ).fetchall()
    facts = {
        plugin: PluginFacts(severity=severity, exploited=bool(exploited))
        for plugin, severity, exploited, _number in rows
    }
    return sum(number for *_, number in rows), facts


def _wide_to_narrow(exceptions: Sequence[FindingException]) -> list[FindingException]:
    return sorted(exceptions, key=rank, reverse=True)


def _entries(rule: Rule, narrowed: str) -> tuple[str, dict[str, Any]]:
    """SQL for the open entries that a rule covers, and its values."""
    values: dict[str, Any] = {
        "plugins": json.dumps(rule.plugins),
        "cves": json.dumps(rule.cves),
        "port": rule.port,
        "protocol": rule.protocol,
    }
    if rule.everywhere:
        return _COVERED + narrowed, values
    values["names"] = json.dumps(rule.targets.names)
    machines = (
        "SELECT machine FROM machines WHERE name IN (SELECT value FROM json_each(:names))"
        f" UNION SELECT machine FROM machines WHERE {within('address', rule.targets.ranges)}"
    )
    return f"{_COVERED} AND e.machine IN ({machines}){narrowed}", values
