"""Journal entries: what happened to a task, when, why, and on whose behalf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from nessus_sched.core.states import TaskState

SYSTEM: Final = "system"
"""The actor of what the daemon does by itself."""


@attrs.frozen(kw_only=True)
class JournalEntry:
    """One event, before the store has given it its place in the hash chain.

    `at` is in epoch seconds; `event` a stable word such as `submitted`, `launched`,
    `adopted`; `cause` a sentence; `detail` JSON-able and free of secrets.
    `task_id` is None for an operator's action on the whole (drain, pause-all, reload).
    """

    at: float
    event: str
    actor: str = SYSTEM
    task_id: str | None = None
    before: TaskState | None = None
    after: TaskState | None = None
    cause: str = ""
    detail: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class JournalRecord:
    """An entry in its place in the store's hash chain."""

    seq: int
    hash: bytes
    entry: JournalEntry
