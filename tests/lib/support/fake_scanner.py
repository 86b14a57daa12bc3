"""A scanner behind the scheduler's protocol, in memory and in virtual time.

Faster than the simulated Nessus by orders of magnitude, because there is no HTTP in
between, so that thousands of whole lives fit into a test. It keeps its own ledger: what
was launched, how many scans ran at once, what was touched that was not ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import trio

from nessus_sched.core.clock import Now
from nessus_sched.core.scanner import (
    ENDED,
    NotFound,
    NotOurs,
    OutcomeUnknown,
    Refused,
    RemoteScan,
    ScanDetails,
    ScannerError,
    ScannerInfo,
    ScanOrder,
    ScanStatus,
    ScanTemplate,
    Unreachable,
)

Fault = Callable[[str], tuple[str, ScannerError] | None]
"""Asked before each request with its name: None, or when it fails (`before` or `after` it
takes effect) and with what."""


def no_faults(_request: str) -> None:
    return None


@attrs.define(kw_only=True)
class FakeScan:
    scan_id: int
    name: str
    duration: float
    status: ScanStatus = ScanStatus.EMPTY
    uuid: str | None = None
    started_at: float = 0.0
    left: float = 0.0
    ours: bool = True


class FakeScanner:
    """Implements `Scanner`. `duration(order)` says how long a scan takes, in seconds;
    `latency` how long each request does."""

    def __init__(
        self,
        now: Now,
        *,
        duration: Callable[[ScanOrder], float] = lambda _order: 600.0,
        latency: float = 0.05,
    ) -> None:
        self.now = now
        self.duration = duration
        self.latency = latency
        self.fault: Fault = no_faults
        self.scans: dict[int, FakeScan] = {}
        self.orders: dict[int, ScanOrder] = {}
        self.launches: Counter[str] = Counter()
        """By the scan's name, which carries task and attempt."""
        self.requests: Counter[str] = Counter()
        self.most_running = 0
        self.deleted: list[str] = []
        self.info_answer = ScannerInfo(ready=True, edition="Nessus Manager", scan_api=True)
        self.closed = False

    # What the test does to the scanner, as a person there would.

    def running(self) -> int:
        self._pass_time()
        return sum(scan.status is ScanStatus.RUNNING for scan in self.scans.values())

    def occupied(self) -> int:
        self._pass_time()
        return sum(
            scan.status in (ScanStatus.RUNNING, ScanStatus.PAUSED) for scan in self.scans.values()
        )

    def add_foreign(self, name: str, duration: float) -> FakeScan:
        scan = self._new(name, duration, ours=False)
        self._run(scan)
        return scan

    def restart(self) -> None:
        """Aborts what runs, as a restart of the scanner does."""
        self._pass_time()
        for scan in self.scans.values():
            if scan.status in (ScanStatus.RUNNING, ScanStatus.PAUSED):
                scan.status = ScanStatus.ABORTED

    # The protocol.

    async def info(self) -> ScannerInfo:
        await self._ask("info")
        return self.info_answer

    async def templates(self) -> Sequence[ScanTemplate]:
        return ()

    async def list_scans(self) -> Sequence[RemoteScan]:
        await self._ask("list_scans")
        return [self._row(scan) for scan in self.scans.values()]

    async def find_by_marker(self, marker: str) -> RemoteScan | None:
        await self._ask("find_by_marker")
        found = [scan for scan in self.scans.values() if scan.ours and marker in scan.name]
        found.sort(key=lambda scan: scan.status is ScanStatus.EMPTY)
        return self._row(found[0]) if found else None

    async def create_scan(self, order: ScanOrder) -> int:
        after = await self._ask("create_scan")
        scan = self._new(order.name, self.duration(order), ours=True)
        self.orders[scan.scan_id] = order
        _raise(after)
        return scan.scan_id

    async def launch(self, scan_id: int) -> str:
        after = await self._ask("launch")
        scan = self._scan(scan_id)
        if scan.status is ScanStatus.RUNNING:
            raise Refused("that scan is running already")
        self.launches[scan.name] += 1
        self._run(scan)
        _raise(after)
        assert scan.uuid is not None
        return scan.uuid

    async def details(self, scan_id: int, *, uuid: str | None = None) -> ScanDetails:
        await self._ask("details")
        scan = self._scan(scan_id)
        done = 1 - scan.left / scan.duration if scan.duration else 1.0
        return ScanDetails(
            scan_id=scan_id,
            name=scan.name,
            status=scan.status,
            status_text=scan.status,
            uuid=scan.uuid,
            history_id=scan_id * 10 if scan.uuid else None,
            progress=round(100 * done) if scan.uuid else None,
            hosts=1,
            started_at=scan.started_at,
        )

    async def pause(self, scan_id: int) -> None:
        await self._control("pause", scan_id, ScanStatus.RUNNING, ScanStatus.PAUSED)

    async def resume(self, scan_id: int) -> None:
        await self._control("resume", scan_id, ScanStatus.PAUSED, ScanStatus.RUNNING)

    async def stop(self, scan_id: int) -> None:
        after = await self._ask("stop")
        scan = self._scan(scan_id)
        if scan.status in (ScanStatus.RUNNING, ScanStatus.PAUSED):
            scan.status = ScanStatus.STOPPED
        _raise(after)

    async def export(self, scan_id: int, history_id: int | None, destination: Path) -> int:
        after = await self._ask("export")
        scan = self._scan(scan_id)
        if scan.status not in ENDED:
            raise Refused("that scan is still running")
        _raise(after)
        return destination.write_bytes(REPORT)

    async def delete(self, scan_id: int, marker: str) -> None:
        after = await self._ask("delete")
        scan = self.scans.get(scan_id)
        if scan is None:
            return
        if not scan.ours or marker not in scan.name:
            raise NotOurs("that scan is not ours")
        if scan.status in (ScanStatus.RUNNING, ScanStatus.PAUSED):
            raise Refused("cannot delete an active scan")
        del self.scans[scan_id]
        self.deleted.append(scan.name)
        _raise(after)

    async def close(self) -> None:
        self.closed = True

    async def _ask(self, request: str) -> ScannerError | None:
        """One round trip; returns the error that comes after the effect, if any."""
        self.requests[request] += 1
        fault = self.fault(request)
        await trio.sleep(self.latency)
        self._pass_time()
        if fault is None:
            return None
        when, error = fault
        if when == "before":
            raise error
        return error

    async def _control(
        self, request: str, scan_id: int, before: ScanStatus, after_status: ScanStatus
    ) -> None:
        after = await self._ask(request)
        scan = self._scan(scan_id)
        if scan.status is not before:
            raise Refused(f"cannot {request} a scan that is {scan.status}")
        scan.status = after_status
        scan.started_at = self.now()
        self.most_running = max(self.most_running, self.occupied())
        _raise(after)

    def _new(self, name: str, duration: float, *, ours: bool) -> FakeScan:
        scan_id = max(self.scans, default=0) + 1 + len(self.deleted)
        scan = FakeScan(scan_id=scan_id, name=name, duration=duration, left=duration, ours=ours)
        self.scans[scan_id] = scan
        return scan

    def _run(self, scan: FakeScan) -> None:
        scan.status = ScanStatus.RUNNING
        scan.uuid = f"uuid-{scan.scan_id}"
        scan.started_at = self.now()
        scan.left = scan.duration
        ours = sum(s.ours for s in self.scans.values() if s.status is ScanStatus.RUNNING)
        paused = sum(s.ours for s in self.scans.values() if s.status is ScanStatus.PAUSED)
        self.most_running = max(self.most_running, ours + paused)

    def _pass_time(self) -> None:
        now = self.now()
        for scan in self.scans.values():
            if scan.status is ScanStatus.RUNNING:
                scan.left -= now - scan.started_at
                scan.started_at = now
                if scan.left <= 0:
                    scan.left = 0.0
                    scan.status = ScanStatus.COMPLETED

    def _scan(self, scan_id: int) -> FakeScan:
        try:
            return self.scans[scan_id]
        except KeyError:
            raise NotFound("the scanner has no such scan") from None

    def _row(self, scan: FakeScan) -> RemoteScan:
        return RemoteScan(
            scan_id=scan.scan_id,
            name=scan.name,
            status=scan.status,
            status_text=scan.status,
            uuid=scan.uuid,
            ours=scan.ours,
        )


def unreachable() -> ScannerError:
    return Unreachable("no connection to the scanner")


def lost() -> ScannerError:
    return OutcomeUnknown("the answer was lost")


def _raise(error: ScannerError | None) -> None:
    if error is not None:
        raise error


REPORT = b"""<?xml version="1.0" ?>
<NessusClientData_v2><Report name="fake"><ReportHost name="192.0.2.1"><HostProperties>
<tag name="host-ip">192.0.2.1</tag></HostProperties>
<ReportItem port="0" svc_name="general" protocol="tcp" severity="0" pluginID="19506"
 pluginName="Nessus Scan Information" pluginFamily="Settings">
<plugin_output>Credentialed checks : no</plugin_output></ReportItem>
</ReportHost></Report></NessusClientData_v2>
"""
