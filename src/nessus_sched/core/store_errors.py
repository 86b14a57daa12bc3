"""What can go wrong with the store, as the rooms above it see it."""

from __future__ import annotations

from collections.abc import Sequence

from nessus_sched.core.states import TaskState


class StoreError(Exception):
    """Something about the store; `str()` is a sentence for a person."""


class StoreUnavailable(StoreError):
    """The disk is full or fails: nothing of what was asked has been stored."""


class NoStore(StoreUnavailable):
    """There is a database, and no store in it yet."""


class StoreUnreachable(StoreUnavailable):
    """The database does not answer at the moment, as far as can be told."""


class StoreClosed(StoreError):
    """The store is closing or closed: nothing of what was asked has been stored."""


class OutcomeUnknown(StoreError):
    """The connection was lost during a commit, and the store closed before it could look: what
    was asked may be stored or not."""


class StoreTakenOver(Exception):
    """Another daemon writes to the store now, or it was reset to an earlier state: this process
    must not act on what it believes. Not a `StoreError`, because nobody should continue."""


class StateDirectoryError(StoreError):
    """The state directory is missing rights, is not a directory, or is open to others."""


class AlreadyRunning(StoreError):
    """Another process holds the state directory; `pid` is its id when it could be read."""

    def __init__(self, message: str, *, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid


class OtherConfiguration(StoreError):
    """The daemon that leads, or led last, has another configuration, in these `sections`."""

    def __init__(self, host: str, sections: Sequence[str], *, leads: bool) -> None:
        names = ", ".join(sections)
        who = f"the daemon on {host}, which {'leads' if leads else 'led last and did not stop'}"
        remedy = "" if leads else ", or start once with --accept-configuration"
        super().__init__(
            f"{who}, has another configuration ({names}): make the files the same{remedy}"
        )
        self.host = host
        self.sections = tuple(sections)


class WrongSchema(StoreError):
    """The database is not ours, or a newer program wrote it."""


class UnknownTask(StoreError):
    """No task with that id is stored."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"no task {task_id} is stored")
        self.task_id = task_id


class DuplicateTask(StoreError):
    """The task's id or its place in the order of acceptance is taken."""


class StaleTransition(StoreError):
    """The stored task is not in the state the change starts from; nothing was changed."""

    def __init__(self, task_id: str, *, expected: TaskState, stored: TaskState) -> None:
        super().__init__(f"task {task_id} is {stored}, not {expected}; nothing was changed")
        self.task_id = task_id
        self.expected = expected
        self.stored = stored


class IdempotencyConflict(StoreError):
    """The key was used for another request; `task_id` is the task that has it."""

    def __init__(self, key: str, task_id: str) -> None:
        super().__init__(
            f"idempotency key {key!r} was used for a different request (task {task_id}); "
            "use a new key, or repeat the same request"
        )
        self.key = key
        self.task_id = task_id


class NoFindings(StoreError):
    """Nothing is stored of that task's results."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"no findings of task {task_id} are stored")
        self.task_id = task_id


class CopyFailed(StoreError):
    """A store could not be copied to another database, which stays as it was."""


class BackupFailed(StoreError):
    """The copy could not be written; nothing was left at its destination."""
