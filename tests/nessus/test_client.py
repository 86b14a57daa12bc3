"""The everyday path: create, launch, list, watch, export, delete."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from nessus_sched.core.scanner import (
    NotFound,
    NotOurs,
    OutcomeUnknown,
    Refused,
    Scanner,
    ScanStatus,
    TransientError,
)
from support.scripted_nessus import (
    MARKER,
    UUID,
    ScriptedNessus,
    created,
    order,
    row,
    scanner,
)

REPORT = b"<?xml version='1.0'?><NessusClientData_v2></NessusClientData_v2>\n"


def test_it_is_a_scanner() -> None:
    typed: Scanner = scanner(ScriptedNessus())
    assert "192.0.2.1" in repr(typed)


async def test_a_scan_is_created_in_our_folder_and_not_launched() -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /scans", created(7))
    assert (await scanner(nessus).create_scan(order())).scan_id == 7
    body = nessus.sent("POST /scans")
    assert body["uuid"] == "uuid-basic"
    assert body["settings"] == {
        "ping_the_remote_host": "yes",
        "portscan_range": "default",
        "syn_scanner": "yes",
        "name": f"nightly {MARKER}",
        "description": "",
        "text_targets": "192.0.2.7,192.0.2.16/28",
        "folder_id": 3,
        "launch": "ON_DEMAND",
        "enabled": False,
    }
    assert not nessus.asked("POST /scans/7/launch")
    assert not nessus.asked("POST /folders")


async def test_a_missing_folder_is_made() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /folders", {"folders": [{"id": 9, "name": "ours", "type": "main"}]})
    nessus.on("POST /folders", {"id": 12})
    nessus.on("POST /scans", created(7))
    await scanner(nessus).create_scan(order())
    assert nessus.sent("POST /folders") == {"name": "ours"}
    assert nessus.sent("POST /scans")["settings"]["folder_id"] == 12


async def test_launch_returns_the_uuid_of_the_run() -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /scans/7/launch", {"scan_uuid": UUID})
    assert await scanner(nessus).launch(7, (MARKER,)) == UUID


@pytest.mark.parametrize(("status", "word"), [(409, "running"), (500, "running"), (500, "warming")])
async def test_a_launch_that_is_refused_because_it_runs_is_a_success(
    status: int, word: str
) -> None:
    """Also if the scanner calls it by a word that is not known."""
    nessus = ScriptedNessus()
    nessus.on("POST /scans/7/launch", (status, {"error": "Scan is already running"}))
    nessus.on("GET /scans/7", {"info": {"uuid": UUID, "status": word}})
    assert await scanner(nessus).launch(7, (MARKER,)) == UUID


async def test_a_launch_that_fails_and_does_not_run_is_an_error() -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /scans/7/launch", (500, {"error": "internal"}))
    nessus.on("GET /scans/7", {"info": {"uuid": None, "status": "empty"}})
    with pytest.raises(TransientError, match="500: internal"):
        await scanner(nessus).launch(7, (MARKER,))


@pytest.mark.parametrize("after", [httpx.ConnectError("refused"), (503, {}), (403, {})])
async def test_a_launch_that_fails_on_a_scanner_that_then_falls_silent_is_an_unknown_outcome(
    after: Exception | tuple[int, Any],
) -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /scans/7/launch", (500, {"error": "internal"}))
    nessus.on("GET /scans/7", after)
    with pytest.raises(OutcomeUnknown, match=r"failed \(internal\)"):
        await scanner(nessus).launch(7, (MARKER,))


async def test_a_launch_without_a_uuid_is_an_unknown_outcome() -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /scans/7/launch", {})
    with pytest.raises(OutcomeUnknown, match="no uuid"):
        await scanner(nessus).launch(7, (MARKER,))


async def test_the_list_tells_ours_from_other_peoples() -> None:
    nessus = ScriptedNessus()
    nessus.scans(
        row(1),
        row(2, folder_id=2),
        row(3, name="weekly"),
        row(4, status="completed", uuid=UUID),
        row(5, status="levitating"),
        {"name": "without id"},
    )
    found = {scan.scan_id: scan for scan in await scanner(nessus).list_scans()}
    assert [scan_id for scan_id, scan in found.items() if scan.ours] == [1, 4, 5]
    assert found[4].status is ScanStatus.COMPLETED
    assert found[4].uuid == UUID
    assert found[5].status is ScanStatus.UNKNOWN
    assert found[5].status_text == "levitating"
    assert len(nessus.requests) == 1


async def test_no_scans_is_null_and_no_list_is_an_error() -> None:
    nessus = ScriptedNessus()
    nessus.scans()
    assert await scanner(nessus).list_scans() == []
    nessus.on("GET /scans", {"folders": []})
    with pytest.raises(TransientError, match="no list of scans"):
        await scanner(nessus).list_scans()


async def test_a_marker_behind_a_long_name_is_found() -> None:
    nessus = ScriptedNessus()
    nessus.scans(row(1, name="n" * 500 + MARKER))
    [found] = await scanner(nessus).list_scans()
    assert found.ours


async def test_details_are_of_the_run_that_was_asked_for() -> None:
    nessus = ScriptedNessus()
    history = [
        {"history_id": 20, "uuid": "new", "status": "running"},
        {"history_id": 19, "uuid": UUID, "status": "completed"},
    ]

    def details(request: object) -> dict[str, object]:
        old = "history_id=19" in str(getattr(request, "url", ""))
        info = {"uuid": UUID if old else "new", "status": "completed" if old else "running"}
        return {"info": {**info, "name": "nightly", "hostcount": 1}, "history": history}

    nessus.on("GET /scans/7", details)
    latest = await scanner(nessus).details(7)
    assert (latest.uuid, latest.history_id, latest.status) == ("new", 20, ScanStatus.RUNNING)
    older = await scanner(nessus).details(7, uuid=UUID)
    assert (older.uuid, older.history_id, older.progress) == (UUID, 19, 100)
    with pytest.raises(NotFound):
        await scanner(nessus).details(7, uuid="deleted")


@pytest.mark.parametrize("action", ["pause", "resume", "stop", "launch"])
async def test_other_peoples_scans_are_left_alone(action: str) -> None:
    nessus = ScriptedNessus()
    nessus.scans(row(7, name="someone's"))
    client = scanner(nessus)
    with pytest.raises(NotOurs):
        await getattr(client, action)(7, (MARKER,))
    with pytest.raises(NotOurs):
        await client.delete(7, (MARKER,))
    with pytest.raises(NotFound):
        await getattr(client, action)(8, (MARKER,))
    assert {request.method for request in nessus.requests} == {"GET"}


@pytest.mark.parametrize("action", ["pause", "resume", "stop"])
async def test_control(action: str) -> None:
    nessus = ScriptedNessus()
    nessus.on(f"POST /scans/7/{action}", (200, ""))
    await getattr(scanner(nessus), action)(7, (MARKER,))
    nessus.on(f"POST /scans/7/{action}", (409, {"error": "not in the right state"}))
    with pytest.raises(Refused, match="not in the right state"):
        await getattr(scanner(nessus), action)(7, (MARKER,))


async def test_delete_checks_folder_and_marker() -> None:
    nessus = ScriptedNessus()
    nessus.on("DELETE /scans/7", (200, ""))
    await scanner(nessus).delete(7, (MARKER,))
    assert len(nessus.asked("DELETE /scans/7")) == 1
    await scanner(nessus).delete(8, (MARKER,))
    with pytest.raises(NotOurs):
        await scanner(nessus).delete(7, ("[ns:other.1]",))
    nessus.on("DELETE /scans/7", (404, {"error": "gone"}))
    await scanner(nessus).delete(7, (MARKER,))
    nessus.on("DELETE /scans/7", (409, {"error": "Can not delete an active scan"}))
    with pytest.raises(Refused, match="active"):
        await scanner(nessus).delete(7, (MARKER,))


async def test_export_writes_the_whole_report(tmp_path: Path) -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /scans/7/export", {"token": "164", "file": 2})
    nessus.on("GET /scans/7/export/2/status", {"status": "ready"})
    nessus.on("GET /scans/7/export/2/download", (200, REPORT.decode()))
    destination = tmp_path / "report.nessus"
    assert await scanner(nessus).export(7, 19, destination) == len(REPORT)
    assert destination.read_bytes() == REPORT
    assert os.listdir(tmp_path) == ["report.nessus"]
    assert nessus.sent("POST /scans/7/export") == {"format": "nessus"}
    assert nessus.asked("POST /scans/7/export")[0].url.params["history_id"] == "19"
