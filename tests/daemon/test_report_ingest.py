"""What a stored summary says about the scan beyond its report."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import attrs
import pytest

from nessus_sched.core.task import Ending, Part, Report, ScanKind, ScanRequest, Split, Task
from nessus_sched.daemon.report_ingest import Reports
from nessus_sched.results.query.model import Query
from nessus_sched.results.scan_warnings import cautions
from nessus_sched.scheduler.driver import endings
from nessus_sched.store.exports import ExportStore
from nessus_sched.store.findings.store import open_findings
from support.nessus_xml import document, host, item, output

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


@pytest.mark.parametrize(
    ("changes", "advised"),
    [({}, False), ({"credentials": ("linux",)}, True), ({"policy": "own logins"}, True)],
)
async def test_advice_on_logins_is_for_scans_that_were_to_log_in(
    tmp_path: Path, changes: dict[str, Any], advised: bool
) -> None:
    path = tmp_path / "scan.nessus"
    path.write_bytes(document(host("192.0.2.1", item(110723))))
    findings = await open_findings(tmp_path / "findings.db")
    try:
        reports = Reports(findings, ExportStore(tmp_path / "exports"), lambda: 0.0)
        task = attrs.evolve(TASK, request=attrs.evolve(TASK.request, **changes))
        summary = await reports.digest(task, [path], None)
    finally:
        await findings.aclose()
    assert bool(summary["verdict"]["advice"]) is advised


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (None, "The scan ended early: why. It finished"),
        (Split(groups=()), "Some targets have no results: why. Hosts scanned to the end: 1 of 1."),
    ],
)
async def test_partial_results_say_what_they_are(
    tmp_path: Path, split: Split | None, said: str
) -> None:
    path = tmp_path / "scan.nessus"
    path.write_bytes(document(host("192.0.2.1")))
    findings = await open_findings(tmp_path / "findings.db")
    try:
        reports = Reports(findings, ExportStore(tmp_path / "exports"), lambda: 0.0)
        task = attrs.evolve(TASK, partial="why", split=split)
        summary = await reports.digest(task, [path], None)
    finally:
        await findings.aclose()
    assert any(said in each for each in cautions(summary))


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


ENDED = {"HOST_START": "Mon Mar  3 10:00:00 2025", "HOST_END": "Mon Mar  3 10:10:00 2025"}
INFORMATION = item(19506, output("Information about this scan :\n"))


def alive(name: str) -> str:
    return host(name, INFORMATION, item(11219, port=22), tags=ENDED)


async def test_each_host_is_from_the_scanner_whose_report_has_it(tmp_path: Path) -> None:
    exports = ExportStore(tmp_path / "exports")
    exports.prepare()
    first = exports.write("t-1", io.BytesIO(document(alive("192.0.2.1"))), attempt=1)
    path = tmp_path / "scan.nessus"
    quiet = host("192.0.2.3", INFORMATION, tags=ENDED)
    path.write_bytes(document(alive("192.0.2.2"), quiet))
    task = attrs.evolve(
        TASK,
        request=attrs.evolve(TASK.request, targets=("192.0.2.0/29",)),
        remaining=("192.0.2.6/31",),
        scanner_instance="b",
        reports=(Report(attempt=1, scanner_instance="a", file=first, at=0.0, whole=False),),
    )
    findings = await open_findings(tmp_path / "findings.db")
    try:
        reports = Reports(findings, exports, lambda: 0.0)
        summary = await reports.digest(task, [reports.kept(first), path], None)
        hosts = await findings.hosts("t-1", Query())
        part = attrs.evolve(
            task, part=Part(task_id="t-9", number=1, group=0, start=0, size=8, hosts=8)
        )
        of_part = await reports.digest(part, [reports.kept(first), path], None)
    finally:
        await findings.aclose()
    assert {each.name: each.scanner_instance for each in hosts} == {
        "192.0.2.1": "a", "192.0.2.2": "b", "192.0.2.3": "b",
    }  # fmt: skip
    assert (
        summary["coverage"]
        == of_part["coverage"]
        == {
            "requested": 8,
            "answered": 2,
            "silent": 4,
            "not_reached": 2,
            "not_reached_targets": ["192.0.2.6/31"],
            "not_reached_left_out": 0,
        }
    )
