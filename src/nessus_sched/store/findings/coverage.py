"""Stores the coverage of scans: the facts behind "fixed" and "not checked"."""

from __future__ import annotations

import json
import sqlite3
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from hashlib import blake2b

import attrs

from nessus_sched.results.coverage import HostCoverage, ScanCoverage, from_data
from nessus_sched.results.identity import HostNames
from nessus_sched.results.reached import ScannedHost
from nessus_sched.store.findings.sql import ScanRow


@attrs.frozen(kw_only=True)
class StoredHost:
    """A host of a scan. `facts` is its stored coverage, identical for equal coverages; None if
    unknown."""

    row: int
    names: HostNames
    facts: str | None

    @property
    def coverage(self) -> HostCoverage | None:
        return None if self.facts is None else from_data(json.loads(self.facts))


def store_coverage(
    connection: sqlite3.Connection, scan: int, first: int, coverage: ScanCoverage
) -> None:
    """`first` is the row of the scan's first host."""
    plugin_set = None if coverage.plugins is None else _plugin_set(connection, coverage.plugins)
    scanners = [(first + index, scanner) for index, scanner in coverage.scanners]
    connection.execute(
        "INSERT INTO scan_coverage VALUES (?, ?, ?, ?, ?)",
        (scan, coverage.whole, coverage.targets, plugin_set, json.dumps(scanners)),
    )


def _plugin_set(connection: sqlite3.Connection, ids: Iterable[int]) -> int:
    packed = pack(ids)
    digest = blake2b(packed, digest_size=16).digest()
    connection.execute(
        "INSERT OR IGNORE INTO plugin_sets (digest, ids) VALUES (?, ?)", (digest, packed)
    )
    (number,) = connection.execute(
        "SELECT plugin_set FROM plugin_sets WHERE digest = ?", (digest,)
    ).fetchone()
    assert isinstance(number, int)
    return number


def pack(ids: Iterable[int]) -> bytes:
    """Packs the differences of the sorted ids, which takes a tenth of the text."""
    steps = array("Q")
    last = 0
    for each in sorted(ids):
        steps.append(each - last)
        last = each
    return zlib.compress(steps.tobytes())


def unpack(packed: bytes) -> frozenset[int]:
    """The inverse of `pack`."""
    steps = array("Q")
    steps.frombytes(zlib.decompress(packed))
    found = set()
    last = 0
    for step in steps:
        last += step
        found.add(last)
    return frozenset(found)


def forget_coverage(connection: sqlite3.Connection, scan: int) -> None:
    """Deletes a scan's coverage, and its plugin list if no other scan uses it."""
    connection.execute("DELETE FROM scan_coverage WHERE scan = ?", (scan,))
    connection.execute(
        "DELETE FROM plugin_sets WHERE plugin_set NOT IN"
        " (SELECT plugin_set FROM scan_coverage WHERE plugin_set IS NOT NULL)"
    )


def read_coverage(connection: sqlite3.Connection, scan: ScanRow) -> ScanCoverage | None:
    """The coverage of a scan, or None if unknown."""
    if not knows_coverage(connection):
        return None
    row = connection.execute(
        "SELECT whole, targets, ids FROM scan_coverage LEFT JOIN plugin_sets USING (plugin_set)"
        " WHERE scan = ?",
        (scan.scan,),
    ).fetchone()
    if row is None:
        return None
    whole, targets, ids = row
    plugins = None if ids is None else unpack(ids)
    return ScanCoverage(whole=bool(whole), targets=targets, plugins=plugins)


def read_targets(connection: sqlite3.Connection, scan: ScanRow) -> str | None:
    """The target list of the scan's policy."""
    if not knows_coverage(connection):
        return None
    row = connection.execute(
        "SELECT targets FROM scan_coverage WHERE scan = ?", (scan.scan,)
    ).fetchone()
    return None if row is None else row[0]


def knows_coverage(connection: sqlite3.Connection) -> bool:
    """False for a file from an older version that no daemon has opened since."""
    (found,) = connection.execute(
        "SELECT count(*) FROM pragma_table_info('host_coverage')"  # also in an attached file
    ).fetchone()
    return bool(found)


def read_hosts(connection: sqlite3.Connection, scan: ScanRow) -> list[StoredHost]:
    facts, join = ("NULL", "")
    if knows_coverage(connection):
        facts, join = "facts", " LEFT JOIN host_coverage USING (host_row)"
    found = connection.execute(
        "SELECT host_row, host, host_ip, host_fqdn, host_netbios_name, host_mac_address,"
        f" {facts} FROM hosts{join} WHERE host_row BETWEEN ? AND ?",
        scan.rows,
    )
    return [
        StoredHost(
            row=row,
            names=HostNames(
                key=key,
                ip=ip,
                fqdn=fqdn,
                netbios=netbios,
                macs=() if macs is None else tuple(json.loads(macs)),
            ),
            facts=known,
        )
        for row, key, ip, fqdn, netbios, macs, known in found
    ]


def read_scanned_hosts(
    connection: sqlite3.Connection, scan: ScanRow, names: Collection[str] | None = None
) -> list[ScannedHost]:
    """The hosts of a scan with these names (None: all), in the report's order."""
    scanners = scanner_runs(connection, scan)
    starts = [first for first, _ in scanners]
    facts, join = "NULL, NULL", ""
    if knows_coverage(connection):
        facts = "json_extract(facts, '$.answered'), json_extract(facts, '$.ended')"
        join = " LEFT JOIN host_coverage USING (host_row)"
    rows = connection.execute(
        "SELECT host_row, host, host_ip, host_fqdn, host_ended_at, host_local_end, host_login,"
        f" host_logins, {facts} FROM hosts{join} WHERE host_row BETWEEN ? AND ?",
        scan.rows,
    )
    found = []
    for row, name, ip, fqdn, ended_at, local_end, login, logins, answered, ended in rows:
        if names is not None and name not in names:
            continue
        place = bisect_right(starts, row) - 1
        found.append(
            ScannedHost(
                name=name,
                ip=ip,
                fqdn=fqdn,
                answered=answered is None or bool(answered),
                ended=ended is None or bool(ended),
                scanner_instance=scanners[place][1] if place >= 0 else None,
                ended_at=local_end if ended_at is None else _iso(ended_at),
                login=login,
                logins=tuple(json.loads(logins)) if logins else (),
            )
        )
    return found


def scanner_runs(connection: sqlite3.Connection, scan: ScanRow) -> list[tuple[int, str]]:
    """For each run of hosts that one scanner scanned, the row of its first host and the
    scanner's id."""
    columns = connection.execute("SELECT name FROM pragma_table_info('scan_coverage')")
    if ("scanners",) not in columns.fetchall():
        return []  # a file from an older version that no daemon has opened since
    row = connection.execute(
        "SELECT scanners FROM scan_coverage WHERE scan = ?", (scan.scan,)
    ).fetchone()
    return [] if row is None or row[0] is None else [(at, name) for at, name in json.loads(row[0])]


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def plugins_shown(connection: sqlite3.Connection, scan: ScanRow) -> frozenset[int]:
    """The ids of the plugins with findings in a scan, which certainly ran in it."""
    found = connection.execute(
        "SELECT plugin_id FROM plugins WHERE plugin_row IN"
        " (SELECT plugin_row FROM plugin_tally WHERE scan = ?) AND plugin_id IS NOT NULL",
        (scan.scan,),
    )
    return frozenset(plugin_id for (plugin_id,) in found)
