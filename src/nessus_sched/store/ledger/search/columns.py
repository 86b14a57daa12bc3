"""The fields of the ledger as SQL on a row `e` of the entries."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import attrs

from nessus_sched.core.targets.labels import LABELS
from nessus_sched.results.ledger.states import State
from nessus_sched.results.model import NO_SEVERITY
from nessus_sched.store.ledger.excepted import EXCEPTED
from nessus_sched.store.ledger.regions import label_sql
from nessus_sched.store.ledger.schema import REASONS

DAY: Final = 86_400

JOINED: Final = f"""
entries e JOIN machines m ON m.machine = e.machine
LEFT JOIN definitions d ON d.plugin = e.plugin
{EXCEPTED}"""
"""Entries with all that they refer to."""


class Table(StrEnum):
    """What a field is about; entries refer to the rest."""

    ENTRIES = "entries"
    MACHINES = "machines"
    DEFINITIONS = "definitions"


@attrs.frozen
class Column:
    """`sql` is on a row of its table. `order` sorts it, if not by itself. `joined` is on a row of
    `JOINED`, if it differs there."""

    table: Table
    sql: str
    order: str | None = None
    joined: str | None = None

    @property
    def shown(self) -> str:
        """On a row of `JOINED`."""
        return self.joined or self.sql

    def of_entry(self, sql: str | None = None) -> str:
        """On a row `e` of the entries."""
        wanted = sql or self.sql
        if self.table is Table.MACHINES:
            return f"(SELECT {wanted} FROM machines m WHERE m.machine = e.machine)"
        if self.table is Table.DEFINITIONS:
            return f"(SELECT {wanted} FROM definitions d WHERE d.plugin = e.plugin)"
        return wanted

    @property
    def sort(self) -> str:
        return self.of_entry(self.order)


def columns(now: float, stale_after: float) -> Mapping[str, Column]:
    """By the name of the field; `schedule` has none."""
    words = " ".join(f"WHEN {state:d} THEN '{state.word}'" for state in State)
    reasons = " ".join(f"WHEN {number} THEN '{reason}'" for number, reason in REASONS.items())
    ended = f"CASE WHEN e.state < {State.FIXED:d} THEN {int(now)} ELSE e.since END"
    effective = f"coalesce({excepted('x.severity', now)}, e.severity)"
    return {
        "host": Column(Table.MACHINES, "m.name", "host_order(m.name)"),
        "host_ip": Column(Table.MACHINES, "m.ip", "host_order(m.ip)"),
        "host_fqdn": Column(Table.MACHINES, "m.fqdn"),
        "host_netbios_name": Column(Table.MACHINES, "m.netbios"),
        "scanner_instance": Column(Table.MACHINES, "m.scanner", "fold(m.scanner)"),
        "plugin_id": Column(Table.DEFINITIONS, "d.plugin"),
        "plugin_name": Column(Table.DEFINITIONS, "d.name", "fold(d.name)"),
        "plugin_family": Column(Table.DEFINITIONS, "d.family", "fold(d.family)"),
        "plugin_publication_date": Column(Table.DEFINITIONS, "d.published"),
        "cve": Column(Table.DEFINITIONS, "d.cves"),
        "cvss_score": Column(Table.DEFINITIONS, "d.cvss"),
        "cisa_kev": Column(Table.DEFINITIONS, "d.exploited"),
        "solution": Column(Table.DEFINITIONS, "d.solution", "fold(d.solution)"),
        "port": Column(Table.ENTRIES, "(e.service & 65535)"),
        "protocol": Column(
            Table.ENTRIES, "(SELECT p.name FROM protocols p WHERE p.protocol = e.service >> 16)"
        ),
        "compliance_check_name": Column(
            Table.ENTRIES,
            "(SELECT c.name FROM audit_checks c WHERE c.audit_check = e.audit_check)",
            "(SELECT fold(c.name) FROM audit_checks c WHERE c.audit_check = e.audit_check)",
        ),
        "severity": Column(Table.ENTRIES, "e.severity", f"nullif(e.severity, {NO_SEVERITY})"),
        "effective_severity": Column(
            Table.ENTRIES,
            effective,
            f"nullif({effective}, {NO_SEVERITY})",
            "coalesce(x.severity, e.severity)",
        ),
        "state": Column(Table.ENTRIES, f"(CASE e.state {words} END)", "e.state"),
        "first_seen": Column(Table.ENTRIES, "e.first_seen"),
        "last_seen": Column(Table.ENTRIES, "e.last_seen"),
        "fixed_at": Column(Table.ENTRIES, f"(CASE e.state WHEN {State.FIXED:d} THEN e.since END)"),
        "age_days": Column(Table.ENTRIES, f"(max({ended} - e.first_seen, 0) / {DAY})"),
        "times_resurfaced": Column(Table.ENTRIES, "e.resurfaced"),
        "unverified": Column(Table.ENTRIES, f"(CASE e.reason {reasons} END)"),
        "stale": Column(
            Table.ENTRIES,
            f"(e.state < {State.FIXED:d} AND {now:f} - e.last_seen > {stale_after:f})",
        ),
        "exception": Column(Table.ENTRIES, excepted("x.kind", now), joined="x.kind"),
        "exception_id": Column(
            Table.ENTRIES, excepted("x.exception_id", now), joined="x.exception_id"
        ),
        **{name: Column(Table.MACHINES, label_sql(name)) for name in LABELS},
        "task_id": Column(Table.ENTRIES, "(SELECT r.task_id FROM runs r WHERE r.run = e.last_run)"),
    }


def excepted(what: str, now: float) -> str:
    """A value of the exception `x` that counts for an entry `e`; null without one."""
    return (
        f"(SELECT {what} FROM excepted y JOIN exceptions x ON x.number = y.number"
        f" AND x.expires > {now:f} WHERE y.machine = e.machine AND y.plugin = e.plugin"
        " AND y.service = e.service AND y.audit_check = e.audit_check)"
    )
