"""The state directory: its permissions, and the lock that keeps a second daemon out."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nessus_sched.core.store_errors import AlreadyRunning, StateDirectoryError

LOCK_NAME: Final = "lock"


@contextmanager
def hold_state_directory(directory: Path) -> Iterator[int | None]:
    """Creates the directory (mode 0700) if necessary and locks it for this process. Yields the
    pid of a previous holder that died without releasing it, or None.

    The kernel releases the lock when the process ends, however it ends. Raises
    `AlreadyRunning` with the holder's pid, or `StateDirectoryError`.
    """
    prepare_directory(directory)
    path = directory / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StateDirectoryError(f"cannot open {path}: {error.strerror}") from error
    try:
        _lock(descriptor, directory)
        died = _read_pid(descriptor)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        try:
            yield died
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        # Do not remove the file: a third process could then lock a new one.
        os.close(descriptor)


def holder(directory: Path) -> int | None:
    """The pid of the process that holds the directory, or None if none does.

    0 if one does but its pid cannot be read.
    """
    try:
        descriptor = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_pid(descriptor) or 0
    finally:
        os.close(descriptor)
    return None


def prepare_directory(directory: Path) -> None:
    """Creates the directory (mode 0700), or checks that only we can write to it.

    Raises `StateDirectoryError` with a message that says what to do.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
    except (FileExistsError, NotADirectoryError) as error:
        raise StateDirectoryError(
            f"state directory {directory} is a file or lies below one; change `state_directory`"
        ) from error
    except OSError as error:
        raise StateDirectoryError(
            f"cannot use state directory {directory}: {error.strerror}"
        ) from error
    if stat.S_IMODE(status.st_mode) & 0o022:
        raise StateDirectoryError(
            f"state directory {directory} can be written by others; run chmod 700 {directory}"
        )
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise StateDirectoryError(
            f"state directory {directory} is not writable by user {os.geteuid()} "
            f"(owner {status.st_uid}); change its owner or `state_directory`"
        )


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = _read_pid(descriptor)
        who = f"process {pid}" if pid else "another process"
        stop = f"kill {pid}" if pid else "systemctl stop nessus-sched"
        raise AlreadyRunning(
            f"{who} already uses state directory {directory}; {_log_of(pid)}stop it "
            f"with '{stop}', or a service with 'systemctl stop nessus-sched'; "
            "'nessus-sched doctor' shows whether it answers",
            pid=pid,
        ) from error


def _log_of(pid: int | None) -> str:
    """Where a process writes its log, as part of a sentence; empty where that is not known."""
    try:
        place = os.readlink(f"/proc/{pid}/fd/2")
    except OSError:
        return ""
    if place.startswith("socket:"):  # systemd's
        return f"'journalctl _PID={pid}' shows its log; "
    return f"its log is {place}; " if os.path.isfile(place) else ""


def _read_pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None
