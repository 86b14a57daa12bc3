"""A ledger with canned answers that remembers what it was asked."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from nessus_sched.core.exceptions.rule import Rule
from nessus_sched.core.targets.targets import TargetSet
from nessus_sched.results.ledger.as_of import AsOfPage, AsOfQuery
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
from nessus_sched.results.ledger.reach import Reached, ReachedStretch, Tries, stretches
from nessus_sched.results.ledger.search import LedgerPage, LedgerSearch
from nessus_sched.results.ledger.selection import Selected, Selection
from nessus_sched.results.ledger.sla import SlaCounts, SlaQuery
from nessus_sched.results.ledger.trend import TrendPoint, TrendQuery


@attrs.define
class FakeLedger:
    pages: list[HostPage] = attrs.field(factory=list)
    waiting: int = 0
    asked: list[ChangeQuery] = attrs.field(factory=list)
    tries: Tries = attrs.field(factory=lambda: Tries(ever=TargetSet(), lately=TargetSet()))
    reached: list[Reached] = attrs.field(factory=list)
    runs: list[LoginRun] = attrs.field(factory=list)
    searched: list[LedgerSearch] = attrs.field(factory=list)
    found: LedgerPage = attrs.field(factory=lambda: LedgerPage(rows=(), total=0, severities={}))

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
        return self.pages

    async def count_covered(self, rule: Rule) -> int:
        return 0

    async def changes(self, query: ChangeQuery) -> ChangePage:
        self.asked.append(query)
        return ChangePage(entries=(), counts={}, first_scans=0, reasons={}, scans=0, after=None)

    async def lost_by_rebuild(self) -> int:
        return 1

    async def rebuild(self) -> int:
        self.waiting = 5
        return 5

    async def selected(self, wanted: Selection, now: float) -> Sequence[Selected]:
        return []

    async def standing(self, spots: Sequence[Spot], now: float) -> Sequence[Entry | None]:
        return [None] * len(spots)

    async def ever_seen(
        self, ranges: Sequence[tuple[int, int]], names: Sequence[str]
    ) -> Sequence[str]:
        return []

    async def scan_times(self, task_ids: Sequence[str]) -> Sequence[int]:
        return []

    async def reach(self, asked: TargetSet, since: float) -> Sequence[ReachedStretch]:
        return stretches(asked, self.tries, self.reached, since)

    async def logins(self, credential: str, limit: int) -> Sequence[LoginRun]:
        return self.runs[:limit]

    async def has(self, task_id: str) -> bool:
        return True

    async def news(self, query: NewsQuery) -> News:
        return News()

    async def search(self, search: LedgerSearch, *, max_bytes: int | None = None) -> LedgerPage:
        self.searched.append(search)
        return self.found

    async def trend(self, query: TrendQuery) -> Sequence[TrendPoint]:
        return []

    async def sla(self, query: SlaQuery) -> SlaCounts:
        return SlaCounts(counts={}, excepted={}, unlimited=0)

    async def as_of(self, query: AsOfQuery) -> AsOfPage:
        return AsOfPage(findings=(), after=None)
