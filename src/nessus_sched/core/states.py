"""Task states and the one table of legal transitions between them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class TaskState(StrEnum):
    QUEUED = "queued"
    LAUNCHING = "launching"
    RUNNING = "running"
    PAUSED = "paused"
    EXPORTING = "exporting"
    RETRY_WAIT = "retry_wait"
    COMPLETED = "completed"
    PARTIAL = "partial"
    CANCELED = "canceled"
    TIMED_OUT = "timed_out"
    DEAD = "dead"


_S = TaskState

TRANSITIONS: Mapping[TaskState, frozenset[TaskState]] = MappingProxyType(
    {
        _S.QUEUED: frozenset({_S.LAUNCHING, _S.CANCELED, _S.TIMED_OUT, _S.DEAD}),
        _S.LAUNCHING: frozenset(
            # QUEUED: the scanner had no room after all; nothing was launched.
            # COMPLETED: what an abandoned scan had finished arrived, and nothing remains.
            {_S.RUNNING, _S.RETRY_WAIT, _S.QUEUED, _S.CANCELED, _S.TIMED_OUT, _S.DEAD}
            | {_S.COMPLETED}
        ),
        _S.RUNNING: frozenset(
            # QUEUED: its scanner was lost.
            {
                _S.QUEUED,
                _S.PAUSED,
                _S.EXPORTING,
                _S.RETRY_WAIT,
                _S.PARTIAL,
                _S.CANCELED,
                _S.TIMED_OUT,
                _S.DEAD,
            }
        ),
        _S.PAUSED: frozenset(
            # EXPORTING, RETRY_WAIT: a person resumed or stopped it on the scanner.
            {
                _S.RUNNING,
                _S.EXPORTING,
                _S.RETRY_WAIT,
                _S.PARTIAL,
                _S.CANCELED,
                _S.TIMED_OUT,
                _S.DEAD,
            }
        ),
        _S.EXPORTING: frozenset(
            {_S.COMPLETED, _S.PARTIAL, _S.RETRY_WAIT, _S.CANCELED, _S.TIMED_OUT, _S.DEAD}
        ),
        _S.RETRY_WAIT: frozenset({_S.QUEUED, _S.CANCELED, _S.TIMED_OUT, _S.DEAD}),
        _S.DEAD: frozenset({_S.QUEUED}),
        _S.COMPLETED: frozenset(),
        _S.PARTIAL: frozenset({_S.QUEUED}),
        _S.CANCELED: frozenset(),
        _S.TIMED_OUT: frozenset(),
    }
)
"""From each state, the states that may follow."""

SPLIT_TRANSITIONS: Mapping[TaskState, frozenset[TaskState]] = MappingProxyType(
    {
        _S.QUEUED: frozenset({_S.RUNNING, _S.PAUSED, _S.EXPORTING, _S.CANCELED}),
        # QUEUED: those of its parts that had begun are back in the queue.
        _S.RUNNING: frozenset({_S.QUEUED, _S.PAUSED, _S.EXPORTING}),
        _S.PAUSED: frozenset({_S.QUEUED, _S.RUNNING, _S.EXPORTING}),
        _S.EXPORTING: frozenset({_S.COMPLETED, _S.PARTIAL, _S.CANCELED, _S.TIMED_OUT, _S.DEAD}),
        _S.DEAD: frozenset({_S.QUEUED, _S.RUNNING}),
        _S.PARTIAL: frozenset({_S.QUEUED, _S.RUNNING}),
    }
)
"""The same for a split task, whose state follows from those of its parts; see `core.parts`."""

FINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)
"""States that nothing leaves."""

SETTLED = FINAL | {_S.PARTIAL, _S.DEAD}
"""States in which nothing more happens by itself."""

LIVE = frozenset(TaskState) - SETTLED

HOLDS_SLOT = frozenset({_S.LAUNCHING, _S.RUNNING, _S.PAUSED})
"""States in which a task occupies one slot of its scanner. A paused scan keeps its
capacity there; a scan that has ended needs none while it is exported."""


class IllegalTransition(Exception):
    """The table has no such transition; nothing was changed."""


def check_transition(before: TaskState, after: TaskState, *, split: bool = False) -> None:
    """Raises `IllegalTransition` unless `after` may follow `before` in a task, or in one that is
    `split`."""
    if after not in (SPLIT_TRANSITIONS if split else TRANSITIONS).get(before, ()):
        raise IllegalTransition(f"a task cannot go from {before} to {after}")


class Meant(StrEnum):
    """Which task is meant by a name that several have, as those of a schedule do."""

    LATEST = "latest"
    """The newest unfinished one; if there is none, the newest."""
    ENDED = "ended"
    """The newest with results; if there is none, the newest that has settled."""
    UNFINISHED = "unfinished"
    """Its only unfinished one, to change it; if there is none, the newest."""
    ONLY = "only"
    """One of several is never meant."""
