"""A scanner behind the scheduler's protocol, in memory and in virtual time.

Faster than the simulated Nessus by orders of magnitude, because there is no HTTP in
between, so that thousands of whole lives fit into a test. It keeps its own ledger: what
was launched, how many scans ran at once, what was touched that was not ours.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import attrs
import trio

from nessus_sched.core.asked import Asked
from nessus_sched.core.clock import Now
from nessus_sched.core.scanner import (
    ENDED,
    MAY_SCAN,
    CreatedScan,
    Marks,
    NoCapacity,
    NotFound,
    NotOurs,
    NotReady,
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
from nessus_sched.core.seal import bears
from nessus_sched.core.targets.ranges import address_text
from nessus_sched.core.targets.targets import targets_from
from support.trouble import CHANGES, Effect, Trouble

T = TypeVar("T")

OCCUPYING = frozenset({ScanStatus.RUNNING, ScanStatus.PAUSED})

Fault = Callable[[str], Trouble | None]
"""Asked before each request with its name: what goes wrong with it, if anything."""


@attrs.define(kw_only=True)
class FakeScan:
    """`left` seconds of scanning remain as of `touched_at`; `runs` counts its launches."""

    scan_id: int
    name: str
    duration: float
    status: ScanStatus = ScanStatus.EMPTY
    uuid: str | None = None
    started_at: float | None = None
    touched_at: float = 0.0
    left: float = 0.0
    ours: bool = True
    foreign: bool = False
    """Someone else's from the beginning: never to be touched."""
    runs: int = 0
    created_at: float = 0.0
    """By Trio's clock."""
    launch_sent_at: float = 0.0
    """When the request was sent that launched it, by Trio's clock."""
    pauses: int = 0
    targets: str | None = None
    """What it is shown to scan, when that is not what was ordered."""
    order: ScanOrder | None = None


