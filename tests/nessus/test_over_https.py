"""The client and the simulator over real TLS connections, in real time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trio

from nessus_sched.config.scanners import (
    ApiKeys,
    ScannerSettings,
    TlsSettings,
)
from nessus_sched.core.clock import system_now
from nessus_sched.core.scanner import (
    CertificateMismatch,
    OutcomeUnknown,
    ScanStatus,
    Unreachable,
)
from nessus_sched.core.secret import Secret
from nessus_sched.nessus import NessusScanner, fetch_fingerprint
from nessus_sched.sim import RunningSim, SimOptions, serve_sim
from support.scripted_nessus import no_secrets
from support.seals import marker
from support.simulated_nessus import Lab, scan_order

SETTLED = 0.3
"""Seconds after which the simulator has broken its connections."""
FAST = SimOptions(scans_take=0.05, export_takes=0.0, transition_takes=0.0)


async def start(nursery: trio.Nursery, options: SimOptions = FAST) -> tuple[RunningSim, Lab]:
    sim: RunningSim = await nursery.start(serve_sim, options)
    settings = ScannerSettings(
        id="lab",
        url=sim.url,
        auth=ApiKeys(access_key=Secret(sim.access_key), secret_key=Secret(sim.secret_key)),
        tls=TlsSettings(fingerprint=sim.fingerprint),
        timeout=10.0,
    )
    return sim, Lab(sim.nessus, NessusScanner(settings, now=system_now), pace=0.05)


async def test_a_scan_over_https(nursery: trio.Nursery, tmp_path: Path) -> None:
    _, one = await start(nursery)
    scan_id, ended = await one.finished()
    assert ended.status is ScanStatus.COMPLETED
    path = tmp_path / "report.nessus"
    assert await one.client.export(scan_id, ended.history_id, path) == path.stat().st_size
    await one.client.delete(scan_id, (marker("task", 1),))
    await one.client.close()


async def test_a_certificate_that_changes(nursery: trio.Nursery) -> None:
    sim, one = await start(nursery)
    await one.client.list_scans()
    pinned = sim.fingerprint
    sim.nessus.change_certificate()
    await trio.sleep(SETTLED)
    with pytest.raises(CertificateMismatch) as caught:
        await one.client.list_scans()
    no_secrets(caught.value)
    port = int(sim.url.rpartition(":")[2])
    shown = await fetch_fingerprint("127.0.0.1", port)
    assert shown != pinned
    assert pinned in str(caught.value)
    assert shown in str(caught.value)
    await one.client.close()


async def test_connections_that_are_reset(nursery: trio.Nursery) -> None:
    _, one = await start(nursery)
    one.inject(kind="reset_after", method="GET", path="/scans")
    assert await one.client.list_scans() == []
    one.inject(kind="reset_after", method="POST", path="/scans")
    with pytest.raises(OutcomeUnknown) as caught:
        await one.client.create_scan(scan_order())
    no_secrets(caught.value)
    found = await one.listed()
    assert found is not None
    ended = await one.ended(found.scan_id, await one.launch(found.scan_id))
    assert ended.status is ScanStatus.COMPLETED
    await one.client.close()


async def test_a_scanner_that_goes_away_and_returns(nursery: trio.Nursery) -> None:
    sim, one = await start(nursery)
    await one.client.list_scans()
    sim.nessus.refuse(1.0)
    await trio.sleep(SETTLED)
    with pytest.raises(Unreachable):
        await one.client.list_scans()
    await trio.sleep(1.0)
    assert await one.client.list_scans() == []
    await one.client.close()


async def test_a_large_report_does_not_stall_the_program(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    options = SimOptions(scans_take=0.0, export_takes=0.0, filler_findings=100, filler_bytes=50_000)
    _, one = await start(nursery, options)
    scan_id, ended = await one.finished()
    path = tmp_path / "report.nessus"
    size = await one.client.export(scan_id, ended.history_id, path)
    assert size > 10_000_000
    assert path.stat().st_size == size
    await one.client.close()


async def test_cancelling_leaves_the_connections_usable(nursery: trio.Nursery) -> None:
    _, one = await start(nursery)
    one.inject(kind="hang", method="GET", path="/scans", times=None)
    for canceled in range(1, 13):
        async with trio.open_nursery() as asking:
            asking.start_soon(one.client.list_scans)
            with trio.fail_after(10):
                while one.nessus.ledger.totals["fault"] < canceled:  # noqa: ASYNC110 - no event
                    await trio.sleep(0.01)
            asking.cancel_scope.cancel()
    one.nessus.faults.clear()
    began = time.monotonic()
    assert await one.client.list_scans() == []
    assert time.monotonic() - began < 5
    await one.client.close()
