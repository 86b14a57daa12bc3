"""What a stored summary says about the scan beyond its report."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from nessus_sched.core.task import Ending, ScanKind, ScanRequest, Task
from nessus_sched.daemon.report_ingest import Reports
from nessus_sched.results.scan_warnings import cautions
from nessus_sched.scheduler.driver import endings
from nessus_sched.store.exports import ExportStore
from nessus_sched.store.findings.store import open_findings
from support.nessus_xml import document, host

TASK = Task(
    task_id="t-1",
    trace_id="x",
    request=ScanRequest(kind=ScanKind.BASIC, targets=("192.0.2.1",)),
    actor="me",
    created_at=0.0,
    order=1,
    scanner_instance="a",
)


@pytest.mark.parametrize("ending", [None, endings.edited("it has other targets")])
async def test_the_summary_of_an_edited_scan_says_so(tmp_path: Path, ending: Ending | None) -> None:
    path = tmp_path / "scan.nessus"
    path.write_bytes(document(host("192.0.2.1")))
    findings = await open_findings(tmp_path / "findings.db")
    try:
        reports = Reports(findings, ExportStore(tmp_path / "exports"), lambda: 0.0)
        summary = await reports.digest(attrs.evolve(TASK, ending=ending), [path], None)
    finally:
        await findings.aclose()
    assert any("edited the targets" in said for said in cautions(summary)) is bool(ending)
