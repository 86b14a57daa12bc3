"""Reports in files: plain or gzipped, from a path, a pipe or stdin."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import click

from nessus_sched.results.file_kind import GZIP, HEAD, not_a_report


def is_file(subject: str) -> bool:
    """Whether a subject is a file (or FIFO, or `-`) rather than a task.

    Raises `click.ClickException` for what can only be a file but does not exist or is a
    directory.
    """
    if subject in ("", "-"):  # the path of an empty text is the current directory
        return subject == "-"
    path = Path(subject)
    if path.is_dir():
        raise click.ClickException(f"{subject}: is a directory")
    if path.exists():
        return True
    if "/" in subject or "." in subject:
        raise click.ClickException(f"{subject}: no such file")
    return False


@contextmanager
def stream_of(subject: str) -> Iterator[BinaryIO]:
    """A report to read, decompressed; `-` is stdin. It never seeks, so pipes work.

    Raises `click.ClickException` if it cannot be read or is obviously something else.
    """
    with ExitStack() as stack:
        if subject == "-":
            if sys.stdin is None:
                raise _unreadable(subject, "standard input is closed")
            source = sys.stdin.buffer
        else:
            try:
                source = stack.enter_context(Path(subject).open("rb"))
            except OSError as error:
                raise _unreadable(subject, error.strerror or str(error)) from error
        yield cast(BinaryIO, _Report(source, subject))


class _Report:
    """Reads a source from the start; provides `read` only."""

    def __init__(self, source: BinaryIO, subject: str) -> None:
        self._source: BinaryIO | gzip.GzipFile = source
        self._subject = subject
        self._head = self._read(HEAD)
        if self._head.startswith(GZIP):
            packed = io.BufferedReader(_Rejoined(self._head, source))
            self._source = gzip.GzipFile(fileobj=packed)
            self._head = self._read(HEAD)
        what = not_a_report(self._head)
        if what is not None:
            raise click.ClickException(f"{subject} is not a .nessus report: it is {what}")

    def read(self, size: int) -> bytes:
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._read(size)

    def _read(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise _unreadable(
                self._subject,
                "its gzip data is damaged or truncated; 'gzip -dc FILE > NEW' saves the "
                "part before",
            ) from error
        except OSError as error:
            raise _unreadable(self._subject, error.strerror or str(error)) from error


class _Rejoined(io.RawIOBase):
    """The first bytes of a source, read before, followed by the rest."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # mmap, too
        data = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(data) :]
        buffer[: len(data)] = data
        return len(data)


def _unreadable(subject: str, reason: str) -> click.ClickException:
    return click.ClickException(f"{subject}: cannot be read: {reason}")
