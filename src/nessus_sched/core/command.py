"""What is asked of a task, by whom and why."""

from __future__ import annotations

from typing import Any, Final

import attrs

from nessus_sched.core.error_kinds import ErrorKind
from nessus_sched.core.journal import SYSTEM
from nessus_sched.core.task import RequestedState, Task, TaskError

PAST_DEADLINE: Final = "its deadline passed"


@attrs.frozen(kw_only=True)
class Command:
    """Brings a task to `desired`. `halted`: together with everything else, see `Task`;
    `discard`: without its results, `override`: whatever windows and blackouts say. `error` is
    what the daemon cancels it for by itself."""

    desired: RequestedState
    actor: str = SYSTEM
    cause: str = "asked for by the submitter"
    halted: bool = False
    discard: bool = False
    override: bool = False
    error: TaskError | None = None

    @property
    def event(self) -> str:
        """What the journal calls it."""
        return f"{self.desired}_requested"

    def asked_of(self, task: Task, **changes: Any) -> dict[str, Any]:
        """The fields of a task that has the command."""
        changes = {
            "desired": self.desired,
            "halted": self.halted,
            "discard": self.discard or task.discard,
            "last_error": self.error or task.last_error,
            **changes,
        }
        return {**changes, "override": True, "closed": None} if self.override else changes


def past_deadline(now: float) -> Command:
    """Cancels a task at its deadline (`now`, epoch seconds)."""
    error = TaskError(kind=ErrorKind.DEADLINE, message=PAST_DEADLINE, transient=False, at=now)
    return Command(desired=RequestedState.CANCEL, cause=PAST_DEADLINE, error=error)


def ends_for_deadline(task: Task) -> bool:
    """It is being canceled at its deadline. What goes wrong on the way is not why it ends."""
    last = task.last_error
    canceling = task.desired is RequestedState.CANCEL
    return canceling and last is not None and last.kind == ErrorKind.DEADLINE
