"""Exports: loading, ready, downloaded once; failures; other formats; large ones."""

from __future__ import annotations

import csv
import io
import tracemalloc
from typing import Any

import pytest

from nessus_sched.sim import Fault, FaultKind
from nessus_sched.sim.messages import Response
from support.sim import Caller, HandClock, hand_driven


def finished(**options: Any) -> tuple[Caller, HandClock, int]:
    call, clock = hand_driven(scans_take=1.0, **options)
    scan_id = call.create(targets="192.0.2.1,192.0.2.9")
    call.launch(scan_id)
    clock.pass_time(2.0)
    return call, clock, scan_id


def begun(call: Caller, scan_id: int, **body: Any) -> Any:
    reply = call("POST", f"/scans/{scan_id}/export", {"format": "nessus", **body})
    assert reply.status == 200, reply
    return reply.json


def test_an_export_loads_and_is_downloaded_once() -> None:
    call, clock, scan_id = finished(export_takes=5.0)
    export = begun(call, scan_id)
    path = f"/tokens/{export['token']}"
    assert call.get(f"{path}/status") == {"status": "loading"}
    assert call("GET", f"{path}/download").status == 409
    clock.pass_time(5.0)
    assert call.get(f"{path}/status") == {"status": "ready"}
    reply = call("GET", f"{path}/download")
    assert reply.content.endswith(b"</NessusClientData_v2>\n")
    assert reply.headers["content-disposition"] == 'attachment; filename="scan.nessus"'
    gone = call("GET", f"{path}/download")
    assert (gone.status, gone.json) == (404, {"error": "The requested file was not found"})


def test_the_older_paths_do_the_same() -> None:
    call, clock, scan_id = finished()
    export = begun(call, scan_id)
    path = f"/scans/{scan_id}/export/{export['file']}"
    assert call.get(f"{path}/status") == {"status": "loading"}
    clock.pass_time(1.0)
    assert call.get(f"{path}/status") == {"status": "ready"}
    assert b"<ReportHost" in call("GET", f"{path}/download").content
    assert call("GET", f"{path}/status").status == 404


def test_a_token_alone_is_not_enough() -> None:
    call, clock, scan_id = finished()
    export = begun(call, scan_id)
    clock.pass_time(1.0)
    assert Caller(call.nessus)("GET", f"/tokens/{export['token']}/download").status == 401


def test_a_failed_export_says_so_once() -> None:
    call, clock, scan_id = finished()
    call.nessus.faults.inject(Fault(kind=FaultKind.EXPORT_FAILS, scan="scan"))
    path = f"/tokens/{begun(call, scan_id)['token']}"
    clock.pass_time(1.0)
    failed = call("GET", f"{path}/status")
    assert (failed.status, failed.json) == (500, {"status": "error"})
    assert call("GET", f"{path}/status").status == 404
    path = f"/tokens/{begun(call, scan_id)['token']}"  # the next one works
    clock.pass_time(1.0)
    assert call.get(f"{path}/status") == {"status": "ready"}


def test_an_older_run_can_be_exported() -> None:
    call, clock, scan_id = finished()
    call("PUT", f"/scans/{scan_id}", {"settings": {"text_targets": "192.0.2.77"}})
    call.launch(scan_id)
    clock.pass_time(2.0)
    history = call.get(f"/scans/{scan_id}")["history"]
    documents = []
    for run in history:
        target = f"/scans/{scan_id}/export?history_id={run['history_id']}"
        token = call("POST", target, {"format": "nessus"}).json["token"]
        clock.pass_time(1.0)
        documents.append(call("GET", f"/tokens/{token}/download").content)
    assert b'ReportHost name="192.0.2.77"' in documents[0]
    assert b'ReportHost name="192.0.2.9"' in documents[1]
    assert call("POST", f"/scans/{scan_id}/export?history_id=999", {}).status == 404


def test_csv_has_the_recorded_columns_and_a_row_for_each_cve() -> None:
    call, clock, scan_id = finished()
    token = begun(call, scan_id, format="csv")["token"]
    clock.pass_time(1.0)
    text = call("GET", f"/tokens/{token}/download").content.decode()
    rows = list(csv.reader(io.StringIO(text)))
    columns = (
        "Plugin ID,CVE,CVSS,Risk,Host,Protocol,Port,Name,Synopsis,Description,Solution,"
        "See Also,Plugin Output"
    )
    assert rows[0] == columns.split(",")
    found = sum(host["severity"] for host in call.get(f"/scans/{scan_id}")["hosts"])
    assert len(rows) - 1 >= found
    assert {len(row) for row in rows} == {13}


@pytest.mark.parametrize(("kind", "body"), [("html", {}), ("db", {"password": "x"})])
def test_other_formats(kind: str, body: dict[str, str]) -> None:
    call, clock, scan_id = finished()
    names = {row["value"] for row in call.get(f"/scans/{scan_id}/export/formats")["formats"]}
    assert kind in names
    token = begun(call, scan_id, format=kind, **body)["token"]
    clock.pass_time(1.0)
    assert call("GET", f"/tokens/{token}/download").content


def test_wrong_formats_are_refused_and_pdf_fails() -> None:
    call, clock, scan_id = finished()
    assert call("POST", f"/scans/{scan_id}/export", {"format": "docx"}).status == 400
    assert call("POST", f"/scans/{scan_id}/export", {"format": "db"}).status == 400
    token = begun(call, scan_id, format="pdf")["token"]
    clock.pass_time(1.0)
    assert call("GET", f"/tokens/{token}/status").status == 500


def test_a_scan_that_never_ran_has_nothing_to_export() -> None:
    call, _ = hand_driven()
    scan_id = call.create()
    assert call("POST", f"/scans/{scan_id}/export", {"format": "nessus"}).status == 404


@pytest.mark.slow
def test_a_large_export_is_made_piece_by_piece() -> None:
    call, clock, scan_id = finished(filler_findings=10_000, filler_bytes=1000)
    hosts = call.get(f"/scans/{scan_id}")["hosts"]
    assert all(host["info"] > 10_000 for host in hosts)
    token = begun(call, scan_id)["token"]
    clock.pass_time(1.0)
    answer = call.answer("GET", f"/tokens/{token}/download")
    assert isinstance(answer, Response)
    tracemalloc.start()
    try:
        sizes = [len(chunk) for chunk in answer.chunks()]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(sizes) > 20_000_000
    assert max(sizes) < 200_000
    assert peak < 3_000_000


def test_an_imported_file_is_a_finished_scan() -> None:
    call, clock, scan_id = finished()
    token = begun(call, scan_id)["token"]
    clock.pass_time(1.0)
    document = call("GET", f"/tokens/{token}/download").content
    call.nessus.uploads["old.nessus"] = document
    scan = call("POST", "/scans/import", {"file": "old.nessus"}).json["scan"]
    assert scan["status"] == "imported"
    original, imported = call.get(f"/scans/{scan_id}"), call.get(f"/scans/{scan['id']}")
    assert imported["info"]["status"] == "imported"
    assert [host["severity"] for host in imported["hosts"]] == [
        host["severity"] for host in original["hosts"]
    ]
    assert call("POST", f"/scans/{scan['id']}/launch", {}).status == 403
    call.nessus.uploads["bad.nessus"] = b"<html>"
    assert call("POST", "/scans/import", {"file": "bad.nessus"}).status == 400
