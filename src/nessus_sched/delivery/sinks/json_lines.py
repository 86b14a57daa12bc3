"""Appends events to a file, a line of JSON each."""

from __future__ import annotations

import errno
import os
import stat
from functools import cache
from pathlib import Path
from typing import Final

import attrs
import trio

from nessus_sched.core.delivery.message import Message
from nessus_sched.delivery.ecs import events_of
from nessus_sched.delivery.sinks.port import Failure, SinkFailed

SECONDS: Final = 30.0
"""For one message: a file may be on a network."""
MODE: Final = 0o640
_TEMPORARY: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EMFILE})
_HINTS: Final = {
    errno.EROFS: " (a systemd unit with `ProtectSystem=` needs its directory in `ReadWritePaths=`)",
}


@attrs.frozen
class JsonLinesFile:
    """The file is opened for each message, so it may be renamed or truncated at any time."""

    path: Path

    async def deliver(self, message: Message) -> None:
        problem: OSError | None = None
        with trio.move_on_after(SECONDS):
            try:
                await trio.to_thread.run_sync(
                    _append, self.path, message, abandon_on_cancel=True, limiter=_turn(self.path)
                )
            except OSError as error:
                problem = error
            else:
                return
        raise _failed(self.path, problem)


@cache
def _turn(path: Path) -> trio.CapacityLimiter:
    """Several routes may write to one file."""
    return trio.CapacityLimiter(1)


def _append(path: Path, message: Message) -> None:
    """Durable on return, or nothing is left of it where that is possible."""
    lines = b"".join(event.json + b"\n" for event in events_of(message))
    existed = path.exists()
    # O_NONBLOCK for a named pipe without a reader, O_RDWR to read the last byte.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = os.open(path, flags, MODE)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if not existed:
            os.fchmod(descriptor, MODE)  # whatever the umask
        _write(descriptor, lines)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if not existed:
        _sync_directory(path.parent)


def _write(descriptor: int, lines: bytes) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        lines = b"\n" + lines  # somebody was interrupted
    left = memoryview(lines)
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError:
        if os.fstat(descriptor).st_size > size:
            os.ftruncate(descriptor, size)
        raise


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(path: Path, error: OSError | None) -> SinkFailed:
    if error is None:
        return SinkFailed(f"{path} was not written within {SECONDS:g} s", Failure.TRY_AGAIN)
    known = isinstance(error.errno, int) and error.errno != errno.EINVAL
    words = os.strerror(error.errno or 0).lower() if known else "it is not a regular file"
    kind = Failure.TRY_AGAIN if error.errno in _TEMPORARY else Failure.HOLD
    hint = _HINTS.get(error.errno or 0, "")
    return SinkFailed(f"{path} cannot be written: {words}{hint}", kind)
