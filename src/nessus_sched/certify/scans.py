"""The scans of a certification: create, track, export and delete them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import attrs
import trio

from nessus_sched.certify.report import Facts, read_facts
from nessus_sched.core.asked import Asked
from nessus_sched.core.run_sync import RunSync
from nessus_sched.core.scanner import (
    CHANGING,
    ENDED,
    MAY_RUN,
    CreatedScan,
    RemoteScan,
    ScanDetails,
    Scanner,
    ScannerError,
    ScanOrder,
    ScanStatus,
)
from nessus_sched.core.seal import bears
from nessus_sched.core.task import ScanRequest

LOOK_EVERY: Final = 1.0
"""Transitional statuses, in which a scan counts as running."""


class TestedScanner(Scanner, Protocol):
    """A scanner with the additional reads that a certification needs."""

    async def idle_timeout(self) -> float | None:
        """Seconds until an idle session expires; None if the scanner does not report it."""

    async def runs(self, scan_id: int) -> int:
        """The number of runs in the scan's history."""


@attrs.frozen(kw_only=True)
class Subject:
    """`marker(n)` ends the name of the n-th scan, `target` has passed the scope check, `folder`
    is for reports while they are read, `wall` is the wall clock, and `keys` says whether the
    login uses API keys."""

    scanner: TestedScanner
    target: str
    marker: Callable[[int], str]
    folder: Path
    wall: Callable[[], float]
    keys: bool
    run_sync: RunSync


@attrs.define
class Scan:
    scan_id: int
    marks: tuple[str, ...]
    asked: Asked
    uuid: str = ""


class Scans:
    """The scans of one certification. Every method may raise `ScannerError`."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._scanner = subject.scanner
        self._ordered = 0
        self.made: list[Scan] = []

    @property
    def markers(self) -> list[str]:
        """The markers of all scans that may have been created."""
        return [self._subject.marker(number + 1) for number in range(self._ordered)]

    async def create(self, request: ScanRequest, *, families: frozenset[str] = frozenset()) -> Scan:
        self._ordered += 1
        marker = self._subject.marker(self._ordered)
        order = ScanOrder(
            name=f"certification {marker}",
            marker=marker,
            targets=request.targets,
            request=request,
            families=families,
        )
        created: CreatedScan = await self._scanner.create_scan(order)
        made = Scan(created.scan_id, (marker,), created.asked or Asked())
        self.made.append(made)
        return made

    async def launch(self, scan: Scan) -> None:
        scan.uuid = await self._scanner.launch(scan.scan_id, scan.marks)

    async def until(self, scan: Scan, wanted: frozenset[ScanStatus], within: float) -> ScanDetails:
        """The run's details once it is in one of these states; raises if that takes too long."""
        began = trio.current_time()
        while True:
            found = await self._scanner.details(scan.scan_id, uuid=scan.uuid or None)
            if found.status in wanted and found.status_text.lower() not in CHANGING:
                return found
            if trio.current_time() - began > within:
                raise ScannerError(
                    f"The scan is still {found.status_text!r} after {within / 60:.0f} min."
                )
            await trio.sleep(LOOK_EVERY)

    async def under_way(self, scan: Scan, within: float) -> ScanDetails:
        """The run's details once a host is being scanned or it has ended; if that takes too long,
        the current details."""
        began = trio.current_time()
        while True:
            found = await self._scanner.details(scan.scan_id, uuid=scan.uuid or None)
            late = trio.current_time() - began > within
            if found.progress or found.status in ENDED or late:
                return found
            await trio.sleep(LOOK_EVERY)

    async def fetch(self, scan: Scan, run: ScanDetails) -> Facts:
        """Also raises `UnreadableReport` and `OSError`."""
        path = self._subject.folder / f"{scan.scan_id}.nessus"
        try:
            await self._scanner.export(scan.scan_id, run.history_id, path)
            return await self._subject.run_sync(lambda: read_facts(path))
        finally:
            path.unlink(missing_ok=True)


async def remove(scanner: Scanner, is_ours: Callable[[RemoteScan], bool]) -> None:
    """Stops and deletes these scans in our folder. Raises `ScannerError`, possibly after
    deleting some."""
    told: set[int] = set()
    while rows := [each for each in await scanner.list_scans() if each.ours and is_ours(each)]:
        for each in rows:
            marks = (each.name[each.name.rindex("[") :],)
            if each.status in MAY_RUN and each.scan_id not in told:
                told.add(each.scan_id)
                await scanner.stop(each.scan_id, marks)
            elif each.status is ScanStatus.EMPTY or each.status in ENDED:
                await scanner.delete(each.scan_id, marks)
        await trio.sleep(LOOK_EVERY)


def marked(markers: Sequence[str]) -> Callable[[RemoteScan], bool]:
    """A predicate for the scans with one of these markers."""
    return lambda row: bears(row.name, markers)
