"""Killing a daemon that is a process of its own at a chosen step of a task's life.

The product knows nothing of it: a scanner that has just received a request kills who sent
it, or someone who reads the journal from outside does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from pathlib import Path

import attrs
import trio

from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.sim.faults import Fault, FaultKind, Faults
from nessus_sched.sim.state import SimulatedNessus
from nessus_sched.store.tasks.offline import OfflineStore, read_offline

LOOK = 0.003
"""Seconds between two looks into the journal."""


@attrs.frozen
class AtRequest:
    """When a scanner has received such a request: before anything has happened there, or
    (`after`) when it has taken effect and its answer is on its way."""

    method: str
    path: str
    after: bool = False

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.method} {self.path}"


@attrs.frozen
class AtRow:
    """As soon as an entry of that event can be read in the journal."""

    event: str

    def __str__(self) -> str:
        return f"row {self.event}"


@attrs.frozen
class AtTime:
    """So many seconds after the process was started, wherever everything stands then."""

    seconds: float

    def __str__(self) -> str:
        return "random moment"


Moment = AtRequest | AtRow | AtTime

REQUESTS = (
    ("GET", "/server/properties"),
    ("GET", "/scans"),
    ("POST", "/scans"),
    ("POST", "/scans/*/launch"),
    ("GET", "/scans/*"),
    ("POST", "/scans/*/pause"),
    ("POST", "/scans/*/resume"),
    ("POST", "/scans/*/stop"),
    ("POST", "/scans/*/export"),
    ("GET", "/scans/*/export/*/status"),
    ("GET", "/scans/*/export/*/download"),
    ("DELETE", "/scans/*"),
)
ROWS = (
    "submitted",
    "taken",
    "scan_created",
    "launched",
    "adopted",
    "pause_requested",
    "paused",
    "run_requested",
    "resumed",
    "cancel_requested",
    "canceled",
    "launch_delayed",
    "retry_scheduled",
    "retry_due",
    "scan_finished",
    "export_delayed",
    "completed",
)
STEPS: tuple[Moment, ...] = (
    *(AtRequest(*request, after=after) for request in REQUESTS for after in (False, True)),
    *(AtRow(event) for event in ROWS),
)
"""Every step at which a daemon is killed on purpose."""


class Ambush:
    """Lies in wait for one process at one moment, at most once at a time."""

    def __init__(self, state_directory: Path) -> None:
        self._directory = state_directory
        self._process: trio.Process | None = None
        self._moment: AtRequest | None = None
        self._skip = 0
        self._sprung = trio.Event()

    def watch(self, nessus: SimulatedNessus) -> None:
        """From now on that scanner's requests can be the moment."""
        nessus.faults = _Watched(self)

    async def kill(
        self,
        process: trio.Process,
        moment: Moment,
        skip: int,
        patience: Callable[[], Awaitable[None]],
    ) -> bool:
        """Kills the process at the moment (the first `skip` like it are let pass), or when
        `patience` returns before; returns whether the moment came. Does nothing to a process
        that has ended by itself."""
        came = False
        async with trio.open_nursery() as nursery:

            async def lose_patience() -> None:
                await patience()
                nursery.cancel_scope.cancel(reason="the moment has not come")

            nursery.start_soon(lose_patience)
            await self._await(process, moment, skip)
            came = True
            nursery.cancel_scope.cancel(reason="the moment has come")
        self._moment = None
        process.kill()
        await process.wait()
        return came

    def strikes(self, method: str, path: str) -> FaultKind | None:
        """A request has arrived: the killing, when this is the one."""
        moment = self._moment
        if moment is None or moment.method != method or not fnmatchcase(path, moment.path):
            return None
        if self._skip > 0:
            self._skip -= 1
            return None
        assert self._process is not None
        self._moment = None
        self._process.kill()
        self._sprung.set()
        return FaultKind.RESET_AFTER if moment.after else FaultKind.RESET_BEFORE

    async def _await(self, process: trio.Process, moment: Moment, skip: int) -> None:
        match moment:
            case AtTime(seconds):
                await trio.sleep(seconds)
            case AtRow(event):
                await _row(self._directory, event, skip)
            case AtRequest():
                self._process, self._moment, self._skip = process, moment, skip
                self._sprung = trio.Event()
                await self._sprung.wait()


class _Watched(Faults):
    """The faults of a scanner, which are asked about every request."""

    def __init__(self, ambush: Ambush) -> None:
        super().__init__()
        self._ambush = ambush

    def for_request(self, method: str, path: str) -> Fault | None:
        kind = self._ambush.strikes(method, path)
        return super().for_request(method, path) if kind is None else Fault(kind=kind)


async def _row(directory: Path, event: str, skip: int) -> None:
    """Returns when the journal has `skip` + 1 more entries of that event than now."""
    while not (directory / "tasks.db-wal").exists():  # noqa: ASYNC110 - another process makes it
        await trio.sleep(LOOK)
    try:
        with read_offline(directory) as store:
            await _new_row(store, event, skip)
    except StoreUnavailable:  # it is just being created or recovered
        await trio.sleep(LOOK)
        await _row(directory, event, skip)


async def _new_row(store: OfflineStore, event: str, skip: int) -> None:
    at: int | None = None
    left = skip
    while True:
        rows = store.journal(after=at or 0, limit=100_000)
        if at is not None:
            left -= sum(row.entry.event == event for row in rows)
        at = rows[-1].seq if rows else at or 0
        if left < 0:
            return
        await trio.sleep(LOOK)
