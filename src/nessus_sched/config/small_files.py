"""Small files that a configuration is made of: itself, and the secrets it names."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class Unusable(Exception):
    """The file cannot be used; `str()` says why, and goes on after its name."""


def content(path: Path, most: int) -> bytes:
    """What a regular file of at most `most` bytes holds; a FIFO or a device is not waited
    for. Raises `Unusable`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Unusable("is not a regular file")
            found = file.read(most + 1)
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise Unusable("cannot be read: not a file name") from None
    if len(found) > most:
        raise Unusable(f"is longer than {most} bytes")
    return found
