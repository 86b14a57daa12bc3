"""Reads small files: the configuration and the secrets it refers to."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class UnreadableFile(Exception):
    """The file cannot be used; `str()` says why and is meant to follow the file's name."""


def read_small_file(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes; never blocks on a FIFO or a
    device. Raises `UnreadableFile`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UnreadableFile("is not a regular file")
            data = file.read(limit + 1)
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise UnreadableFile("cannot be read: not a file name") from None
    if len(data) > limit:
        raise UnreadableFile(f"is longer than {limit} bytes")
    return data
