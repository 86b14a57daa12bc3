"""Files that commands write: whole or not at all, readable only by the user."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, TextIO

import click


def check_writable(path: Path, *, force: bool) -> None:
    """Raises `click.ClickException` if `path` exists and may not be replaced.

    Only regular files are ever replaced, and only with `force`: a symbolic link could lead to
    someone else's file, and renaming over a device or a FIFO would destroy it.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _failed(path, error) from error
    if stat.S_ISLNK(mode):
        problem = "it is a symbolic link; name the file itself"
    elif stat.S_ISDIR(mode):
        problem = "it is a directory"
    elif not stat.S_ISREG(mode):
        problem = "it is not a regular file; write to standard output with '-' and redirect that"
    elif not force:
        problem = "it exists; replace it with --force"
    else:
        return
    raise click.ClickException(f"cannot write {path}: {problem}")


@contextmanager
def whole_file(path: Path, *, force: bool) -> Iterator[TextIO]:
    """Like `whole_binary_file`, for UTF-8 text."""
    with whole_binary_file(path, force=force) as file:
        text = TextIOWrapper(file, encoding="utf-8", newline="")
        yield text
        text.detach()


@contextmanager
def whole_binary_file(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """A file (mode 0600, less the umask) that appears at `path` when the block succeeds.
    Otherwise nothing changes there. Raises `click.ClickException` for what `check_writable`
    refuses and for file system errors."""
    check_writable(path, force=force)
    try:
        descriptor, part = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=".part", dir=path.parent
        )
    except OSError as error:
        raise _failed(path, error) from error
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        _publish(part, path, force=force)
    except OSError as error:
        raise _failed(path, error) from error
    finally:
        with suppress(FileNotFoundError):
            os.unlink(part)


def _publish(part: str, path: Path, *, force: bool) -> None:
    """Moves the finished file into place."""
    check_writable(path, force=force)
    if not force:
        # Claim the name first: a file made meanwhile is kept, and a planted link not followed.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(path, flags, 0o600))
    os.replace(part, path)


def _failed(path: Path, error: OSError) -> click.ClickException:
    return click.ClickException(f"cannot write {path}: {error.strerror}")
