"""What entries refer to: plugins, compliance checks and protocols of the scan that is applied."""

from __future__ import annotations

import sqlite3
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from nessus_sched.results.coverage import ScanCoverage
from nessus_sched.store.findings.coverage import pack, plugins_shown, unpack
from nessus_sched.store.findings.sql import AUDIT_FILE, ScanRow

SHOWN: Final = 1
PASSED: Final = 2
"""Outcomes of compliance checks in a scan; 0, that of one with an error, proves nothing."""

_ABOUT: Final = (
    "CASE WHEN coalesce(compliance_check_id, '') <> '' THEN json_array(compliance_check_id)"
    f" ELSE json_array(compliance_check_name, {AUDIT_FILE}) END"
)
_IS_CHECK: Final = "(compliance_result IS NOT NULL OR compliance_check_name IS NOT NULL)"
_CHECKS: Final = (
    f"""INSERT OR IGNORE INTO audit_checks (about, name) SELECT {_ABOUT}, compliance_check_name
        FROM compliances WHERE compliance_row BETWEEN :first AND :last AND {_IS_CHECK}""",
    f"""INSERT INTO temp.checks
        SELECT compliance_row, 0, {SHOWN} FROM compliances
        WHERE compliance_row BETWEEN :first AND :last AND NOT {_IS_CHECK}""",
    f"""INSERT INTO temp.checks
        SELECT c.compliance_row, a.audit_check,
          CASE c.compliance_result WHEN 'PASSED' THEN {PASSED} WHEN 'ERROR' THEN 0 ELSE {SHOWN} END
        FROM compliances c JOIN audit_checks a ON a.about = {_ABOUT}
        WHERE c.compliance_row BETWEEN :first AND :last AND {_IS_CHECK}""",
    """INSERT OR IGNORE INTO protocols (name) SELECT DISTINCT coalesce(protocol, '')
       FROM services WHERE service_row BETWEEN :first AND :last""",
)

_DEFINITIONS: Final = """
INSERT INTO definitions
SELECT plugin_id, digest, plugin_name, plugin_family, plugin_type, coalesce(thorough_tests, 0),
  cvss_score, coalesce(cisa_kev, 0), plugin_publication_date, cve, solution
FROM plugins p WHERE plugin_id IS NOT NULL
  AND plugin_row IN (SELECT plugin_row FROM plugin_tally WHERE scan = :scan)
  AND digest IS NOT (SELECT digest FROM definitions d WHERE d.plugin = p.plugin_id)
ORDER BY plugin_row
ON CONFLICT DO UPDATE SET digest = excluded.digest, name = excluded.name,
  family = excluded.family, type = excluded.type, thorough = excluded.thorough,
  cvss = excluded.cvss, exploited = excluded.exploited, published = excluded.published,
  cves = excluded.cves, solution = excluded.solution
RETURNING plugin
"""


def store_dimensions(
    connection: sqlite3.Connection, run: int, scan: ScanRow, coverage: ScanCoverage | None
) -> None:
    rows = {"first": scan.first_row, "last": scan.last_row, "scan": scan.scan}
    for statement in _CHECKS:
        connection.execute(statement, rows if ":first" in statement else {})
    changed = {plugin for (plugin,) in connection.execute(_DEFINITIONS, rows).fetchall()}
    for plugin in sorted(changed):
        _store_cves(connection, plugin)
    _store_plugins(connection, run, scan, coverage)


def _store_cves(connection: sqlite3.Connection, plugin: int) -> None:
    """CVEs that a plugin does not name any more still find what it found then."""
    connection.execute(
        "INSERT OR IGNORE INTO definition_cves SELECT upper(value), plugin"
        " FROM definitions, json_each(cves) WHERE plugin = ?",
        (plugin,),
    )


def _store_plugins(
    connection: sqlite3.Connection, run: int, scan: ScanRow, coverage: ScanCoverage | None
) -> None:
    """Which plugins the scan is known to have run, for the next scan of its hosts."""
    number = None
    listed = frozenset() if coverage is None else coverage.plugins or frozenset()
    if listed:
        packed = pack(listed)
        digest = blake2b(packed, digest_size=16).digest()
        connection.execute(
            "INSERT OR IGNORE INTO plugin_lists (digest, ids) VALUES (?, ?)", (digest, packed)
        )
        (number,) = connection.execute(
            "SELECT plugin_list FROM plugin_lists WHERE digest = ?", (digest,)
        ).fetchone()
    shown = pack(plugins_shown(connection, scan) - listed)
    connection.execute(
        "UPDATE runs SET whole = ?, plugin_list = ?, shown = ? WHERE run = ?",
        (None if coverage is None else coverage.whole, number, shown, run),
    )


def read_plugins(connection: sqlite3.Connection, run: int) -> frozenset[int]:
    """The plugins that a scan is known to have run."""
    shown, ids = connection.execute(
        "SELECT shown, ids FROM runs LEFT JOIN plugin_lists USING (plugin_list) WHERE run = ?",
        (run,),
    ).fetchone()
    return unpack(shown) | (frozenset() if ids is None else _listed(ids))


@lru_cache(maxsize=8)
def _listed(ids: bytes) -> frozenset[int]:
    return unpack(ids)
