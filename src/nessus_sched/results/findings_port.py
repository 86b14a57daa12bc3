"""Ports to the findings of scans: what the scheduler and the operations need of a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from nessus_sched.core.coverage import Coverage, Unfinished
from nessus_sched.results.comparison import Change, Comparison
from nessus_sched.results.query.model import Query, SearchScope
from nessus_sched.results.query.page import Page
from nessus_sched.results.reached import ScannedHost

T = TypeVar("T")


class FindingsReader(Protocol):
    """Reads findings. Every method raises `StoreUnavailable` when the store cannot be read,
    those about a task `NoFindings` when none of its results are stored. With `max_bytes` the
    JSON of a page's rows keeps to that size, and the page's notes say what was cut."""

    async def page(self, task_id: str, query: Query, *, max_bytes: int | None = None) -> Page:
        """A page of a task's findings, or of their groups. Raises `BadQuery`."""

    async def hosts(self, task_id: str, query: Query) -> list[ScannedHost]:
        """The hosts of a task's report with a matching finding; for a query about hosts alone,
        those that it matches."""

    async def coverage_as(
        self,
        task_id: str,
        targets: Sequence[str],
        left: Callable[[], Iterable[Unfinished]],
        view: Callable[[Coverage, Mapping[int | str, ScannedHost]], T],
    ) -> T:
        """`view` of what became of a task's `targets`, and of its hosts by the targets that they
        are. `left` gives the targets that no scan has finished. Both run in a reading thread."""

    async def search(
        self, query: Query, scope: SearchScope | None = None, *, max_bytes: int | None = None
    ) -> Page:
        """A page of findings of all tasks in `scope`; rows begin with `task_id` and
        `imported_at` (epoch seconds). Raises `BadQuery`."""

    async def compare(self, before: str, after: str, query: Query | None = None) -> Comparison:
        """How many findings came, went and stayed, among those that match `query`."""

    async def changed(
        self,
        before: str,
        after: str,
        change: Change,
        query: Query,
        *,
        max_bytes: int | None = None,
    ) -> Page:
        """A page of the findings with that change. Raises `BadQuery`."""


class FindingsStore(FindingsReader, Protocol):
    """Methods that write raise `StoreUnavailable`, and then have changed nothing."""

    async def imports(self) -> Mapping[str, float]:
        """The tasks that have findings, and when those were imported (epoch seconds)."""

    async def delete(self, task_id: str) -> bool:
        """Deletes a task's findings; False when there were none."""

    async def vacuum_deleted(self) -> None:
        """Gives back the space of what was deleted or replaced."""
