"""Gathers what the report for a team says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nessus_sched.api.reporting.open_findings import Finder
from nessus_sched.api.reporting.scope import Asked
from nessus_sched.config.delivery import SlaSettings
from nessus_sched.results.absence import MEANINGS, Reason
from nessus_sched.results.reports import team
from nessus_sched.results.reports.grouping import Found, found_of
from nessus_sched.results.reports.period import Period

MOST: Final = 10_000
"""Findings in a report; the least serious are left out."""
_FIELDS: Final = (
    "host", "port", "protocol", "plugin_id", "plugin_name", "compliance_check_name",
    "effective_severity", "cisa_kev",
    "solution", "first_seen", "unverified",
)  # fmt: skip


async def gather(finder: Finder, period: Period, _asked: Asked) -> dict[str, Any]:
    rows, total = await finder.rows(finder.serious, _FIELDS, MOST)
    sla = finder.app.config.sla
    found = [_found(row, sla) for row in rows]
    failed = [_found(row, None) for row in await finder.failed_checks(_FIELDS, MOST)]
    document = team.document(found, total, period, finder.now, sla.due_soon, failed)
    return {**document, "period": ""}


def _found(row: Mapping[str, Any], sla: SlaSettings | None) -> Found:
    why = row["unverified"]
    return found_of(
        host=row["host"], port=row["port"], protocol=row["protocol"], since=row["first_seen"],
        plugin_id=row["plugin_id"], name=row["plugin_name"],
        severity=row["effective_severity"], solution=row["solution"],
        exploited=bool(row["cisa_kev"]), sla=sla, check=row["compliance_check_name"],
        note=MEANINGS[Reason(why)][0] if why else None,
    )  # fmt: skip
