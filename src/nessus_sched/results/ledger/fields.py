"""The fields of a finding in the ledger, by which searches of the present filter and sort."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs

from nessus_sched.core.exceptions.rule import ExceptionKind
from nessus_sched.core.targets.labels import LABELS
from nessus_sched.results.absence import Reason
from nessus_sched.results.columns import Kind
from nessus_sched.results.ledger.states import State
from nessus_sched.results.query.catalogs import STORED, Catalog

OPEN_WORD: Final = "open"
"""In filters, for every state but fixed."""


@attrs.frozen(kw_only=True)
class LedgerField:
    """`words` are all values that a text can have; empty for any text."""

    name: str
    kind: Kind
    doc: str
    words: tuple[str, ...] = ()


_STATES: Final = (*(state.word for state in State), OPEN_WORD)
_FIELDS: Final = (
    LedgerField(name="host", kind=Kind.TEXT, doc="Address or name that was scanned."),
    LedgerField(name="host_ip", kind=Kind.TEXT, doc="Its address."),
    LedgerField(name="host_fqdn", kind=Kind.TEXT, doc="Its DNS name, as the host gave it."),
    LedgerField(name="host_netbios_name", kind=Kind.TEXT, doc="Its NetBIOS name."),
    LedgerField(name="port", kind=Kind.INTEGER, doc="0: the host itself."),
    LedgerField(name="protocol", kind=Kind.TEXT, doc="tcp, udp ..."),
    LedgerField(name="severity", kind=Kind.SEVERITY, doc="The scanner's severity."),
    LedgerField(
        name="effective_severity", kind=Kind.SEVERITY, doc="The severity after exceptions."
    ),
    LedgerField(name="plugin_id", kind=Kind.INTEGER, doc="Id of the check."),
    LedgerField(name="plugin_name", kind=Kind.TEXT, doc="Title of the check."),
    LedgerField(name="plugin_family", kind=Kind.TEXT, doc="Family of the check."),
    LedgerField(
        name="plugin_publication_date", kind=Kind.DATE, doc="When the check was published."
    ),
    LedgerField(name="compliance_check_name", kind=Kind.TEXT, doc="The compliance check."),
    LedgerField(name="cve", kind=Kind.LIST, doc="CVEs."),
    LedgerField(name="cvss_score", kind=Kind.NUMBER, doc="Best known CVSS score."),
    LedgerField(name="cisa_kev", kind=Kind.FLAG, doc="Known to be exploited."),
    LedgerField(name="solution", kind=Kind.TEXT, doc="What to do about it."),
    LedgerField(
        name="state", kind=Kind.TEXT, words=_STATES,
        doc="new (one scan), active, resurfaced (back after a fix) or fixed.",
    ),
    LedgerField(name="first_seen", kind=Kind.TIME, doc="Time of the first scan that showed it."),
    LedgerField(name="last_seen", kind=Kind.TIME, doc="Time of the last scan that showed it."),
    LedgerField(name="fixed_at", kind=Kind.TIME, doc="Time of the scan that proved it gone."),
    LedgerField(
        name="age_days", kind=Kind.INTEGER,
        doc="Days since first seen; of fixed ones, until fixed.",
    ),
    LedgerField(
        name="times_resurfaced", kind=Kind.INTEGER, doc="How often it came back after a fix."
    ),
    LedgerField(
        name="unverified", kind=Kind.TEXT, words=tuple(reason.value for reason in Reason),
        doc="Why the latest scan could not confirm it.",
    ),
    LedgerField(name="stale", kind=Kind.FLAG, doc="Open, and not seen for long."),
    LedgerField(
        name="exception", kind=Kind.TEXT, words=tuple(kind.value for kind in ExceptionKind),
        doc="Kind of its exception.",
    ),
    LedgerField(name="exception_id", kind=Kind.TEXT, doc="Id of its exception."),
    LedgerField(name="owner", kind=Kind.TEXT, doc="Who fixes the host, from `labels`."),
    LedgerField(name="site", kind=Kind.TEXT, doc="Where the host is, from `labels`."),
    LedgerField(
        name="criticality", kind=Kind.TEXT, doc="How important the host is, from `labels`."
    ),
    LedgerField(
        name="scanner_instance", kind=Kind.TEXT, doc="The scanner that scanned its host last."
    ),
    LedgerField(
        name="schedule", kind=Kind.TEXT,
        doc="Schedule of the scan that showed it last or proved it gone.",
    ),
    LedgerField(
        name="task_id", kind=Kind.TEXT, doc="The scan that showed it last or proved it gone."
    ),
)  # fmt: skip

LEDGER_FIELDS: Final[Mapping[str, LedgerField]] = MappingProxyType(
    {field.name: field for field in _FIELDS}
)
FILTERS_ONLY: Final = frozenset({"schedule"})
"""Fields that are in no row and give no order."""

_OPTIONAL: Final = (
    "host_fqdn", "compliance_check_name", "effective_severity", "exception", "exception_id",
    "unverified", "stale", "fixed_at", *LABELS,
)  # fmt: skip
_MINIMAL: Final = (
    "host", "port", "protocol", "severity", "effective_severity", "exception", "plugin_id",
    "plugin_name", "compliance_check_name", "cve", "cvss_score", "cisa_kev", "state", "age_days",
    "unverified",
)  # fmt: skip
_SUMMARY: Final = (
    "host", "host_fqdn", "port", "protocol", "severity", "effective_severity", "exception",
    "exception_id",
    "plugin_id", "plugin_name", "compliance_check_name", "cve", "cvss_score", "cisa_kev", "state",
    "first_seen", "last_seen", "fixed_at", "age_days", "unverified", "stale",
)  # fmt: skip

LEDGER: Final = Catalog(
    fields=LEDGER_FIELDS,
    profiles={
        "minimal": _MINIMAL,
        "summary": _SUMMARY,
        "brief": (*_SUMMARY, "solution"),
        "full": tuple(name for name in LEDGER_FIELDS if name not in FILTERS_ONLY),
    },
    optional=_OPTIONAL,
    filters_only=FILTERS_ONLY,
    known=tuple(dict.fromkeys((*LEDGER_FIELDS, *STORED.fields))),
)
