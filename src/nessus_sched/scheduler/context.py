"""What all parts of the scheduler share, and the one way to record a task's change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol, TypeVar

import attrs
import structlog
import trio
from structlog.typing import FilteringBoundLogger

from nessus_sched.config.schema import Config
from nessus_sched.core.calendar.keeping import PauseTimes
from nessus_sched.core.clock import Now
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.leading.lease import Lease
from nessus_sched.core.masking import Masker
from nessus_sched.core.measured import Measured
from nessus_sched.core.outcome import OUTCOME, outcome_of
from nessus_sched.core.pool.pool import Pool
from nessus_sched.core.run_sync import RunSync
from nessus_sched.core.scanner import ScannerInfo
from nessus_sched.core.seal import Seal
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.targets.targets import TargetSet
from nessus_sched.core.task import Task
from nessus_sched.core.task_store import TaskStore
from nessus_sched.scheduler.backlog import Backlog
from nessus_sched.scheduler.offers import Offers
from nessus_sched.scheduler.turns import Turns
from nessus_sched.telemetry import events

T = TypeVar("T")

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""A host name to its addresses, as text. Raises OSError when it cannot be resolved."""

IngestReport = Callable[[Task, Sequence[Path], ScannerInfo | None], Awaitable[Mapping[str, Any]]]
"""Reads the reports of a task's scans, oldest scan first, into the findings store as one scan, and
returns its summary document. The scanner's description of itself is None for a report from
elsewhere. Of the task, `partial` says why results are missing, if they are, `remaining` which
targets they are missing for, and `reports` which scanners the reports are from; one that is not
among those is from its `scanner_instance`."""

Observer = Callable[[Task, JournalEntry], None]
"""Called after every durable change of a task; must not block or raise."""


class Reports(Protocol):
    """Where the scanners' reports are kept on disk."""

    def scratch(self, task_id: str) -> Path:
        """A path on the same file system for a report that is being fetched."""

    async def keep(self, task_id: str, path: Path, attempt: int = 0) -> str:
        """Keeps the fetched report of an attempt durably; returns the name of its file."""

    def kept(self, file: str) -> Path:
        """Where a report that was kept is."""

    async def finished_hosts(self, path: Path) -> Collection[str]:
        """The names and addresses of the hosts of the fetched report that were finished."""

    async def foreign_host(self, path: Path, ours: TargetSet) -> str | None:
        """A host of the fetched report that is not among `ours`; None if all are."""

    async def drop(self, task_id: str) -> None:
        """Deletes what was stored of a report whose task could not be recorded."""


CLOCK_CHECKS: Final = 15.0
"""Seconds between looks at the wall clock, unless the surroundings say otherwise."""
STORE_PATIENCE = 5.0
"""Seconds between tries while the store is unavailable."""


@attrs.frozen(kw_only=True)
class Rights:
    """`refusal` says why a scan may not be run at all, `scopes` limit its targets."""

    refusal: str | None = None
    scopes: Sequence[Scope] = ()


@attrs.frozen
class Drain:
    """Epoch seconds; None: until someone ends it."""

    begin: float
    end: float | None


class RightsUnknown(Exception):
    """It cannot be found out at present what a submitter may have scanned."""


@attrs.frozen(kw_only=True)
class WorkedLogin:
    """A credential that worked on some host in a scan at that time (epoch seconds)."""

    credential: str
    at: float


async def _never(_credentials: Sequence[str]) -> WorkedLogin | None:
    return None


async def _all_rights(_task: Task) -> Rights:
    return Rights()


