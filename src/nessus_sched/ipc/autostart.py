"""Starts a daemon in the background for a relay that found none. Standard library only."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress

_TAIL = 4000
_LINES = 5


class DaemonStarter:
    """Starts `argv` detached, once for all relays that want it at the same moment.

    `base` is a path in a private directory. `BASE.start` is the lock that the starting relay
    holds until it is done (released when the relay dies), `BASE.log` gets the daemon's output.
    A second daemon does no harm: it finds the state directory locked, and exits.
    """

    def __init__(self, argv: Sequence[str], base: str) -> None:
        self._argv = list(argv)
        self._base = base
        self._lock: int | None = None
        self._pid: int | None = None
        self._answered = False
        self.stopped = False
        """The daemon answered and later exited with code 0: someone stopped it, because it never
        exits by itself while a client is connected."""
        self._log = f"{base}.{os.getpid()}.log"

    @property
    def running(self) -> bool:
        return self._pid is not None

    def start(self) -> None:
        """Starts the daemon, unless another relay is already doing so."""
        lock = os.open(f"{self._base}.start", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return
        self._lock = lock
        writing = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND
        self._pid = os.posix_spawn(
            self._argv[0],
            self._argv,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, self._log, writing, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )

    def failure(self) -> str | None:
        """Why the daemon that this relay started has failed; None while it runs."""
        if self._answered:
            self.reap()
        if self._pid is None or os.waitpid(self._pid, os.WNOHANG)[0] == 0:
            return None
        self._pid = None
        with open(self._log, errors="replace") as log:
            lines = log.read()[-_TAIL:].splitlines()
        os.unlink(self._log)
        self._release()
        plain = [line for line in lines if line.strip() and not line.startswith("{")]
        return "; ".join((plain or lines)[-_LINES:]) or "it printed nothing"

    def done(self) -> None:
        """A daemon answers, perhaps this relay's."""
        self.stopped = False
        if self._pid is not None:
            self._answered = True
            with suppress(OSError):
                os.replace(self._log, f"{self._base}.log")
        self._release()

    def reap(self) -> None:
        """Notices when the daemon that this relay started has exited."""
        if self._pid is not None:
            with suppress(ChildProcessError):
                pid, status = os.waitpid(self._pid, os.WNOHANG)
                if pid:
                    self.stopped = self._answered and status == 0
                    self._pid, self._answered = None, False

    def _release(self) -> None:
        if self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)  # a child about to exec may hold it, too
            os.close(self._lock)
            self._lock = None
