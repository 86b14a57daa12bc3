"""Summaries that older versions stored, in today's form. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nessus_sched.core.text import pluralize

CHECKS_AMONG_FINDINGS: Final = "checks_among_findings"
"""The code of a warning."""


def upgraded(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """With compliance checks counted apart. Where the severities of the checks are not known, a
    warning says that they are among those of the findings."""
    checks = summary.get("compliance")
    if "compliance_counts" in summary or not isinstance(checks, Mapping):
        return summary
    rest = {key: value for key, value in summary.items() if key != "compliance_severities"}
    found = {**rest, "compliance_counts": dict(checks)}
    of_checks = summary.get("compliance_severities")
    if isinstance(of_checks, Mapping):
        counts = summary.get("severity_counts", {})
        apart = {name: count - of_checks.get(name, 0) for name, count in counts.items()}
        return {**found, "severity_counts": apart}
    if not checks:
        return found
    warning = {
        "code": CHECKS_AMONG_FINDINGS,
        "message": "An older version stored this summary: its counts by severity include "
        f"{pluralize(sum(checks.values()), 'compliance check')}.",
        "advice": "To see them separately, count the findings again: get_scan_results, "
        "`results show`.",
    }
    return {**found, "warnings": [*summary.get("warnings", ()), warning]}