@attrs.define(kw_only=True)
class Context:
    """The scheduler's surroundings. `config` is replaced as a whole on reload."""

    config: Config
    pool: Pool
    store: TaskStore
    exports: Reports
    digest: IngestReport
    resolve: Resolve
    now: Now
    """The steady clock: for waiting and measuring, never written or shown."""
    wall: Now
    """The wall clock: for records and people, never compared with `now`."""
    clock_checks: float = CLOCK_CHECKS
    """Seconds between looks at the wall clock by what goes by it, because it may be set."""
    lease: Lease = attrs.field(factory=Lease.forever)
    """Whether no other daemon can have taken over."""
    seal: Seal
    random: Random
    rights_to: Callable[[Task], Awaitable[Rights]] = _all_rights
    """What the submitter of a task may have scanned now. May raise `RightsUnknown`."""
    last_worked: Callable[[Sequence[str]], Awaitable[WorkedLogin | None]] = _never
    """The latest scan in which one of some credentials worked. May raise `StoreUnavailable`."""
    mask: Masker = attrs.field(factory=Masker)
    """Knows every configured secret; what leaves the program passes through it."""
    observers: list[Observer] = attrs.field(factory=list)
    licensed: dict[str, int | None] = attrs.field(factory=dict)
    """How many hosts the license of each scanner allows, as last reported; None for no limit."""
    backlog: Backlog = attrs.field(
        default=attrs.Factory(lambda self: Backlog(self.config.limits), takes_self=True)
    )
    pausing: PauseTimes = attrs.field(factory=PauseTimes)
    drains: dict[str, Drain] = attrs.field(factory=dict)
    """When operators want scanners to be drained, by scanner."""
    certifying: dict[str, str] = attrs.field(factory=dict)
    """The certification that has scans on a scanner, by scanner: its scans' markers name it
    as their task."""
    measured: dict[str, Measured] = attrs.field(factory=dict)
    """Results of the latest certification of each scanner."""
    offers: dict[str, Offers] = attrs.field(factory=dict)
    """What each scanner offers for custom scans, as last reported."""
    run_sync: RunSync = trio.to_thread.run_sync
    """Runs long work on the CPU beside the loop."""
    last_order: int = 0
    """The place of the latest task in the order of acceptance."""
    turns: Turns = attrs.field(factory=Turns)
    """Held, by task id, from reading a task that no driver carries until its change is stored."""
    log: FilteringBoundLogger = attrs.field(factory=lambda: structlog.get_logger("scheduler"))

    def next_order(self) -> int:
        """The place of a new task in the order of acceptance."""
        self.last_order += 1
        return self.last_order

    def shown(self, moment: float) -> float:
        """A moment of the steady clock, by the wall clock as it is set now."""
        return self.wall() - (self.now() - moment)

    def recorded(self, moment: float) -> float:
        """A recorded moment by the steady clock; never in the future, however the wall clock
        was set since."""
        return min(self.now(), self.by_steady_clock(moment))

    def by_steady_clock(self, moment: float) -> float:
        """The opposite of `shown`; the moment may be in the future."""
        return self.now() - (self.wall() - moment)

    def expired(self, kept: float) -> float:
        """Records older than this may go after `kept` seconds. A wall clock that was set
        forward makes nothing older."""
        return min(self.now(), self.wall()) - kept

    async def record_until_stored(self, task: Task, entry: JournalEntry) -> None:
        """Records what has already happened; waits while the store is unavailable."""
        await self.retry_store(lambda: self.record(task, entry))

    async def retry_store(self, use: Callable[[], Awaitable[T]]) -> T:
        """Repeats `use` until the store is available."""
        while True:
            try:
                return await use()
            except StoreUnavailable as error:
                self.log.warning(events.STORE_UNAVAILABLE, reason=str(error))
            await trio.sleep(STORE_PATIENCE)

    async def record(self, task: Task, entry: JournalEntry) -> None:
        """Writes a change and notifies the observers. Raises `StoreUnavailable`."""
        outcome = outcome_of(task)
        detail = entry.detail if outcome is None else {**entry.detail, OUTCOME: outcome}
        entry = attrs.evolve(entry, cause=self.mask(entry.cause), detail=self.mask.masked(detail))
        await self.store.record(task, entry)
        self.announce(task, entry)

    def announce(self, task: Task, entry: JournalEntry) -> None:
        self.backlog.observe(task, entry)
        for observe in self.observers:
            observe(task, entry)
