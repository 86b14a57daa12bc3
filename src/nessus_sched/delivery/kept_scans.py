"""The port to the reports of tasks, as they came from the scanners."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

import attrs

Source = Callable[[], AbstractContextManager[BinaryIO]]
"""Opens a report for reading, which blocks. Reading raises `StoreError`."""


class ScanGone(Exception):
    """The task had results, and they are no longer kept; the text says so."""


@attrs.frozen(kw_only=True)
class KeptScan:
    """The results of a task. `title` is the name of its schedule, or its own; `way` is the same for
    scans that look for the same things. `ended` is in epoch seconds.

    `doubt` is why a finding may be missing in the reports although it is not fixed; None if there
    is no reason.
    """

    task_id: str
    title: str
    way: str
    targets: tuple[str, ...]
    ended: float
    reports: tuple[Source, ...]
    doubt: str | None


class KeptScans(Protocol):
    async def scan(self, task_id: str) -> KeptScan | None:
        """None if the task has no results. Raises `ScanGone` and `StoreError`."""
