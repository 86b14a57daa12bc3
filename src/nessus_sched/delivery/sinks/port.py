"""The port to sinks, and how they fail."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from nessus_sched.core.delivery.message import Message


class Failure(StrEnum):
    TRY_AGAIN = "try_again"
    """No answer, or one that says so."""
    HOLD = "hold"
    """Somebody has to do something first: wrong credentials, certificate or configuration."""
    REFUSED = "refused"
    """The sink will never take this message."""


class SinkFailed(Exception):
    """A message was not delivered, or may not have been. The text has neither secrets nor anything
    that was sent. `retry_after`: seconds that the sink asked to wait."""

    def __init__(self, text: str, kind: Failure, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.retry_after = retry_after


class Sink(Protocol):
    async def deliver(self, message: Message) -> None:
        """Delivers a message; it may have been delivered before. Raises `SinkFailed`."""
