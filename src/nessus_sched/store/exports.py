"""Compressed exports of finished scans on disk, one file per task.

Files are written atomically: under a temporary name, flushed to disk, then renamed.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from gzip import BadGzipFile, GzipFile
from pathlib import Path
from typing import BinaryIO, Final, cast

import attrs

from nessus_sched.core.store_errors import StoreError, StoreUnavailable

_SUFFIX: Final = ".nessus.gz"
_PART: Final = ".part"
_PIECE: Final = 2**20
_LEVEL: Final = 6
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class NoExport(StoreError):
    """No export of that task is stored."""


class BadExportFile(StoreError):
    """A stored export is damaged and cannot be read."""


@attrs.frozen(kw_only=True)
class ExportStatistics:
    """`bytes` is the compressed size on disk."""

    files: int
    bytes: int


@attrs.frozen
class ExportStore:
    """The exports in one directory. All methods block, so call them in a thread.

    They raise `StoreUnavailable` on disk errors.
    """

    directory: Path

    def prepare(self) -> None:
        """Creates the directory and removes partial files left by an interrupted process."""
        with _disk("prepared"):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in self.directory.glob(f"*{_PART}"):
                left.unlink(missing_ok=True)

    def write(
        self, task_id: str, source: BinaryIO, *, check: Callable[[], None] = lambda: None
    ) -> str:
        """Stores the content of `source`, replacing an earlier export; durable on return.
        Returns the file's name. `check` is called before every piece and may raise to abort, in
        which case nothing changes."""
        final = self._path(task_id)
        part = final.with_name(final.name + _PART)
        with _disk("written"):
            try:
                _compress(source, part, check)
                part.replace(final)
            finally:
                part.unlink(missing_ok=True)
            _sync(self.directory)
        return final.name

    @contextmanager
    def reading(self, task_id: str) -> Iterator[BinaryIO]:
        """The export as it came from the scanner. Raises `NoExport`, or `BadExportFile` if the
        file turns out to be damaged while reading."""
        path = self._path(task_id)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise NoExport(f"no export of task {task_id} is stored") from None
        except OSError as error:
            raise StoreUnavailable(f"the export cannot be read: {error}") from error
        with file, GzipFile(fileobj=file, mode="rb") as stream:
            try:
                yield cast(BinaryIO, stream)
            except (BadGzipFile, EOFError, zlib.error) as error:
                message = f"the export of task {task_id} is damaged: {error}"
                raise BadExportFile(message) from error

    def delete(self, task_id: str) -> bool:
        """Returns False if there was none."""
        with _disk("deleted"):
            try:
                self._path(task_id).unlink()
            except FileNotFoundError:
                return False
            _sync(self.directory)
        return True

    def task_ids(self) -> frozenset[str]:
        """The tasks that have an export."""
        with _disk("listed"):
            return frozenset(
                path.name.removesuffix(_SUFFIX) for path in self.directory.glob(f"*{_SUFFIX}")
            )

    def older_than(self, before: float) -> frozenset[str]:
        """The tasks whose export was stored before `before` (epoch seconds)."""
        with _disk("listed"):
            return frozenset(
                path.name.removesuffix(_SUFFIX)
                for path in self.directory.glob(f"*{_SUFFIX}")
                if path.stat().st_mtime < before
            )

    def statistics(self) -> ExportStatistics:
        with _disk("listed"):
            sizes = [path.stat().st_size for path in self.directory.glob(f"*{_SUFFIX}")]
        return ExportStatistics(files=len(sizes), bytes=sum(sizes))

    def _path(self, task_id: str) -> Path:
        if not _NAME.fullmatch(task_id):
            raise NoExport(f"{task_id!r} cannot be the id of a task")
        return self.directory / (task_id + _SUFFIX)


def _compress(source: BinaryIO, part: Path, check: Callable[[], None]) -> None:
    with open(part, "wb", opener=_private) as file:
        # No name or time in the header, so that the same export gives the same bytes.
        with GzipFile("", "wb", compresslevel=_LEVEL, fileobj=file, mtime=0) as packed:
            for piece in _pieces(source, check):
                packed.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _pieces(source: BinaryIO, check: Callable[[], None]) -> Iterator[bytes]:
    check()
    while piece := source.read(_PIECE):
        yield piece
        check()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _sync(directory: Path) -> None:
    """Makes changes to the directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _disk(done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"exports cannot be {done}: {error}") from error
