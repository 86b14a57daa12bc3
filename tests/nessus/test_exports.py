"""An export is whole or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import httpx
import pytest
import trio

from nessus_sched.core.scanner import BadExport, NotFound, NotReady, Refused, TransientError
from nessus_sched.nessus import part_file
from support.scripted_nessus import Raw, Reply, ScriptedNessus, scanner

REPORT = b"<NessusClientData_v2>" + b"<Report/>" * 1000 + b"</NessusClientData_v2>\n"


@pytest.fixture
def nessus() -> ScriptedNessus:
    script = ScriptedNessus()
    script.on("POST /scans/7/export", {"token": "164", "file": 2})
    script.on("GET /scans/7/export/2/status", {"status": "ready"})
    script.on("GET /scans/7/export/2/download", Raw(pieces=[REPORT[:100], REPORT[100:]]))
    return script


async def export(nessus: ScriptedNessus, folder: Path) -> bytes:
    destination = folder / "report.nessus"
    assert await scanner(nessus).export(7, None, destination) == len(REPORT)
    assert os.listdir(folder) == ["report.nessus"]
    return await trio.Path(destination).read_bytes()


async def test_it_waits_until_the_report_is_ready(
    nessus: ScriptedNessus, tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    loading = {"status": "loading"}
    nessus.on("GET /scans/7/export/2/status", *[loading] * 20, {"status": "ready"})
    began = trio.current_time()
    destination = tmp_path / "report.nessus"
    assert await scanner(nessus).export(7, None, destination) == len(REPORT)
    assert len(nessus.asked("GET /scans/7/export/2/status")) == 21
    assert 100 < trio.current_time() - began < 200, "the polls slow down"


@pytest.mark.slow
async def test_an_export_that_is_never_ready(
    nessus: ScriptedNessus, tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    nessus.on("GET /scans/7/export/2/status", {"status": "loading"})
    with pytest.raises(BadExport, match="not ready"):
        await export(nessus, tmp_path)


async def test_a_running_scan_is_not_exported(nessus: ScriptedNessus, tmp_path: Path) -> None:
    nessus.on("POST /scans/7/export", (409, {"error": "Can not export running scans"}))
    with pytest.raises(BadExport, match="running"):
        await export(nessus, tmp_path)
    assert len(nessus.requests) == 1


async def test_a_scan_that_is_gone(nessus: ScriptedNessus, tmp_path: Path) -> None:
    nessus.on("POST /scans/7/export", (404, {"error": "The requested file was not found"}))
    with pytest.raises(NotFound):
        await export(nessus, tmp_path)


@pytest.mark.parametrize(
    "failed",
    [{"status": "error"}, (500, {"status": "error"}), (404, {"error": "not found"})],
    ids=str,
)
async def test_a_failed_export_is_ordered_anew(
    nessus: ScriptedNessus, tmp_path: Path, autojump_clock: trio.abc.Clock, failed: Reply
) -> None:
    nessus.on("GET /scans/7/export/2/status", failed, {"status": "ready"})
    assert await scanner(nessus).export(7, None, tmp_path / "report.nessus") == len(REPORT)
    assert len(nessus.asked("POST /scans/7/export")) == 2


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (Raw(pieces=[REPORT[:-40]]), "ends in the middle"),
        (Raw(pieces=[]), "ends in the middle"),
        (Raw(pieces=[b"<html><body>log in</body></html>"]), "web page"),
        (Raw(pieces=[REPORT[:50]], then=httpx.RemoteProtocolError("cut")), "broke off"),
        (Raw(pieces=[REPORT[:50]], then=httpx.ReadTimeout("")), "broke off"),
        ((404, {"error": "The requested file was not found"}), "broke off"),
        ((500, ""), "broke off"),
    ],
)
async def test_a_report_that_is_not_whole(
    nessus: ScriptedNessus,
    tmp_path: Path,
    autojump_clock: trio.abc.Clock,
    bad: Reply,
    said: str,
) -> None:
    nessus.on("GET /scans/7/export/2/download", bad)
    destination = tmp_path / "report.nessus"
    with pytest.raises(BadExport, match=said):
        await scanner(nessus).export(7, None, destination)
    assert os.listdir(tmp_path) == []
    assert len(nessus.asked("POST /scans/7/export")) == 3
    good = Raw(pieces=[REPORT])
    nessus.on("GET /scans/7/export/2/download", bad, good)
    assert await scanner(nessus).export(7, None, destination) == len(REPORT)


async def test_a_broken_export_leaves_the_previous_one(
    nessus: ScriptedNessus, tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    (tmp_path / "report.nessus").write_bytes(b"previous")
    nessus.on("GET /scans/7/export/2/download", Raw(pieces=[REPORT[:-40]]))
    with pytest.raises(BadExport):
        await export(nessus, tmp_path)
    assert (tmp_path / "report.nessus").read_bytes() == b"previous"
    assert os.listdir(tmp_path) == ["report.nessus"]


async def test_too_large_a_report_is_cut_off(nessus: ScriptedNessus, tmp_path: Path) -> None:
    nessus.on("GET /scans/7/export/2/download", Raw(pieces=[b"x" * 2**19] * 5))
    with pytest.raises(Refused, match="larger than 1048576"):
        await export(nessus, tmp_path)
    assert os.listdir(tmp_path) == []


async def test_a_full_disk_is_no_fault_of_the_scanner(
    nessus: ScriptedNessus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("nessus_sched.nessus.part_file.os.write", full)
    with pytest.raises(OSError, match="No space left"):
        await export(nessus, tmp_path)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == []


async def test_a_missing_folder_is_told(nessus: ScriptedNessus, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await export(nessus, tmp_path / "missing")


async def test_a_cancelled_export_leaves_nothing(
    nessus: ScriptedNessus, tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    nessus.on("GET /scans/7/export/2/download", Raw(pieces=[REPORT] * 10, pause=10))
    with trio.move_on_after(25):
        await export(nessus, tmp_path)
    assert os.listdir(tmp_path) == []


async def test_a_scanner_that_restarts_meanwhile(nessus: ScriptedNessus, tmp_path: Path) -> None:
    nessus.on("GET /scans/7/export/2/status", (503, ""))
    with pytest.raises(NotReady):
        await export(nessus, tmp_path)


async def test_an_answer_without_a_file(nessus: ScriptedNessus, tmp_path: Path) -> None:
    nessus.on("POST /scans/7/export", {"token": "164"})
    with pytest.raises(TransientError, match="no file id"):
        await export(nessus, tmp_path)


async def test_the_real_thread_and_the_file_mode(nessus: ScriptedNessus, tmp_path: Path) -> None:
    destination = tmp_path / "report.nessus"
    client = scanner(nessus, run_sync=part_file.in_thread)
    assert await client.export(7, None, destination) == len(REPORT)
    assert destination.stat().st_mode & 0o777 == 0o600
