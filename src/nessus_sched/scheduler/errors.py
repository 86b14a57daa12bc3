"""What can be wrong with a request: said once here, translated by each face."""

from __future__ import annotations


class RequestError(Exception):
    """A request that is refused. `code` is stable and for programs; `str()` says in one
    sentence what is wrong; `hint` what to do instead."""

    code = "bad_request"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        if code is not None:
            self.code = code


class UnknownTask(RequestError):
    code = "unknown_task"


class UnknownScanner(RequestError):
    code = "unknown_scanner"


class TargetsRefused(RequestError):
    """Targets that cannot be read, or are out of scope."""

    code = "targets_refused"


class NotPossible(RequestError):
    """The task or scanner is not in a state in which this can be done."""

    code = "not_possible_now"


class QueueFull(RequestError):
    """A limit on what is queued, in all or of one user, is reached; nothing was accepted."""

    code = "queue_full"


class IdempotencyMismatch(RequestError):
    """The idempotency key belongs to a different request."""

    code = "idempotency_conflict"


class StoreDown(RequestError):
    """The task store cannot write; nothing was accepted."""

    code = "store_unavailable"
