"""Compressed exports of finished scans on disk, one file per attempt of a task.

Files are written atomically: under a temporary name, flushed to disk, then renamed.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from gzip import BadGzipFile, GzipFile
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, cast

import attrs

from nessus_sched.core.store_errors import StoreError, StoreUnavailable

_SUFFIX: Final = ".nessus.gz"
_PART: Final = ".part"
_PIECE: Final = 2**20
_LEVEL: Final = 6
_NAME: Final = re.compile(r"(?P<task>[A-Za-z0-9][A-Za-z0-9_-]{0,99})(?:\.(?P<attempt>[0-9]{1,9}))?")
"""Of a file, without its suffix. Older releases kept one file per task, without the attempt."""


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
        self,
        task_id: str,
        source: BinaryIO,
        *,
        attempt: int = 0,
        check: Callable[[], None] = lambda: None,
    ) -> str:
        """Stores the content of `source`, replacing an earlier export of the attempt; durable on
        return. Returns the file's name. `check` is called before every piece and may raise to
        abort, in which case nothing changes."""
        final = self.path(f"{task_id}.{attempt}{_SUFFIX}" if attempt else task_id + _SUFFIX)
        part = self.part_of(final)
        with _disk("written"):
            try:
                _compress(source, part, check)
                self._keep(part, final.name)
                part.replace(final)
            finally:
                part.unlink(missing_ok=True)
            _sync(self.directory)
        return final.name

    def part_of(self, final: Path) -> Path:
        """Where a file is before it is whole."""
        return final.with_name(final.name + _PART)

    def _keep(self, part: Path, name: str) -> None:
        """Stores a whole file elsewhere, before it is in its place."""

    def fetch(self, paths: Collection[Path]) -> None:
        """Makes sure that these files are in the directory, if they are stored elsewhere."""

    def task_of(self, name: str) -> str:
        """The task in the name of an export. Raises `NoExport` like `path`."""
        match = _NAME.fullmatch(name.removesuffix(_SUFFIX))
        if match is None:
            raise NoExport(f"{name!r} cannot be the name of an export")
        return match["task"]

    def path(self, name: str) -> Path:
        """Where the export with that name is. Raises `NoExport` for what cannot be a name."""
        self.task_of(name)
        return self.directory / name

    def files(self, task_id: str) -> list[Path]:
        """The exports of a task and of its parts, in order. Raises `NoExport` if there are none."""
        return self._sorted(task_id, [path.name for path in self.paths()])

    def _sorted(self, task_id: str, names: Collection[str]) -> list[Path]:
        found = [
            (match["task"], int(match["attempt"] or 0), path)
            for match, path in self._exports()
            if path.name in names
            and (match["task"] == task_id or match["task"].startswith(f"{task_id}-"))
        ]
        if not found:
            raise NoExport(f"no export of task {task_id} is stored")
        return [path for *_, path in sorted(found)]

    def delete(self, task_ids: Collection[str]) -> int:
        """Deletes all exports of these tasks; returns the number of files."""
        wanted = set(task_ids)
        with _disk("deleted"):
            doomed = [path for match, path in self._exports() if match["task"] in wanted]
            for path in doomed:
                path.unlink(missing_ok=True)
            if doomed:
                _sync(self.directory)
        return len(doomed)

    def latest(self) -> Mapping[str, float]:
        """The tasks and parts that have an export, and when the latest was stored (epoch
        seconds)."""
        latest: dict[str, float] = {}
        with _disk("listed"):
            for match, path in self._exports():
                stored = path.stat().st_mtime
                latest[match["task"]] = max(stored, latest.get(match["task"], stored))
        return latest

    def older_than(self, before: float) -> frozenset[str]:
        """The tasks whose latest export was stored before `before` (epoch seconds)."""
        return frozenset(task_id for task_id, at in self.latest().items() if at < before)

    def paths(self) -> list[Path]:
        """All exports that are in the directory."""
        return [path for _, path in self._exports()]

    def statistics(self) -> ExportStatistics:
        with _disk("listed"):
            sizes = [path.stat().st_size for _, path in self._exports()]
        return ExportStatistics(files=len(sizes), bytes=sum(sizes))

    def _exports(self) -> list[tuple[re.Match[str], Path]]:
        with _disk("listed"):
            paths = list(self.directory.glob(f"*{_SUFFIX}"))
        named = ((_NAME.fullmatch(path.name.removesuffix(_SUFFIX)), path) for path in paths)
        return [(match, path) for match, path in named if match is not None]


@contextmanager
def open_export(path: Path) -> Iterator[BinaryIO]:
    """An export as it came from the scanner. Raises `NoExport`, or `BadExportFile` if the file
    turns out to be damaged while reading."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise NoExport(f"the export {path.name} is not stored") from None
    except OSError as error:
        raise StoreUnavailable(f"the export cannot be read: {error}") from error
    with file, GzipFile(fileobj=file, mode="rb") as stream:
        try:
            yield cast(BinaryIO, stream)
        except (BadGzipFile, EOFError, zlib.error) as error:
            raise BadExportFile(f"the export {path.name} is damaged: {error}") from error


@contextmanager
def salvage_export(path: Path) -> Iterator[BinaryIO]:
    """Like `open_export`, but a damaged file ends before the damage, and a missing one is empty."""
    try:
        with open_export(path) as stream:
            yield cast(BinaryIO, _Undamaged(stream))
    except NoExport:
        yield BytesIO()


@attrs.frozen
class _Undamaged:
    """Reads a stream up to its damage; provides `read` only."""

    stream: BinaryIO

    def read(self, size: int) -> bytes:
        try:
            return self.stream.read(size)
        except (BadGzipFile, EOFError, zlib.error):
            return b""


def _compress(source: BinaryIO, part: Path, check: Callable[[], None]) -> None:
    with open(part, "wb", opener=private_file) as file:
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


def private_file(path: str, flags: int) -> int:
    """An opener for files that only we may read."""
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
