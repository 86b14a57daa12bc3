"""Keeps the ledger up to date: applies every finished scan that it does not have.

What is stored and not applied is found by comparing the two databases, so a scan that just
ended, one that a crash kept from being applied, and the scans of a version without a ledger all
take the same way, oldest first, without delaying anything else. At start and after a rebuild,
scans whose findings were deleted are entered from the reports that are kept of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import attrs
import structlog
import trio

from nessus_sched.config.ledger import LedgerSettings
from nessus_sched.core.clock import Now
from nessus_sched.core.coverage import unfinished
from nessus_sched.core.exceptions.exception import FindingException
from nessus_sched.core.exceptions.rule import Rule
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import SETTLED
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.targets.targets import TargetSet
from nessus_sched.core.task import ScanKind, Task
from nessus_sched.core.task_store import TaskStore
from nessus_sched.results.findings_port import FindingsStore
from nessus_sched.results.ledger.as_of import AsOfPage, AsOfQuery
from nessus_sched.results.ledger.hosts import ScanOrigin
from nessus_sched.results.ledger.logins import LoginRun
from nessus_sched.results.ledger.news import News, NewsQuery
from nessus_sched.results.ledger.port import KeptReports, Ledger
from nessus_sched.results.ledger.questions import (
    ChangePage,
    ChangeQuery,
    Entry,
    HostPage,
    Shown,
    Spot,
)
from nessus_sched.results.ledger.reach import ReachedStretch
from nessus_sched.results.ledger.search import LedgerPage, LedgerSearch
from nessus_sched.results.ledger.selection import Selected, Selection
from nessus_sched.results.ledger.sla import SlaCounts, SlaQuery
from nessus_sched.results.ledger.trend import TrendPoint, TrendQuery
from nessus_sched.scheduler.context import WorkedLogin
from nessus_sched.scheduler.exceptions import Exceptions
from nessus_sched.telemetry import events

log = structlog.get_logger("daemon")

LOOK_EVERY: Final = 60.0
"""Seconds between two looks for scans that nobody announced."""
LATEST_LOGINS: Final = 5
"""Scans with a credential in which it is looked for whether it worked."""
FEW: Final = 3
PATIENCE: Final = 5.0
"""Seconds for which a question waits for scans that are being applied."""


@attrs.define(kw_only=True, eq=False)
class LedgerKeeper:
    """Implements the port `KeptLedger`. `settings` gives the configuration in effect."""

    ledger: Ledger
    tasks: TaskStore
    settings: Callable[[], LedgerSettings]
    wall: Now
    exceptions: Exceptions
    findings: FindingsStore
    reports: KeptReports
    prepare: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
    """Comes before the first scan is entered."""
    every: float = LOOK_EVERY
    """Seconds between looks if nothing happens."""
    waiting: int = 0
    """Scans still to be applied."""
    trouble: str | None = None
    """Why the ledger cannot be brought up to date."""
    _restorable: dict[str, Task] | None = attrs.field(default=None, init=False)
    """Tasks to enter from their reports; None if that has to be found out."""
    _covered: Sequence[FindingException] | None = attrs.field(default=None, init=False)
    """The exceptions that the ledger was made for; None at first."""
    _compared: bool = attrs.field(default=False, init=False)
    """Whether these were compared with what is open now, and not with what an old scan found while
    others were still to be entered."""
    _work: trio.Event = attrs.field(factory=trio.Event, init=False)
    _idle: trio.Event = attrs.field(factory=trio.Event, init=False)

    def observe(self, task: Task, _entry: JournalEntry) -> None:
        if ended(task):
            self.wake()

    def wake(self) -> None:
        """There may be a scan to apply."""
        self._work.set()
        if self._idle.is_set():
            self._idle = trio.Event()

    async def run(self) -> None:
        """Until canceled."""
        await self.prepare()
        while True:
            self._work = trio.Event()
            try:
                await self._catch_up()
                await self._cover()
                self.trouble = None
            except StoreUnavailable as error:
                self.trouble = str(error)
                self._covered = None  # what a scan said about exceptions may be lost
                log.warning(events.LEDGER_BEHIND, reason=str(error), waiting=self.waiting)
            if not self._work.is_set():
                self._idle.set()
            with trio.move_on_after(self.every):
                await self._work.wait()

    async def settled(self) -> None:
        """Waits a little for a few scans that just ended; not for those of an upgrade."""
        if self.waiting > FEW:
            return
        with trio.move_on_after(PATIENCE):
            await self._idle.wait()

    # -- questions, answered once the scans that just ended are entered

    async def hosts(
        self,
        name: str,
        *,
        shown: Shown,
        least_severity: int,
        limit: int,
        offset: int,
        now: float = 0.0,
    ) -> Sequence[HostPage]:
        await self.settled()
        return await self.ledger.hosts(
            name, shown=shown, least_severity=least_severity, limit=limit, offset=offset, now=now
        )

    async def count_covered(self, rule: Rule) -> int:
        await self.settled()
        return await self.ledger.count_covered(rule)

    async def changes(self, query: ChangeQuery) -> ChangePage:
        await self.settled()
        return await self.ledger.changes(query)

    async def selected(self, wanted: Selection, now: float) -> Sequence[Selected]:
        await self.settled()
        return await self.ledger.selected(wanted, now)

    async def standing(self, spots: Sequence[Spot], now: float) -> Sequence[Entry | None]:
        await self.settled()
        return await self.ledger.standing(spots, now)

    async def ever_seen(
        self, ranges: Sequence[tuple[int, int]], names: Sequence[str]
    ) -> Sequence[str]:
        # Of scans that ended long ago: waiting would hold up the firings of other schedules.
        return await self.ledger.ever_seen(ranges, names)

    async def search(self, search: LedgerSearch, *, max_bytes: int | None = None) -> LedgerPage:
        await self.settled()
        return await self.ledger.search(search, max_bytes=max_bytes)

    async def scan_times(self, task_ids: Sequence[str]) -> Sequence[int]:
        await self.settled()
        return await self.ledger.scan_times(task_ids)

    async def reach(self, asked: TargetSet, since: float) -> Sequence[ReachedStretch]:
        await self.settled()
        return await self.ledger.reach(asked, since)

    async def logins(self, credential: str, limit: int) -> Sequence[LoginRun]:
        await self.settled()
        return await self.ledger.logins(credential, limit)

    async def has(self, task_id: str) -> bool:
        return await self.ledger.has(task_id)

    async def news(self, query: NewsQuery) -> News:
        return await self.ledger.news(query)

    async def trend(self, query: TrendQuery) -> Sequence[TrendPoint]:
        await self.settled()
        return await self.ledger.trend(query)

    async def sla(self, query: SlaQuery) -> SlaCounts:
        await self.settled()
        return await self.ledger.sla(query)

    async def as_of(self, query: AsOfQuery) -> AsOfPage:
        await self.settled()
        return await self.ledger.as_of(query)

    async def last_worked(self, credentials: Sequence[str]) -> WorkedLogin | None:
        """The latest scan in which one of these credentials worked, of its latest ones."""
        found = [
            WorkedLogin(credential=name, at=run.at)
            for name in credentials
            for run in await self.ledger.logins(name, LATEST_LOGINS)
            if run.full or run.partial
        ]
        return max(found, key=lambda each: each.at, default=None)

    async def lost_by_rebuild(self) -> int:
        """How many scans in the ledger have neither findings nor a report any more."""
        scans, reports = await self.ledger.scans(), await self.reports.with_reports()
        kept = scans.stored.union(*map(wholes, reports))
        return len(scans.applied - kept)

    async def rebuild(self) -> int:
        """Empties the ledger; all stored scans are entered again in the background. Returns how
        many those are."""
        await self.ledger.clear()
        self._restorable = await self._find_restorable()
        self.waiting = len(await self._ready())
        self.wake()
        return self.waiting

    # -- exceptions

    async def _cover(self) -> None:
        """Covers open findings with the exceptions that are in force now."""
        wanted, up_to_date = self.exceptions.in_force(), self.waiting == 0
        same = self._covered is not None and _same(wanted, self._covered)
        if same and (self._compared or not up_to_date):
            return
        found = await self.ledger.cover(wanted)
        if up_to_date:
            await self.exceptions.observed({name: each.facts for name, each in found.items()})
        self._covered, self._compared = wanted, up_to_date

    # -- entering scans

    async def _catch_up(self) -> None:
        tasks = await self._ready()
        self.waiting = len(tasks)
        for task in tasks:
            await self._enter(task)
            self.waiting -= 1
            if self._work.is_set():
                return  # look again: older scans may have come up

    async def _ready(self) -> list[Task]:
        """The ended tasks whose scans are not entered, oldest scan first."""
        if self._restorable is None:
            self._restorable = await self._find_restorable()
        found = [
            (each.at, task)
            for each in await self.ledger.unapplied()
            if (task := await self.tasks.get(each.task_id)) is not None and ended(task)
        ]
        found += [(task.entered[task.state], task) for task in self._restorable.values()]
        return [task for _, task in sorted(found, key=lambda each: each[0])]

    async def _find_restorable(self) -> dict[str, Task]:
        """The tasks that are not entered whose findings were deleted, but not their reports."""
        scans, reports = await self.ledger.scans(), await self.reports.with_reports()
        wanted = set[str]().union(*map(wholes, reports)) - scans.applied - scans.stored
        found = [await self.tasks.get(task_id) for task_id in sorted(wanted)]
        return {task.task_id: task for task in found if task is not None and ended(task)}

    async def _enter(self, task: Task) -> None:
        assert self._restorable is not None
        if task.task_id not in self._restorable:
            await self._apply(task)
            return
        if await self.reports.restore(task):
            await self._apply(task)
            await self.findings.delete(task.task_id)
        self._restorable.pop(task.task_id, None)

    async def _apply(self, task: Task) -> None:
        started = trio.current_time()
        origin = origin_of(task, await self._left(task))
        applied = await self.ledger.apply(
            origin, identity=self.settings().host_identity, now=self.wall()
        )
        if applied is not None:
            changes = attrs.asdict(
                applied, filter=lambda field, _: field.name not in ("at", "facts")
            )
            seconds = round(trio.current_time() - started, 3)
            log.info(events.LEDGER_APPLIED, **changes, seconds=seconds)
            if applied.at is not None:
                await self.exceptions.observed(applied.facts, applied.at)
            await self._cover()

    async def _left(self, task: Task) -> tuple[str, ...]:
        """The targets that no scan of the task has finished; those of a split task are what its
        parts have left."""
        if task.split is None or task.partial is None:
            return task.remaining or ()
        missed = unfinished(task, await self.tasks.parts_of(task.task_id))
        return tuple(text for each in missed for text in each.targets.texts)


def _same(one: Sequence[FindingException], other: Sequence[FindingException]) -> bool:
    """Whether they cover the same; what is known of their plugins does not matter."""
    return [(each.exception_id, each.expires) for each in one] == [
        (each.exception_id, each.expires) for each in other
    ]


def wholes(task_id: str) -> tuple[str, ...]:
    """A task, and the one that it is a part of if it is a part (`core.ids.part_id`)."""
    whole, _, number = task_id.rpartition("-")
    return (task_id, whole) if number.isdecimal() and len(whole) > 1 else (task_id,)


def ended(task: Task) -> bool:
    """Whether the task has results that do not change by themselves."""
    return task.part is None and task.summary is not None and task.state in SETTLED


def origin_of(task: Task, left: tuple[str, ...] = ()) -> ScanOrigin:
    """What the ledger needs to know of a task besides its findings. `left` are the targets that no
    scan of it has finished."""
    if task.scanner_instance is None and task.split is None:
        return ScanOrigin(task_id=task.task_id, settled=task.entered[task.state])  # imported
    return ScanOrigin(
        task_id=task.task_id,
        series=series_of(task),
        accepted=task.created_at,
        began=task.launched_at if task.launched_at is not None else task.created_at,
        targets=task.request.targets,
        left=left,
        only=None if task.request.verify is None else task.request.verify.plugin_ids,
        credentials=tuple(task.request.credentials),
        settled=task.entered[task.state],
    )


def series_of(task: Task) -> str:
    """Equal for scans that look for the same things, wherever and with whichever login. A scan
    that verifies findings stands in for those that saw them."""
    asked = task.request
    if asked.verify is not None:
        return asked.verify.series
    settings = ",".join(f"{name}={value}" for name, value in sorted(asked.settings.items()))
    what: tuple[str | None, ...] = (asked.template, asked.policy, asked.audit, asked.discovery,
                                    asked.profile, settings)  # fmt: skip
    return " ".join(each for each in (ScanKind(asked.kind).value, *what) if each)
