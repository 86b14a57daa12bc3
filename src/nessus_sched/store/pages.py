"""Reports for people that were made for a model or a route: files in one directory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from nessus_sched.core.store_errors import StoreUnavailable

KEPT: Final = 100
"""The latest files are kept."""
_SAME: Final = 1000
"""Files that may differ in their number alone."""


def keep_page(directory: Path, name: str, text: str) -> Path:
    """Writes a new file, whole or not at all, and deletes the oldest ones. Blocks. Raises
    `StoreUnavailable`."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = _free(directory, name)
        _fill(path, text)
        for old in _latest_first(directory)[KEPT:]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise StoreUnavailable(f"the report cannot be written: {error.strerror}") from error
    return path


def _free(directory: Path, name: str) -> Path:
    """A path that is not used; it is claimed."""
    stem, suffix = os.path.splitext(name)
    for number in range(1, _SAME):
        path = directory / (name if number == 1 else f"{stem}-{number}{suffix}")
        try:
            path.touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            continue
        return path
    raise StoreUnavailable(f"there are too many reports called {name}")


def _fill(path: Path, text: str) -> None:
    """Replaces a claimed file, or deletes it if that fails: a full disk should not keep pieces."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(text.encode())
        part.chmod(0o600)
        part.rename(path)
    except OSError:
        for each in (part, path):
            each.unlink(missing_ok=True)
        raise


def _latest_first(directory: Path) -> list[Path]:
    times: dict[Path, float] = {}
    for path in directory.iterdir():
        if not path.name.startswith("."):
            with suppress(FileNotFoundError):  # another report may just have deleted it
                times[path] = path.stat().st_mtime
    return sorted(times, key=lambda path: (times[path], path.name), reverse=True)
