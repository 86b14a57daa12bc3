"""Runs blocking work in threads, and writes files atomically."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import trio

T = TypeVar("T")
_THREADS: Final = trio.CapacityLimiter(4)
_HEAD: Final = 4096
_TAIL: Final = 64


async def in_thread(work: Callable[[], T], /) -> T:
    return await trio.to_thread.run_sync(work, limiter=_THREADS)


class TooLarge(Exception):
    """More than the limit was written."""


class PartFile:
    """Collects a file next to its destination. `commit` moves it there durably; leaving the
    context without a commit deletes it.

    Writes happen in the event loop: a thread per piece would cost more than the write.
    """

    def __init__(self, destination: Path, limit: int) -> None:
        self._destination = destination
        self._part = destination.with_name(f".{destination.name}.part")
        self._limit = limit
        self._descriptor = -1
        self._problem: OSError | TooLarge | None = None
        self.size = 0
        self.head = b""
        """The first bytes, enough for an error sent instead of the document."""
        self.tail = b""
        """The last bytes, to check how the document ends."""

    def __enter__(self) -> PartFile:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._descriptor = os.open(self._part, flags, 0o600)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        self._part.unlink(missing_ok=True)

    def write(self, piece: bytes) -> bool:
        """Returns False if no more can be written; `check` then raises the reason."""
        self.size += len(piece)
        self.tail = (self.tail + piece[-_TAIL:])[-_TAIL:]
        if len(self.head) < _HEAD:
            self.head += piece[: _HEAD - len(self.head)]
        if self.size > self._limit:
            self._problem = TooLarge()
            return False
        view = memoryview(piece)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            self._problem = error
        return self._problem is None

    def check(self) -> None:
        """Raises the `TooLarge` or `OSError` (such as a full disk) that stopped writing."""
        if self._problem is not None:
            raise self._problem

    def commit(self) -> None:
        """Syncs, renames, and syncs the folder. Blocks."""
        os.fsync(self._descriptor)
        self._part.replace(self._destination)
        folder = os.open(self._destination.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
