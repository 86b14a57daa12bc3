"""Standard output that takes any text, and says in a sentence when it cannot be written to."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STDOUT: Final = 1


class OutputFailed(click.ClickException):
    """Standard output cannot be written to: a full disk, a closed descriptor. Exit code 1."""


class _Stdout(io.FileIO):
    """Descriptor 1. After an error, what is still buffered is dropped: it would fail again when
    the interpreter flushes it, with a traceback."""

    def __init__(self) -> None:
        super().__init__(_STDOUT, "wb", closefd=False)
        self._failed = False

    def write(self, data: ReadableBuffer) -> int:
        if self._failed:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as error:
            if error.errno == errno.EPIPE:  # click and rich know what to do
                raise
            self._failed = True
            message = f"cannot write to standard output: {error.strerror}"
            raise OutputFailed(message) from error


def open_stdout() -> None:
    """Replaces `sys.stdout`: characters that its encoding lacks come out as question marks,
    and errors as `OutputFailed`."""
    if sys.stdout is None:  # closed by whoever started us
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)  # writing to it fails
        if nothing != _STDOUT:
            os.dup2(nothing, _STDOUT)
            os.close(nothing)
    encoding = None if sys.stdout is None else sys.stdout.encoding
    raw = _Stdout()
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, errors="replace", line_buffering=raw.isatty()
    )
