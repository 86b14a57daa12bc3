"""Made-up tasks and entries for tests of what is stored."""

from __future__ import annotations

from typing import Any

import attrs

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import ScanKind, ScanRequest, Task

START = 1_700_000_000.0


def a_request(**changes: Any) -> ScanRequest:
    plain = ScanRequest(kind=ScanKind.BASIC, targets=("192.0.2.0/24",), name="Weekly DMZ")
    return attrs.evolve(plain, **changes)


def a_task(order: int = 1, *, request: ScanRequest | None = None, **changes: Any) -> Task:
    at = START + order
    plain = Task(
        task_id=f"t{order:08d}",
        trace_id=f"{order:032x}",
        request=request or a_request(),
        actor="cli:alice",
        created_at=at,
        order=order,
        entered={TaskState.QUEUED: at},
    )
    return attrs.evolve(plain, **changes)


def submitted(task: Task) -> JournalEntry:
    return JournalEntry(
        at=task.created_at,
        event="submitted",
        actor=task.actor,
        task_id=task.task_id,
        after=task.state,
    )


def moved(
    task: Task, after: TaskState, *, at: float | None = None, **changes: Any
) -> tuple[Task, JournalEntry]:
    """The task in its next state, and the entry that goes with it."""
    at = task.created_at + 1 if at is None else at
    entry = JournalEntry(
        at=at, event=str(after), task_id=task.task_id, before=task.state, after=after
    )
    return attrs.evolve(task, state=after, entered={**task.entered, after: at}, **changes), entry
