"""The client against the simulated Nessus, with every fault of requests that it can inject."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock as Clock

from nessus_sched.core.scanner import (
    ApiRefused,
    BadExport,
    LaunchRefused,
    LoginRefused,
    NotReady,
    OutcomeUnknown,
    PermissionDenied,
    Refused,
    ScannerError,
    ScanStatus,
    TransientError,
    Unreachable,
)
from support.simulated_nessus import failure, lab, scan_order

WRITES = [("POST", "/scans"), ("POST", "/scans/*/launch")]


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize("happened", [False, True])
async def test_a_lost_answer_is_never_repeated_blindly(
    autojump_clock: Clock, method: str, path: str, happened: bool
) -> None:
    one = lab()
    scan_id = (await one.client.create_scan(scan_order("first"))).scan_id
    kind = "reset_after" if happened else "reset_before"
    one.inject(kind=kind, method=method, path=path)
    if path == "/scans":
        error = await failure(one.client.create_scan(scan_order()))
        found = await one.listed()
        assert (found is not None) is happened
    else:
        error = await failure(one.launch(scan_id, "first"))
        found = await one.listed("first")
        assert found is not None
        assert (found.status is not ScanStatus.EMPTY) is happened
        assert one.nessus.ledger.launches() == int(happened)
    assert type(error) is OutcomeUnknown


@pytest.mark.parametrize("kind", ["reset_before", "reset_after"])
async def test_a_lost_answer_to_a_read_is_asked_for_again(autojump_clock: Clock, kind: str) -> None:
    one = lab()
    one.inject(kind=kind, method="GET", path="/scans")
    assert await one.client.list_scans() == []


async def test_a_scanner_that_hangs(autojump_clock: Clock) -> None:
    one = lab()
    one.inject(kind="hang", method="GET", path="/scans")
    assert type(await failure(one.client.list_scans())) is Unreachable
    assert trio.current_time() == pytest.approx(60)
    one.inject(kind="hang", method="POST", path="/scans")
    assert type(await failure(one.client.create_scan(scan_order()))) is OutcomeUnknown


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "status", "status": 401}, LoginRefused),
        ({"kind": "status", "status": 412}, ApiRefused),
        ({"kind": "status", "status": 429, "retry_after": 7}, TransientError),
        ({"kind": "status", "status": 500}, TransientError),
        ({"kind": "status", "status": 503}, NotReady),
        ({"kind": "empty"}, TransientError),
        ({"kind": "html"}, TransientError),
        ({"kind": "truncated", "after_bytes": 5, "clean": True}, TransientError),
        ({"kind": "truncated", "after_bytes": 5}, Unreachable),
        ({"kind": "slow", "seconds": 1000.0}, Unreachable),
    ],
    ids=str,
)
async def test_each_fault_of_a_read(
    autojump_clock: Clock, fault: dict[str, Any], kind: type[ScannerError]
) -> None:
    one = lab()
    await one.client.create_scan(scan_order())
    one.inject(method="GET", path="/scans", times=None, **fault)
    error = await failure(one.client.list_scans())
    assert type(error) is kind
    assert getattr(error, "retry_after", None) == fault.get("retry_after")
    one.nessus.faults.clear()
    assert len(await one.client.list_scans()) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "status", "status": 400}, Refused),
        ({"kind": "status", "status": 403}, PermissionDenied),
        ({"kind": "status", "status": 429, "retry_after": 7}, TransientError),
        ({"kind": "status", "status": 500}, TransientError),
        ({"kind": "empty"}, OutcomeUnknown),
        ({"kind": "html"}, OutcomeUnknown),
        ({"kind": "truncated", "after_bytes": 5}, OutcomeUnknown),
        ({"kind": "truncated", "after_bytes": 5, "clean": True}, OutcomeUnknown),
        ({"kind": "slow", "seconds": 1000.0}, OutcomeUnknown),
    ],
    ids=str,
)
@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_each_fault_of_a_change(
    autojump_clock: Clock, method: str, path: str, fault: dict[str, Any], kind: type[ScannerError]
) -> None:
    one = lab()
    scan_id = (await one.client.create_scan(scan_order("first"))).scan_id
    one.inject(method=method, path=path, **fault)
    launching = path.endswith("launch")
    act = one.launch(scan_id, "first") if launching else one.client.create_scan(scan_order())
    refused = issubclass(kind, Refused)
    assert type(await failure(act)) is (LaunchRefused if launching and refused else kind)


EXPORT_FAULTS: list[dict[str, Any]] = [
    {"kind": "export_fails"},
    {"kind": "truncated", "method": "GET", "path": "*/download", "after_bytes": 5000},
    {
        "kind": "truncated",
        "method": "GET",
        "path": "*/download",
        "after_bytes": 5000,
        "clean": True,
    },
    {"kind": "empty", "method": "GET", "path": "*/download"},
    {"kind": "html", "method": "GET", "path": "*/download"},
    {"kind": "reset_before", "method": "GET", "path": "*/download"},
    {"kind": "reset_after", "method": "GET", "path": "*/download"},
    {"kind": "status", "status": 500, "method": "GET", "path": "*/status"},
    {"kind": "status", "status": 500, "method": "GET", "path": "*/download"},
]


@pytest.mark.parametrize("fault", EXPORT_FAULTS, ids=str)
async def test_each_fault_of_an_export(
    autojump_clock: Clock, fault: dict[str, Any], tmp_path: Path
) -> None:
    one = lab()
    scan_id, ended = await one.finished()
    path = tmp_path / "report.nessus"
    one.inject(**fault)
    size = await one.client.export(scan_id, ended.history_id, path)
    assert path.stat().st_size == size
    path.unlink()
    one.inject(**fault, times=None)
    assert type(await failure(one.client.export(scan_id, ended.history_id, path))) is BadExport
    assert os.listdir(tmp_path) == []