class FakeScanner:
    """Implements `Scanner`. `duration(order)` says how long a scan takes, in seconds;
    half of `latency` passes before a request takes effect, half before its answer is here.

    `step(request, moment)` is called right `before` and right `after` each request takes
    effect; a test that cancels the caller there kills the daemon at that very moment.
    """

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
        self.lag = 0.0
        """Seconds that a pause, resume or stop takes after it was accepted."""
        self.max_scans: int | None = None
        """Refuses to launch more than so many, other people's included."""
        self.down: ScannerError | None = None
        """While set, every request meets it and changes nothing."""
        self.refusal: ScannerError | None = None
        """While set, it answers everything and neither creates nor launches scans."""
        self.loading_until = float("-inf")
        self.lost_until = float("-inf")
        """Until then every request meets no answer, whatever `down` says."""
        self.silent_since: float | None = None
        """Since when it has not answered, where a test says so; for judges."""
        self.finished: Callable[[FakeScan], Sequence[str]] = finished
        """The hosts that a scan has scanned to their end by now."""
        self.progress: Callable[[FakeScan], float] = share
        """How far a scan says that it is, 0 to 1."""
        self.found: dict[str, Sequence[str]] = {}
        """Hosts finished by each scan that was deleted on request, by name."""
        self.fault: Fault = lambda _request: None
        self.arrives_anyway: Callable[[], float | None] = lambda: None
        """Whether a request whose sender has died takes effect all the same, and after how
        many seconds."""
        self.step: Callable[[str, str], None] = lambda _request, _moment: None
        self.on_launch: Callable[[FakeScan], None] = lambda _scan: None
        self.on_stop: Callable[[FakeScan], None] = lambda _scan: None
        """Called when a request to stop a scan is accepted."""
        self.info_answer = ScannerInfo(ready=True, edition="Nessus Manager", scan_api=True)
        self.offered_templates: dict[str, bool] = {}
        """Names, and whether the license allows them; none are told while it is empty."""
        self.offered_policies: list[str] = []
        self.clock_ahead: float | None = None
        self.tells_clock: Callable[[], float | None] = lambda: self.clock_ahead
        """How far its clock is ahead of the daemon's, as each answer shows it."""
        self.failed_logins = self.worked_logins = 0
        """What the details of scans say about the logins so far."""
        self.closed = False
        self.scans: dict[int, FakeScan] = {}
        self.orders: dict[int, ScanOrder] = {}
        self.launches: Counter[str] = Counter()
        """By the scan's name, which carries task and attempt."""
        self.requests: Counter[str] = Counter()
        self.most_running = 0
        self.deleted: list[str] = []
        self.touched_foreign: list[str] = []
        self._last_id = 0
        self._later: list[tuple[float, int, Callable[[], object]]] = []
        self._turn = 0

    # What the test does to the scanner, as a person there would.

    def active(self, *, foreign: bool = False) -> list[FakeScan]:
        """The scans that occupy the scanner now."""
        self.pass_time()
        scans = self.scans.values()
        return [each for each in scans if each.status in OCCUPYING and each.foreign is foreign]

    def add_foreign(self, name: str, duration: float) -> FakeScan:
        scan = self._new(name, duration, foreign=True)
        self._run(scan)
        return scan

    def restart(self, loading: float = 0.0) -> None:
        """Aborts what runs, as a restart of the scanner does, and is `loading` for a while."""
        self.pass_time()
        self.loading_until = self.now() + loading
        for scan in self.scans.values():
            if scan.status in OCCUPYING:
                scan.status = ScanStatus.ABORTED

    def set_status(self, scan: FakeScan, status: ScanStatus) -> None:
        self.pass_time()
        scan.status = status
        scan.pauses += status is ScanStatus.PAUSED
        scan.touched_at = self.now()

    def rename(self, scan: FakeScan, name: str) -> None:
        scan.name, scan.ours = name, False

    def remove(self, scan: FakeScan) -> None:
        self.scans.pop(scan.scan_id, None)

    def pass_time(self) -> None:
        """Brings the scans up to the present, with the requests that arrived late."""
        now = self.now()
        while self._later and self._later[0][0] <= now:
            due, _, effect = heapq.heappop(self._later)
            self._progress(due)
            try:
                effect()
            except ScannerError:
                continue  # refused, and nobody there to hear it
        self._progress(now)

    # The protocol.

    async def info(self) -> ScannerInfo:
        def effect() -> ScannerInfo:
            loading = self.now() < self.loading_until
            return attrs.evolve(self.info_answer, ready=False) if loading else self.info_answer

        return await self._request("info", effect)

    async def permissions(self) -> int | None:
        return MAY_SCAN

    async def templates(self) -> Sequence[ScanTemplate]:
        return [
            ScanTemplate(name=name, title=name, uuid=name, usable=usable)
            for name, usable in self.offered_templates.items()
        ]

    async def policies(self) -> Sequence[str]:
        return self.offered_policies

    async def list_scans(self) -> Sequence[RemoteScan]:
        return await self._request("list_scans", self._rows)

    async def create_scan(self, order: ScanOrder) -> CreatedScan:
        def effect() -> CreatedScan:
            scan = self._new(order.name, self.duration(order))
            scan.order = self.orders[scan.scan_id] = order
            return CreatedScan(scan_id=scan.scan_id, asked=Asked(template="basic"))

        return await self._request("create_scan", effect)

    async def launch(self, scan_id: int, marks: Marks) -> str:
        sent_at = trio.current_time()

        def effect() -> str:
            scan = self._own(scan_id, "launch", marks)
            if scan.status not in OCCUPYING:
                everybodys = sum(each.status in OCCUPYING for each in self.scans.values())
                if self.max_scans is not None and everybodys >= self.max_scans:
                    raise NoCapacity("the scanner runs all it may")
                self.launches[scan.name] += 1
                scan.launch_sent_at = sent_at
                self._run(scan)
            assert scan.uuid is not None
            return scan.uuid

        return await self._request("launch", effect)

    async def details(self, scan_id: int, *, uuid: str | None = None) -> ScanDetails:
        return await self._request("details", lambda: self._details(scan_id, uuid))

    async def pause(self, scan_id: int, marks: Marks) -> None:
        await self._control("pause", scan_id, marks, {ScanStatus.RUNNING}, ScanStatus.PAUSED)

    async def resume(self, scan_id: int, marks: Marks) -> None:
        await self._control("resume", scan_id, marks, {ScanStatus.PAUSED}, ScanStatus.RUNNING)

    async def stop(self, scan_id: int, marks: Marks) -> None:
        await self._control("stop", scan_id, marks, OCCUPYING, ScanStatus.STOPPED, self.on_stop)

    async def export(self, scan_id: int, history_id: int | None, destination: Path) -> int:
        def effect() -> int:
            scan = self._scan(scan_id)
            if scan.status not in ENDED:
                raise Refused("that scan is still running")
            return destination.write_bytes(self.report(scan))

        return await self._request("export", effect)

    def report(self, scan: FakeScan) -> bytes:
        """As many of its hosts as the scan had time for are finished, and the next has begun."""
        hosts = [] if scan.order is None else hosts_of(scan.order)
        done = set(self.finished(scan))
        completed = scan.status is ScanStatus.COMPLETED
        begun = None if completed else next((name for name in hosts if name not in done), None)
        body = "".join(
            HOST.format(name=name, end=END if name in done else "")
            for name in hosts
            if name in done or name == begun
        )
        return REPORT.format(name=scan.name, hosts=body).encode()

    async def delete(self, scan_id: int, marks: Marks) -> None:
        def effect() -> None:
            scan = self.scans.get(scan_id)
            if scan is None:
                return
            self._own(scan_id, "delete", marks)
            if scan.status in OCCUPYING:
                raise Refused("cannot delete an active scan")
            del self.scans[scan_id]
            self.found[scan.name] = self.finished(scan)
            self.deleted.append(scan.name)

        await self._request("delete", effect)

    async def close(self) -> None:
        self.closed = True

    async def _request(self, request: str, effect: Callable[[], T]) -> T:
        """One round trip."""
        self.requests[request] += 1
        trouble = self._trouble(request)
        delay = self.latency / 2 if trouble is None else trouble.takes
        try:
            await trio.sleep(delay)
            await self._moment(request, "before")
        except trio.Cancelled:
            after = self.arrives_anyway()
            if after is not None and request in CHANGES:
                self._take_effect_in(after, effect)
            raise
        self.pass_time()
        if trouble is not None:
            if trouble.effect is Effect.LATE:
                self._take_effect_in(trouble.delay, effect)
            elif trouble.effect is Effect.DONE:
                effect()
                await self._moment(request, "after")
            raise type(trouble.error)(str(trouble.error))
        result = effect()
        await self._moment(request, "after")
        await trio.sleep(self.latency / 2)
        self.clock_ahead = self.tells_clock()
        return result

    def _take_effect_in(self, seconds: float, effect: Callable[[], object]) -> None:
        self._turn += 1
        heapq.heappush(self._later, (self.now() + seconds, self._turn, effect))

    def _trouble(self, request: str) -> Trouble | None:
        if self.now() < self.lost_until:
            return Trouble(error=Unreachable("no connection to the scanner"))
        if self.down is not None:
            return Trouble(error=self.down)
        if request != "info" and self.now() < self.loading_until:
            return Trouble(error=NotReady("the scanner is loading its plugins"))
        if self.refusal is not None and request in ("create_scan", "launch"):
            return Trouble(error=self.refusal)
        return self.fault(request)

    async def _moment(self, request: str, moment: str) -> None:
        self.step(request, moment)
        await trio.lowlevel.checkpoint_if_cancelled()

    async def _control(
        self, request: str, scan_id: int, marks: Marks,
        before: set[ScanStatus] | frozenset[ScanStatus], after: ScanStatus,
        accepted: Callable[[FakeScan], None] = lambda _scan: None,
    ) -> None:  # fmt: skip
        def take_effect() -> None:
            scan = self.scans.get(scan_id)
            if scan is not None and scan.status in before:
                self.set_status(scan, after)

        def effect() -> None:
            scan = self._own(scan_id, request, marks)
            if scan.status not in before:
                raise Refused(f"cannot {request} that scan now")
            accepted(scan)
            self._take_effect_in(self.lag, take_effect)
            self.pass_time()

        await self._request(request, effect)

    def _new(self, name: str, duration: float, *, foreign: bool = False) -> FakeScan:
        self._last_id += 1
        scan = FakeScan(
            scan_id=self._last_id,
            name=name,
            duration=duration,
            ours=not foreign,
            foreign=foreign,
            created_at=trio.current_time(),
        )
        self.scans[scan.scan_id] = scan
        return scan

    def _run(self, scan: FakeScan) -> None:
        scan.runs += 1
        scan.status = ScanStatus.RUNNING
        scan.uuid = f"uuid-{scan.scan_id}-{scan.runs}"
        scan.started_at = scan.touched_at = self.now()
        scan.left = scan.duration
        ours = sum(not s.foreign for s in self.scans.values() if s.status in OCCUPYING)
        self.most_running = max(self.most_running, ours)
        if not scan.foreign:
            self.on_launch(scan)

    def _progress(self, now: float) -> None:
        for scan in self.scans.values():
            if scan.status is ScanStatus.RUNNING:
                scan.left -= now - scan.touched_at
                scan.touched_at = now
                if scan.left <= 0:
                    scan.left = 0.0
                    scan.status = ScanStatus.COMPLETED

    def _scan(self, scan_id: int) -> FakeScan:
        try:
            return self.scans[scan_id]
        except KeyError:
            raise NotFound("the scanner has no such scan") from None

    def _own(self, scan_id: int, request: str, marks: Marks) -> FakeScan:
        scan = self._scan(scan_id)
        self._notice_foreign(request, scan)
        if not scan.ours or not bears(scan.name, marks):
            raise NotOurs("that scan is not ours")
        return scan

    def _notice_foreign(self, request: str, scan: FakeScan) -> None:
        if scan.foreign:
            self.touched_foreign.append(f"{request} {scan.name}")

    def _details(self, scan_id: int, uuid: str | None) -> ScanDetails:
        scan = self._scan(scan_id)
        if uuid is not None and scan.uuid is not None and uuid != scan.uuid:
            raise NotFound("that scan has no such run")
        return ScanDetails(
            scan_id=scan_id,
            name=scan.name,
            status=scan.status,
            status_text=scan.status,
            uuid=scan.uuid,
            history_id=scan_id * 10 + scan.runs if scan.uuid else None,
            progress=round(100 * self.progress(scan)) if scan.uuid else None,
            hosts=1,
            started_at=scan.started_at,
            ended_at=scan.touched_at if scan.status in ENDED else None,
            targets=scan.targets or (",".join(scan.order.targets) if scan.order else None),
            failed_logins=self.failed_logins,
            worked_logins=self.worked_logins,
        )

    def _rows(self) -> list[RemoteScan]:
        return [
            RemoteScan(
                scan_id=scan.scan_id,
                name=scan.name,
                status=scan.status,
                status_text=scan.status,
                uuid=scan.uuid,
                ours=scan.ours,
            )
            for scan in self.scans.values()
        ]


