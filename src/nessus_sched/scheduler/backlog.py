"""The unfinished tasks: how many there are, and whose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from nessus_sched.config.limits import LimitSettings
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import SETTLED
from nessus_sched.core.task import ScanRequest, Task
from nessus_sched.core.text import pluralize
from nessus_sched.ipc.budget import Budget
from nessus_sched.scheduler.errors import QueueFull

TASKS = "limits.queued_tasks"
TARGETS = "limits.queued_targets"


@attrs.frozen(kw_only=True)
class Filling:
    """One limit: how much of it is used, and how often it refused a request."""

    key: str
    used: int
    limit: int
    refused: int


class Backlog:
    """Counts unfinished tasks, and their targets (ranges and names), against the limits.

    A user gets at most half of each limit, and ordinary users leave an eighth to root and
    to the user of the service. Tasks that were accepted before the limits were lowered stay.
    """

    def __init__(self, limits: LimitSettings) -> None:
        self._tasks = Budget(TASKS, limits.queued_tasks)
        self._targets = Budget(TARGETS, limits.queued_targets)
        self._alike: dict[int, str] = {}

    def configure(self, limits: LimitSettings) -> None:
        self._tasks.limit, self._targets.limit = limits.queued_tasks, limits.queued_targets

    def statistics(self) -> tuple[Filling, ...]:
        return tuple(
            Filling(key=each.key, used=each.used, limit=each.limit, refused=each.refused)
            for each in (self._tasks, self._targets)
        )

    def check(self, task: Task) -> None:
        """Raises `QueueFull` when there is no room for one more such task."""
        uid, size = _uid(task.actor), _size(task)
        for budget, amount in ((self._tasks, 1), (self._targets, size)):
            if not budget.fits(uid, amount):
                raise _refusal(budget, uid, amount)

    @contextmanager
    def reserved(self, task: Task) -> Iterator[None]:
        """Keeps room for a task while it is being stored. Raises `QueueFull`. A part needs none."""
        if task.part is not None:
            yield
            return
        self.check(task)
        self._take(task)
        try:
            yield
        finally:
            self._give_back(task)

    def add(self, task: Task) -> None:
        """An unfinished task, even if there is no room for it. Its parts do not count."""
        if task.part is not None:
            return
        self._take(task)
        self._alike[_likeness(task.request)] = task.task_id

    def observe(self, task: Task, entry: JournalEntry) -> None:
        """Follows every change of a task."""
        if task.part is not None:
            return
        ended = task.state in SETTLED
        if entry.before is None or entry.before in SETTLED:
            if not ended:
                self.add(task)
        elif ended:
            self._give_back(task)
            key = _likeness(task.request)
            if self._alike.get(key) == task.task_id:
                del self._alike[key]

    def like(self, request: ScanRequest) -> str | None:
        """The latest unfinished task that requests the same scan under any name."""
        return self._alike.get(_likeness(request))

    def _take(self, task: Task) -> None:
        uid = _uid(task.actor)
        self._tasks.take(uid, 1)
        self._targets.take(uid, _size(task))

    def _give_back(self, task: Task) -> None:
        uid = _uid(task.actor)
        self._tasks.release(uid, 1)
        self._targets.release(uid, _size(task))


def _refusal(budget: Budget, uid: int | None, amount: int) -> QueueFull:
    budget.refused += 1
    what = "task" if budget.key == TASKS else "target"
    if budget.within_share(uid, amount):
        reason = f"the queue is full: it holds {pluralize(budget.used, what)}"
    else:
        held = pluralize(budget.used_by(uid), what)
        reason = f"your user's share of the queue is full: {held}"
    return QueueFull(
        f"{reason}; {budget.key} is {budget.limit}, and this request adds {amount}",
        hint="wait until tasks have ended, cancel some (see list_tasks), or give networks or "
        f"ranges instead of single addresses; the operator can raise {budget.key}",
    )


def _size(task: Task) -> int:
    return len(task.request.targets) + len(task.resolved)


def _uid(actor: str) -> int | None:
    """The user behind an actor such as `uid:1000`; None for the daemon's own clients."""
    kind, _, number = actor.partition(":")
    return int(number) if kind == "uid" and number.isdecimal() else None


def _likeness(request: ScanRequest) -> int:
    """Equal for requests that ask for the same scan, in this process."""
    return hash(
        (
            request.kind,
            request.targets,
            request.exclude,
            request.scanner_instance,
            request.pool,
            request.credentials,
            request.template,
            request.policy,
            request.audit,
            request.discovery,
            request.profile,
            frozenset(request.settings.items()),
            None if request.verify is None else request.verify.findings,
        )
    )
