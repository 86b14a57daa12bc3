"""Replaying real exports: byte for byte, and the API tells what the files hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.sim import Caller, HandClock, hand_driven

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "nessus"
BROKEN = REAL.parent / "nessus_broken"
# critical, high, medium, low, info: an independent count
COUNTED = {
    "defectdojo_issue_6992": (0, 0, 1, 0, 0),
    "defectdojo_nessus_many_vuln": (0, 0, 0, 0, 7),
    "defectdojo_nessus_with_cvssv3": (2, 10, 13, 1, 23),
    "defectdojo_was_many_vuln": (0, 1, 0, 3, 1),
    "heimdall2_sample": (1, 1, 5, 2, 140),
    "libnessus_nessus_report_local2": (0, 0, 1, 0, 61),
    "libnessus_nessus_report_local_3": (2, 3, 20, 10, 71),
    "pytenable_example": (7, 77, 9, 2, 135),
    "rubynessus_example_v2": (0, 0, 3, 47, 19),
}
LEVELS = ("critical", "high", "medium", "low", "info")

needs_real_files = pytest.mark.skipif(not REAL.is_dir(), reason="no real exports here")


def run(call: Caller, clock: HandClock, name: str) -> int:
    scan_id = call.create(name)
    call.launch(scan_id)
    clock.pass_time(call.nessus.scans_take + 1)
    return scan_id


def download(call: Caller, clock: HandClock, scan_id: int) -> bytes:
    token = call("POST", f"/scans/{scan_id}/export", {"format": "nessus"}).json["token"]
    clock.pass_time(1.0)
    reply = call("GET", f"/tokens/{token}/download")
    assert int(reply.headers["content-length"]) == len(reply.content)
    return reply.content


@pytest.mark.slow
@needs_real_files
def test_each_scan_replays_the_next_file() -> None:
    call, clock = hand_driven(replay_directory=REAL)
    for name, counts in COUNTED.items():
        scan_id = run(call, clock, f"scan of {name}")
        hosts = call.get(f"/scans/{scan_id}")["hosts"]
        assert tuple(sum(host[level] for host in hosts) for level in LEVELS) == counts
        assert download(call, clock, scan_id) == (REAL / f"{name}.nessus").read_bytes()
        assert call.nessus.ledger.replayed[f"scan of {name}"] == f"{name}.nessus"


@needs_real_files
def test_a_scan_launched_again_replays_its_file_again() -> None:
    call, clock = hand_driven(replay_directory=REAL)
    first = run(call, clock, "first")
    run(call, clock, "second")
    call.launch(first)
    clock.pass_time(20.0)
    assert download(call, clock, first) == sorted(REAL.glob("*.nessus"))[0].read_bytes()


@pytest.mark.slow
@needs_real_files
def test_plugin_output_comes_from_the_file() -> None:
    call, clock = hand_driven(replay_files=(REAL / "heimdall2_sample.nessus",))
    scan_id = run(call, clock, "scan")
    outputs = [
        call.get(f"/scans/{scan_id}/hosts/{host['host_id']}/plugins/19506")["outputs"]
        for host in call.get(f"/scans/{scan_id}")["hosts"]
    ]
    assert any("yes (on the localhost)" in entry["plugin_output"] for (entry,) in outputs)


@pytest.mark.skipif(not BROKEN.is_dir(), reason="no broken exports here")
def test_a_broken_file_is_replayed_as_it_is() -> None:
    (path,) = BROKEN.glob("*.nessus")
    call, clock = hand_driven(replay_directory=BROKEN)
    scan_id = run(call, clock, "scan")
    assert call.get(f"/scans/{scan_id}")["info"]["status"] == "completed"
    assert download(call, clock, scan_id) == path.read_bytes()


def test_after_the_last_file_comes_the_first(tmp_path: Path) -> None:
    for name in ("b.nessus", "a.nessus"):
        (tmp_path / name).write_text(f'<x><ReportHost name="{name}"/></x>')
    call, clock = hand_driven(replay_directory=tmp_path)
    for number in range(3):
        run(call, clock, f"scan {number}")
    assert list(call.nessus.ledger.replayed.values()) == ["a.nessus", "b.nessus", "a.nessus"]


def test_a_directory_without_files_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "directory.nessus").mkdir()
    with pytest.raises(ValueError, match=r"no \.nessus file"):
        hand_driven(replay_directory=tmp_path)
