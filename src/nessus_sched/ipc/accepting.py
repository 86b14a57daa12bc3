"""Accepting connections while the system is short of file descriptors or memory."""

from __future__ import annotations

import errno
import math
from typing import Final

import structlog
import trio

from nessus_sched.telemetry import events

SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""Errors of accept(2) that pass when something is closed; the client keeps waiting meanwhile."""
RETRY: Final = 0.1
"""Seconds until the next attempt."""
QUIET: Final = 10.0
"""Seconds without a failure after which a shortage is over."""

log = structlog.get_logger("listener")


class PatientListener(trio.abc.Listener[trio.SocketStream]):
    """Retries when the system has no room for a connection, and logs the beginning and the end
    of such a shortage. (`trio.serve_listeners` alone logs every attempt.)"""

    def __init__(self, listener: trio.SocketListener, name: str) -> None:
        self._listener = listener
        self._log = log.bind(listener=name)
        self._failures = 0
        self._began = 0.0
        self._over_at = math.inf

    async def accept(self) -> trio.SocketStream:
        while True:
            with trio.move_on_at(self._over_at):
                try:
                    return await self._listener.accept()
                except OSError as error:
                    if error.errno not in SHORTAGES:
                        raise
                    self._failed(error)
                    await trio.sleep(RETRY)
            if trio.current_time() >= self._over_at:
                self._recovered()

    async def aclose(self) -> None:
        await self._listener.aclose()

    def _failed(self, error: OSError) -> None:
        if not self._failures:
            self._began = trio.current_time()
            self._log.error(events.ACCEPT_FAILING, error=error.strerror)
        self._failures += 1
        self._over_at = trio.current_time() + QUIET

    def _recovered(self) -> None:
        seconds = trio.current_time() - self._began
        self._log.info(events.ACCEPT_RECOVERED, failures=self._failures, seconds=seconds)
        self._failures, self._over_at = 0, math.inf