def finished(scan: FakeScan) -> Sequence[str]:
    """The hosts that it has scanned to their end, one after the other."""
    if scan.uuid is None or scan.order is None:
        return ()
    hosts = hosts_of(scan.order)
    done = len(hosts) if scan.status is ScanStatus.COMPLETED else int(len(hosts) * share(scan))
    return hosts[:done]


def share(scan: FakeScan) -> float:
    """Of its time that has passed, 0 to 1."""
    return 1 - scan.left / scan.duration if scan.duration else 1.0


def unreachable() -> ScannerError:
    return Unreachable("no connection to the scanner")


REPORT = """<?xml version="1.0" ?>
<NessusClientData_v2><Report name="{name}">{hosts}</Report></NessusClientData_v2>
"""
HOST = """<ReportHost name="{name}"><HostProperties><tag name="host-ip">{name}</tag>
<tag name="HOST_START">Mon Mar  3 10:00:00 2025</tag>{end}</HostProperties>
<ReportItem port="0" svc_name="general" protocol="tcp" severity="0" pluginID="19506"
 pluginName="Nessus Scan Information" pluginFamily="Settings">
<plugin_output>Credentialed checks : no</plugin_output></ReportItem></ReportHost>
"""
END = '<tag name="HOST_END">Mon Mar  3 10:10:00 2025</tag>'


def hosts_of(order: ScanOrder) -> list[str]:
    """The addresses and names that an order asks for."""
    return hosts_in(word.partition("[")[0] for word in order.targets)


def hosts_in(texts: Iterable[str]) -> list[str]:
    """The addresses and names that these targets are."""
    targets = targets_from(texts)
    found = [address_text(n) for first, last in targets.ranges for n in range(first, last + 1)]
    return [*found, *targets.names]


def fails(scanner: FakeScanner, request: str, *troubles: Trouble) -> None:
    """The next requests of that name meet these troubles, one after the other."""
    left = list(troubles)

    def fault(name: str) -> Trouble | None:
        return left.pop(0) if name == request and left else None

    scanner.fault = fault
