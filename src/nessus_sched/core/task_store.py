"""Ports to the task store: what the scheduler and the operations need of one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from typing import Final, Protocol, TypeVar

import attrs

from nessus_sched.core.calendar.schedule import Schedule
from nessus_sched.core.exceptions.exception import FindingException
from nessus_sched.core.journal import SYSTEM, JournalEntry, JournalRecord
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Priority, ScanKind, Task

T = TypeVar("T")

KEY_TTL: Final = 48 * 3600.0
"""Seconds for which an idempotency key is remembered by default."""

TargetsMatch = Callable[[Sequence[str]], bool]


@attrs.frozen(kw_only=True)
class TaskFilter:
    """What to list; what is left out does not restrict.

    Times are epoch seconds, from inclusive, before exclusive. `text` is looked for in
    name and description without regard to case. `targets` judges a task's target texts
    (`core.targets` knows about networks that overlap); it runs in a reading thread.
    """

    states: frozenset[TaskState] = frozenset()
    scanner: str | None = None
    """Assigned to it, or asked for when none is assigned."""
    pool: str | None = None
    kind: ScanKind | None = None
    priority: Priority | None = None
    actor: str | None = None
    created_from: float | None = None
    created_before: float | None = None
    updated_from: float | None = None
    updated_before: float | None = None
    text: str = ""
    part_of: str | None = None
    """List the parts of this task instead of tasks."""
    targets: TargetsMatch | None = None
    shown: Callable[[Task], bool] | None = None
    """Whether the caller may see the task; like `targets`, called in a reading thread."""


@attrs.frozen(kw_only=True)
class TaskPage:
    """One page, newest first. `cursor` leads to the next one, None at the end."""

    tasks: tuple[Task, ...]
    cursor: int | None


@attrs.frozen(kw_only=True)
class StoredSubmission:
    """`task` as stored; `created` is False if an earlier task with the same key is returned."""

    task: Task
    created: bool


@attrs.frozen(kw_only=True)
class StoreHealth:
    """Whether the store takes writes; `reason` and `since` (epoch seconds) when not."""

    ok: bool = True
    reason: str = ""
    since: float | None = None


class TaskReader(Protocol):
    """Reads tasks. Every method raises `StoreUnavailable` when the store cannot be read."""

    async def get(self, task_id: str) -> Task | None: ...

    async def by_id_part(self, part: str, *, limit: int) -> Sequence[Task]:
        """The tasks whose id begins or ends with `part`, newest first."""

    async def list(
        self, wanted: TaskFilter | None = None, *, limit: int = 50, cursor: int | None = None
    ) -> TaskPage:
        """One page of the tasks that match, newest first."""

    async def journal_of(self, task_id: str) -> Sequence[JournalRecord]:
        """All that happened to a task, oldest first."""

    async def journal_of_parts(self, task_id: str) -> Sequence[JournalRecord]:
        """All that happened to the parts of a split task, oldest first."""

    def counts(self) -> Mapping[TaskState, int]:
        """How many tasks are stored in each state."""


class TaskStore(TaskReader, Protocol):
    """Stores tasks and their journal. What was awaited is durable; changes raise
    `StoreUnavailable` while the store cannot write, and then nothing of them is stored."""

    @property
    def health(self) -> StoreHealth: ...

    async def submit(
        self, task: Task, entry: JournalEntry, *, key_ttl: float = KEY_TTL
    ) -> StoredSubmission:
        """Stores a new task; with an idempotency key, at most once in `key_ttl` seconds.
        Raises `IdempotencyConflict` or `DuplicateTask`."""

    async def divide(
        self, task: Task, entry: JournalEntry, parts: Sequence[tuple[Task, JournalEntry]]
    ) -> None:
        """`record` for a split task, and its new parts with it, in one step."""

    async def parts_of(self, task_id: str) -> Sequence[Task]:
        """All parts of a split task that are stored, in the order of their numbers."""

    async def submitted_before(self, task: Task, at: float) -> Task | None:
        """The task that `submit` would return because it has the same key and an equal
        request. Raises `IdempotencyConflict` as that does."""

    async def record(self, task: Task, entry: JournalEntry) -> None:
        """Stores a task's new state and the entry that says why, in one step. Raises
        `IllegalTransition`, `StaleTransition` or `UnknownTask`."""

    async def note(self, entry: JournalEntry, *, switch: tuple[str, str] | None = None) -> None:
        """Journals an operator's action; `switch`, a name and a value, is remembered for
        `switches` in the same step."""

    async def switches(self) -> Mapping[str, str]:
        """What operators have set, by name."""

    async def schedules(self) -> Sequence[Schedule]:
        """All schedules, by the time of their creation."""

    async def save_schedule(self, schedule: Schedule, *entries: JournalEntry) -> None:
        """Stores a new or changed schedule and journals why, in one step."""

    async def delete_schedule(self, schedule_id: str, entry: JournalEntry) -> None: ...

    async def exceptions(self) -> Sequence[FindingException]:
        """All exceptions, by the time of their proposal."""

    async def save_exception(
        self, exception: FindingException, *entries: JournalEntry, forget: Sequence[str] = ()
    ) -> None:
        """Stores a new or changed exception, journals why, and deletes those with the ids in
        `forget`, in one step."""

    def unfinished(self) -> AsyncGenerator[Task, None]:
        """Every live task in the order of acceptance."""

    def unfinished_as(self, view: Callable[[Task], T]) -> AsyncGenerator[T, None]:
        """`view` of every live task in the order of acceptance; it runs in a reading thread."""

    async def owing(self) -> Sequence[Task]:
        """The tasks, settled or not, with scans that remain to be cleaned up."""

    async def purge(
        self, states: Collection[TaskState], *, before: float, at: float
    ) -> Sequence[str]:
        """Deletes a batch of settled tasks unchanged since `before`. Returns their ids, none
        when there is nothing more to do."""

    async def purge_tasks(
        self, task_ids: Sequence[str], *, at: float, actor: str = SYSTEM
    ) -> Sequence[str]:
        """Deletes those of the named tasks that are settled; returns their ids."""

    async def count_purgeable(
        self, states: Collection[TaskState], *, before: float
    ) -> Mapping[TaskState, int]:
        """How many tasks `purge` would delete in all, by state."""

    async def purge_keys(self, now: float) -> int:
        """Forgets a batch of expired idempotency keys; returns how many."""

    async def prune_journal(self, *, before: float, at: float) -> int:
        """Deletes a batch of rows older than `before` from the journal's beginning, only as
        far as no stored task has a row there; returns how many."""

    async def incremental_vacuum(self) -> int:
        """Shrinks the file a little; returns how much remains to be given back."""
