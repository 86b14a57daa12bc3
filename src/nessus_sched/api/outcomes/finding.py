"""A finding of the ledger as every answer shows it: the fields of a search's profile `summary`."""

from __future__ import annotations

from typing import Any, Final

from nessus_sched.api.answers import iso
from nessus_sched.results.ledger.fields import LEDGER
from nessus_sched.results.ledger.questions import MOST_CVES, Entry
from nessus_sched.results.model import NO_SEVERITY, severity_name
from nessus_sched.results.untrusted import clean_line

DAY: Final = 86_400.0
FINDING: Final = (
    "host, host_fqdn, port, protocol, severity, plugin_id, plugin_name, cve, cvss_score, cisa_kev, "
    "state, first_seen, last_seen, age_days, task_id, as in search_findings; if they apply, "
    "exception (its kind), exception_id, effective_severity, unverified (why the latest scan "
    "could not confirm it), fixed_at, stale"
)
"""Documents rows made by `finding_document`."""


def finding_document(entry: Entry, now: float, stale_after: float) -> dict[str, Any]:
    """The finding at `now` (epoch seconds); optional fields are left out if they do not apply."""
    life, exception = entry.life, entry.exception
    end = now if life.open else life.since
    found = {
        "host": clean_line(entry.host, 255),
        "host_fqdn": clean_line(entry.fqdn, 255) if entry.fqdn else None,
        "port": entry.port,
        "protocol": entry.protocol,
        "severity": _severity(entry.severity),
        "effective_severity": _severity(entry.effective_severity) if exception else None,
        "exception": exception.kind.value if exception else None,
        "exception_id": exception.exception_id if exception else None,
        "plugin_id": entry.plugin_id,
        "plugin_name": clean_line(entry.name, 200) if entry.name else None,
        "compliance_check_name": clean_line(entry.check, 200) if entry.check else None,
        "cve": list(entry.cves[:MOST_CVES]),
        "cvss_score": entry.cvss,
        "cisa_kev": entry.exploited,
        "state": life.state.word,
        "first_seen": iso(life.first_seen),
        "last_seen": iso(life.last_seen),
        "fixed_at": None if life.open else iso(life.since),
        "age_days": max(int((end - life.first_seen) // DAY), 0),
        "unverified": None if life.reason is None else life.reason.value,
        "stale": life.open and now - life.last_seen > stale_after,
        "task_id": entry.last_task_id,
    }
    return {
        name: value
        for name, value in found.items()
        if name not in LEDGER.optional or value not in (None, False)
    }


def _severity(number: int) -> str:
    return severity_name(None if number == NO_SEVERITY else number)
