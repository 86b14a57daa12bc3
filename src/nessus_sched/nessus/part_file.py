"""Blocking work, and a file that is whole or not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeVar

import trio

T = TypeVar("T")
_THREADS: Final = trio.CapacityLimiter(4)
_HEAD: Final = 4096
_TAIL: Final = 64


class RunSync(Protocol):
    """Does blocking work. Virtual time does not see threads, so a simulation brings its own."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


async def in_thread(work: Callable[[], T], /) -> T:
    return await trio.to_thread.run_sync(work, limiter=_THREADS)


class TooLarge(Exception):
    """More was written than allowed."""


class PartFile:
    """Collects a file next to its destination; `keep` puts it there durably, and leaving
    the context without having kept it removes it.

    Written without a thread: a thread per piece costs more than the write it saves.
    """

    def __init__(self, destination: Path, limit: int) -> None:
        self._destination = destination
        self._part = destination.with_name(f".{destination.name}.part")
        self._limit = limit
        self._descriptor = -1
        self._problem: OSError | TooLarge | None = None
        self.size = 0
        self.head = b""
        """The first bytes, enough for an error that came instead of the document."""
        self.tail = b""
        """The last bytes, enough to see how the document ends."""

    def __enter__(self) -> PartFile:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._descriptor = os.open(self._part, flags, 0o600)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
        self._part.unlink(missing_ok=True)

    def write(self, piece: bytes) -> bool:
        """False when no more can be taken; `check` then tells why."""
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
        """Raises `TooLarge`, or the `OSError` of a full disk, that ended the writing."""
        if self._problem is not None:
            raise self._problem

    def keep(self) -> None:
        """Blocking: syncs, renames and syncs the folder."""
        os.fsync(self._descriptor)
        self._part.replace(self._destination)
        folder = os.open(self._destination.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
