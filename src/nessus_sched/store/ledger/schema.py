"""The ledger's tables.

An entry is a finding that was ever seen, a narrow row of numbers. Entries are in the order of
their machines, so that a host's page is one range. Times are epoch seconds of scans. Names of
tables differ from those of the findings database, which is attached while a scan is applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from nessus_sched.results.absence import Reason
from nessus_sched.store.migrations import Schema

REASON_NUMBERS: Final[Mapping[Reason, int]] = MappingProxyType(
    {
        Reason.UNKNOWN: 1,
        Reason.REPORT_INCOMPLETE: 2,
        Reason.HOST_NOT_SCANNED: 3,
        Reason.HOST_DOWN: 4,
        Reason.HOST_CHANGED: 5,
        Reason.HOST_UNFINISHED: 6,
        Reason.CHECK_NOT_RUN: 7,
        Reason.PLUGIN_NOT_RUN: 8,
        Reason.SETTINGS_WEAKER: 9,
        Reason.LOGIN_FAILED: 10,
        Reason.PORT_NOT_SCANNED: 11,
    }
)
"""0 stands for no reason. Never change one."""
REASONS: Final = {number: reason for reason, number in REASON_NUMBERS.items()}
FIRST_SCAN: Final = 100
"""The cause of entries from the first scan of a host. That of others is 0 if the scan before
would have shown them, or the number of the reason why not."""

_DDL: Final = """
-- One row per scan that was applied. `source` is its number in the findings database. `shown` are
-- the plugins that it has findings of, `plugin_list` those that its report lists as active.
CREATE TABLE runs (
  run INTEGER PRIMARY KEY, task_id TEXT NOT NULL UNIQUE, source INTEGER NOT NULL,
  at INTEGER, applied_at INTEGER NOT NULL, series TEXT NOT NULL,
  whole INTEGER, plugin_list INTEGER, shown BLOB,
  hosts INTEGER NOT NULL DEFAULT 0, late INTEGER NOT NULL DEFAULT 0,
  undated INTEGER NOT NULL DEFAULT 0, new INTEGER NOT NULL DEFAULT 0,
  resurfaced INTEGER NOT NULL DEFAULT 0, fixed INTEGER NOT NULL DEFAULT 0,
  unverified INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX runs_by_time ON runs (at);
CREATE TABLE plugin_lists (
  plugin_list INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, ids BLOB NOT NULL
);
-- What a scan could see on a host (results.coverage), and what it knew of the machine.
CREATE TABLE facts (fact INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE views (
  view INTEGER PRIMARY KEY, machine INTEGER NOT NULL, fact INTEGER,
  name TEXT NOT NULL, ip TEXT, fqdn TEXT, netbios TEXT, macs TEXT
);
-- `at` is when a scan last reported it, and `run` that scan; `tried_at` and `tried_run` are those
-- of the latest scan that it was a target of. `address` is a number of core.targets.ranges.
CREATE TABLE machines (
  machine INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  ip TEXT, fqdn TEXT, netbios TEXT, address BLOB,
  at INTEGER NOT NULL, run INTEGER NOT NULL, view INTEGER,
  tried_at INTEGER NOT NULL, tried_run INTEGER NOT NULL,
  first_seen INTEGER, last_answered INTEGER, last_whole INTEGER, last_login INTEGER,
  login TEXT, logins TEXT, scanner TEXT,
  critical INTEGER NOT NULL DEFAULT 0, high INTEGER NOT NULL DEFAULT 0,
  medium INTEGER NOT NULL DEFAULT 0, low INTEGER NOT NULL DEFAULT 0,
  info INTEGER NOT NULL DEFAULT 0, unknown INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX machines_by_address ON machines (address);
CREATE INDEX machines_by_name ON machines (name);
CREATE INDEX machines_by_ip ON machines (ip);
CREATE INDEX machines_by_fqdn ON machines (fqdn);
CREATE INDEX machines_by_netbios ON machines (netbios);
CREATE TABLE definitions (
  plugin INTEGER PRIMARY KEY, digest BLOB NOT NULL, name TEXT, family TEXT, type TEXT,
  thorough INTEGER NOT NULL, cvss REAL, exploited INTEGER NOT NULL, published TEXT,
  cves TEXT, solution TEXT
);
CREATE TABLE definition_cves (
  cve TEXT NOT NULL, plugin INTEGER NOT NULL, PRIMARY KEY (cve, plugin)
) WITHOUT ROWID;
CREATE TABLE audit_checks (
  audit_check INTEGER PRIMARY KEY, about TEXT NOT NULL UNIQUE, name TEXT
);
CREATE TABLE protocols (protocol INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
INSERT INTO protocols VALUES (0, 'tcp'), (1, 'udp'), (2, 'icmp');
-- `service` is the port plus 65,536 times the protocol. `audit_check` is 0 for all but audits.
CREATE TABLE entries (
  machine INTEGER NOT NULL, plugin INTEGER NOT NULL, service INTEGER NOT NULL,
  audit_check INTEGER NOT NULL,
  state INTEGER NOT NULL, reason INTEGER NOT NULL, severity INTEGER NOT NULL,
  first_severity INTEGER NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,
  since INTEGER NOT NULL, unverified_since INTEGER, changed INTEGER NOT NULL,
  resurfaced INTEGER NOT NULL, cause INTEGER NOT NULL,
  first_run INTEGER NOT NULL, last_run INTEGER NOT NULL, view INTEGER NOT NULL,
  PRIMARY KEY (machine, plugin, service, audit_check)
) WITHOUT ROWID;
CREATE INDEX open_by_plugin ON entries (plugin, machine) WHERE state < 3;
CREATE INDEX open_by_severity ON entries (severity, machine) WHERE state < 3 AND severity > 0;
CREATE INDEX entries_by_change ON entries (changed) WHERE severity <> 0;
"""

_EXCEPTIONS: Final = """
-- The exceptions that were in force when `excepted` was made, from wide to narrow; `expires` is in
-- epoch seconds. `excepted` has the one that counts for each open entry.
CREATE TABLE exceptions (
  number INTEGER PRIMARY KEY, exception_id TEXT NOT NULL, kind TEXT NOT NULL, severity INTEGER,
  expires REAL NOT NULL
);
CREATE TABLE excepted (
  machine INTEGER NOT NULL, plugin INTEGER NOT NULL, service INTEGER NOT NULL,
  audit_check INTEGER NOT NULL, number INTEGER NOT NULL,
  PRIMARY KEY (machine, plugin, service, audit_check)
) WITHOUT ROWID;
"""

_REACH: Final = """
-- What each scan has finished with: addresses, numbers of core.targets.ranges, or a name. `at` is
-- when it began.
CREATE TABLE tries (run INTEGER NOT NULL, at INTEGER NOT NULL, first BLOB, last BLOB, name TEXT);
CREATE INDEX tries_by_run ON tries (run);
-- How the logins of a scan went, on the hosts that answered. `credentials` are the names of those
-- that it was given, as a list in JSON.
CREATE TABLE run_logins (
  run INTEGER PRIMARY KEY, credentials TEXT NOT NULL, hosts INTEGER NOT NULL,
  full INTEGER NOT NULL, partial INTEGER NOT NULL, failed INTEGER NOT NULL
);
"""

_RANKED: Final = """
-- Together these lead to the open entries in the order of a search, worst first.
CREATE INDEX definitions_by_rank ON definitions (exploited DESC, cvss DESC);
DROP INDEX open_by_severity;
CREATE INDEX open_by_severity ON entries (severity, plugin, machine)
  WHERE state < 3 AND severity <> 0;
"""

_HISTORY: Final = """
-- What changed about each entry after it was first seen, in the order in which it was entered:
-- state (`new` to `active` is no change), reason or severity. `was_...` is what it was before.
-- Times of an entry's moves never decrease. `run` is 0 for what was entered before there were
-- moves: made up from the entries, it has only the latest change of each.
CREATE TABLE moves (
  move INTEGER PRIMARY KEY, machine INTEGER NOT NULL, plugin INTEGER NOT NULL,
  service INTEGER NOT NULL, audit_check INTEGER NOT NULL, at INTEGER NOT NULL, run INTEGER NOT NULL,
  was_state INTEGER NOT NULL, was_reason INTEGER NOT NULL, was_severity INTEGER NOT NULL,
  was_since INTEGER NOT NULL, was_unverified_since INTEGER, was_resurfaced INTEGER NOT NULL,
  was_last_seen INTEGER NOT NULL,
  state INTEGER NOT NULL, reason INTEGER NOT NULL, severity INTEGER NOT NULL
);
INSERT INTO moves SELECT NULL, machine, plugin, service, audit_check, last_seen, 0,
  iif(resurfaced, 2, 1), 0, first_severity, first_seen, NULL, resurfaced, last_seen,
  iif(resurfaced, 2, 1), 0, severity
FROM entries WHERE severity <> first_severity;
INSERT INTO moves SELECT NULL, machine, plugin, service, audit_check, max(since, last_seen), 0,
  iif(resurfaced, 2, 1), 0, severity, first_seen, NULL, resurfaced, last_seen, 3, 0, severity
FROM entries WHERE state = 3;
INSERT INTO moves SELECT NULL, machine, plugin, service, audit_check,
  max(unverified_since, last_seen), 0, iif(resurfaced, 2, 1), 0, severity, since, NULL, resurfaced,
  last_seen, state, reason, severity
FROM entries WHERE reason <> 0 AND unverified_since IS NOT NULL;
CREATE INDEX moves_by_entry ON moves (machine, plugin, service, audit_check, at);
CREATE INDEX moves_by_run ON moves (run);
-- Which scans reported each machine; `first` was the first. Of earlier scans only the latest.
CREATE TABLE visits (
  machine INTEGER NOT NULL, at INTEGER NOT NULL, run INTEGER NOT NULL, view INTEGER NOT NULL,
  answered INTEGER NOT NULL, first INTEGER NOT NULL,
  PRIMARY KEY (machine, at, run)
) WITHOUT ROWID;
INSERT INTO visits SELECT machine, at, run, view, last_answered IS at, 0 FROM machines
WHERE view IS NOT NULL;
CREATE INDEX first_visits ON visits (run, machine) WHERE first;
CREATE INDEX entries_by_first_run ON entries (first_run) WHERE cause <> 100;
-- What a plugin said until a time.
CREATE TABLE past_definitions (
  plugin INTEGER NOT NULL, until INTEGER NOT NULL, name TEXT, exploited INTEGER NOT NULL, cves TEXT,
  solution TEXT
);
CREATE INDEX past_definitions_by_plugin ON past_definitions (plugin);
"""

_CHECKS: Final = """
-- To count the checks of audits apart.
CREATE INDEX entries_by_check ON entries (plugin, machine, severity, state) WHERE audit_check <> 0;
"""

SCHEMA: Final = Schema(
    name="ledger.db",
    application_id=0x4E534C47,
    steps=(_DDL, _EXCEPTIONS, _REACH, _RANKED, _HISTORY, _CHECKS),
)
