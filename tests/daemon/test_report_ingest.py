"""What a stored summary says about the scan beyond its report."""

from __future__ import annotations

import io
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


async def test_a_kept_report_that_someone_deleted_is_left_out(tmp_path: Path) -> None:
    exports = ExportStore(tmp_path / "exports")
    exports.prepare()
    kept = exports.write("t-1", io.BytesIO(document(host("192.0.2.1"))), attempt=1)
    path = tmp_path / "scan.nessus"
    path.write_bytes(document(host("192.0.2.2")))
    findings = await open_findings(tmp_path / "findings.db")
    try:
        reports = Reports(findings, exports, lambda: 0.0)
        paths = [reports.kept(kept), path]
        assert (await reports.digest(TASK, paths, None))["hosts"] == 2
        packed = paths[0].read_bytes()
        paths[0].write_bytes(packed[: len(packed) // 2])
        damaged = await reports.digest(TASK, paths, None)
        assert not damaged["complete"]
        paths[0].unlink()
        assert (await reports.digest(TASK, paths, None))["hosts"] == 1
    finally:
        await findings.aclose()
