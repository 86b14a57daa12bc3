"""The full row of a finding, put together as the stores do it, for comparison."""

from __future__ import annotations

from typing import Any, Final

from nessus_sched.results.catalog import FIELDS, Part, Value
from nessus_sched.results.model import ComplianceResult, Finding, HostReport

_NO_COMPLIANCE: Final = ComplianceResult()


def flatten(host: HostReport, finding: Finding) -> dict[str, Value]:
    """The full row of a finding, with a value for each of `FIELDS`."""
    sources: dict[Part, Any] = {
        Part.FINDING: finding,
        Part.PLUGIN: finding.plugin,
        Part.COMPLIANCE: finding.compliance or _NO_COMPLIANCE,
        Part.HOST: host,
    }
    return {field.name: getattr(sources[field.part], field.attribute) for field in FIELDS.values()}
