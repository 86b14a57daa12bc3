"""A control group with a limit on memory, as systemd gives a service one with MemoryMax=."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

_ROOT = Path("/sys/fs/cgroup")


@attrs.frozen
class ControlGroup:
    directory: Path
    unified: bool

    def inside(self, argv: list[str]) -> list[str]:
        """The command that runs `argv` in the group from its first byte of memory on."""
        script = f'echo $$ > {self.directory}/cgroup.procs && exec "$@"'
        return ["/bin/sh", "-c", script, "sh", *argv]

    def killed(self) -> int:
        """How many of its processes the kernel has killed for memory."""
        name = "memory.events" if self.unified else "memory.oom_control"
        for line in (self.directory / name).read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
        return 0

    def peak(self) -> int:
        """Most MiB that it had at once."""
        for name in ("memory.peak", "memory.max_usage_in_bytes"):
            file = self.directory / name
            if file.exists():
                return int(file.read_text()) >> 20
        return 0


@contextmanager
def control_group(memory: int) -> Iterator[ControlGroup]:
    """A group of our own of `memory` bytes; the test is skipped where none can be made."""
    unified = "memory" in _text(_ROOT / "cgroup.controllers").split()
    parent = _ROOT if unified else _ROOT / "memory"
    directory = parent / f"nessus-sched-test-{os.getpid()}"
    try:
        directory.mkdir()
        limit = "memory.max" if unified else "memory.limit_in_bytes"
        (directory / limit).write_text(str(memory))
    except OSError as error:
        if directory.is_dir():
            directory.rmdir()
        pytest.skip(f"no control group can be made here: {error}")
    try:
        yield ControlGroup(directory, unified)
    finally:
        directory.rmdir()


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
