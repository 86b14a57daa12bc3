"""Ports to the ledger: what the daemon and the operations need of a store."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import attrs

from nessus_sched.config.ledger import HostIdentity
from nessus_sched.core.exceptions.exception import FindingException, PluginFacts
from nessus_sched.core.exceptions.rule import Rule
from nessus_sched.core.targets.targets import TargetSet
from nessus_sched.core.task import Task
from nessus_sched.results.ledger.as_of import AsOfPage, AsOfQuery
from nessus_sched.results.ledger.hosts import ScanOrigin
from nessus_sched.results.ledger.logins import LoginRun
from nessus_sched.results.ledger.news import News, NewsQuery
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


@attrs.frozen(kw_only=True)
class Waiting:
    """A stored scan that the ledger does not have. `scan` is its number in the findings
    database, and `at` when its hosts were scanned (epoch seconds)."""

    task_id: str
    scan: int
    at: float


@attrs.frozen(kw_only=True)
class AppliedScans:
    """The tasks whose scans were applied, and those whose findings are stored."""

    applied: frozenset[str]
    stored: frozenset[str]


@attrs.frozen(kw_only=True)
class Covered:
    """The open findings that an exception covers: how many, and what is known of their plugins."""

    count: int
    facts: Mapping[int, PluginFacts]


@attrs.frozen(kw_only=True)
class Applied:
    """What a scan changed. `late` hosts were left out because the ledger knows a later scan of
    them, `undated` ones because the time of their scan is unknown. `at` is None if nothing was
    applied."""

    task_id: str
    at: int | None
    hosts: int = 0
    late: int = 0
    undated: int = 0
    new: int = 0
    resurfaced: int = 0
    fixed: int = 0
    unverified: int = 0
    facts: Mapping[str, Mapping[int, PluginFacts]] = attrs.field(factory=dict)
    """What the scan says about the plugins of exceptions, by exception, on the hosts that they
    cover."""


class Questions(Protocol):
    """Every method raises `StoreUnavailable` when the file cannot be read."""

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
        """The hosts with this address or name, and a page of the findings of each. Exceptions
        count until `now` (epoch seconds)."""

    async def changes(self, query: ChangeQuery) -> ChangePage:
        """A page of what changed, the latest first."""

    async def search(self, search: LedgerSearch, *, max_bytes: int | None = None) -> LedgerPage:
        """A page of findings that match, or of their groups. With `max_bytes` the JSON of its rows
        keeps to that size, and the notes say what was cut. Raises `BadQuery`."""

    async def count_covered(self, rule: Rule) -> int:
        """How many open findings a rule covers."""

    async def selected(self, wanted: Selection, now: float) -> Sequence[Selected]:
        """The findings of a selection, worst first. Exceptions count until `now` (epoch
        seconds)."""

    async def standing(self, spots: Sequence[Spot], now: float) -> Sequence[Entry | None]:
        """The entry of each of these findings, None if it has none. Exceptions count until `now`
        (epoch seconds)."""

    async def ever_seen(
        self, ranges: Sequence[tuple[int, int]], names: Sequence[str]
    ) -> Sequence[str]:
        """Which of these addresses and names have ever answered a scan."""

    async def scan_times(self, task_ids: Sequence[str]) -> Sequence[int]:
        """When the scans of these tasks took place (epoch seconds), latest first."""

    async def reach(self, asked: TargetSet, since: float) -> Sequence[ReachedStretch]:
        """How well each target was reached since a time (epoch seconds), in their order."""

    async def logins(self, credential: str, limit: int) -> Sequence[LoginRun]:
        """The latest scans with a credential, latest first."""

    async def has(self, task_id: str) -> bool:
        """Whether the findings of a task are entered."""

    async def news(self, query: NewsQuery) -> News:
        """What the scans of some tasks have changed."""

    async def trend(self, query: TrendQuery) -> Sequence[TrendPoint]:
        """How many findings were open over time, the earliest point first. Raises `BadCalendar`
        for an unknown time zone."""

    async def sla(self, query: SlaQuery) -> SlaCounts:
        """Which findings are or were fixed in time."""

    async def as_of(self, query: AsOfQuery) -> AsOfPage:
        """A page of findings as they stood at a time in the past, in the order of their hosts."""


class LedgerReader(Questions, Protocol):
    """What operations ask. `waiting` scans have ended and are not entered yet."""

    @property
    def waiting(self) -> int: ...


class KeptLedger(LedgerReader, Protocol):
    """The ledger of a running daemon."""

    async def lost_by_rebuild(self) -> int:
        """How many scans in the ledger have neither findings nor a report any more."""

    async def rebuild(self) -> int:
        """Empties the ledger; all stored scans are entered again in the background. Returns how
        many those are."""


class KeptReports(Protocol):
    """The reports of ended scans, which may be kept for longer than their findings."""

    async def with_reports(self) -> Mapping[str, float]:
        """The tasks and parts of which a report is kept, and when the latest was stored (epoch
        seconds). Raises `StoreUnavailable`."""

    async def restore(self, task: Task) -> bool:
        """Stores the findings of a task again; False if there are no reports of it, or damaged
        ones. Raises `StoreUnavailable`."""


class Ledger(Questions, Protocol):
    """Every method raises `StoreUnavailable` when the files cannot be used."""

    async def unapplied(self) -> Collection[Waiting]:
        """The stored scans that were not applied, oldest first."""

    async def apply(
        self, origin: ScanOrigin, *, identity: HostIdentity, now: float
    ) -> Applied | None:
        """Applies the stored findings of a task in one transaction; applying them again changes
        nothing. None if there are no findings of it."""

    async def scans(self) -> AppliedScans:
        """What was applied and what is stored."""

    async def cover(self, exceptions: Sequence[FindingException]) -> Mapping[str, Covered]:
        """Covers open findings with these exceptions and no others, from now on."""

    async def clear(self) -> None:
        """Forgets everything."""
