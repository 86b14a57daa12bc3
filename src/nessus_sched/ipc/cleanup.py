"""Removes what dead daemons left in the user's runtime directory: the files KEY.sock, KEY.start,
KEY.log and KEY.PID.log of `discovery` and `autostart`."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from nessus_sched.core.clock import Now

LOGS_KEPT: Final = 86_400.0
"""Seconds after its last line for which a dead daemon's log is kept."""
_OURS: Final = re.compile(r"([0-9a-f]{16})\.(?:sock|start|(?:[0-9]+\.)?log)")


def remove_stale_files(directory: Path, now: Now) -> list[str]:
    """Removes the files of dead daemons; returns their names.

    A daemon is alive if its socket answers, and starting if the lock KEY.start is held. Files
    that this user may not touch stay.
    """
    removed: list[str] = []
    for key, names in _by_key(directory).items():
        path = directory / f"{key}.sock"
        with suppress(OSError), _lock_if_free(directory / f"{key}.start") as alone:
            before = _inode(path)
            if not alone or _answers(path):
                continue
            for name in names:
                file = directory / name
                kept = name.endswith(".log") and file.lstat().st_mtime > now() - LOGS_KEPT
                # A new daemon has put its own socket there meanwhile.
                if not kept and _inode(path) in (before, None):
                    file.unlink(missing_ok=True)
                    removed.append(name)
    return removed


def _by_key(directory: Path) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in sorted(os.listdir(directory)):
        match = _OURS.fullmatch(name)
        if match is not None:
            found[match[1]].append(name)
    return found


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return None


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # too busy, or not this user's to ask
        return True


@contextmanager
def _lock_if_free(lock: Path) -> Iterator[bool]:
    """Whether the lock is free; then it is held for the length of the block."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)
