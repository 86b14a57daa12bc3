"""The seal under which tests mark scans, where no store brings its own."""

from __future__ import annotations

from typing import Protocol

from nessus_sched.core.seal import Seal

SEAL = Seal(bytes(32))
marker = SEAL.mark


class Named(Protocol):
    name: str


def marked(name: str) -> tuple[str, int] | None:
    """The task id and attempt of a valid marker."""
    found = SEAL.read(name)
    return None if found is None or not found.sealed else (found.task_id, found.attempt)


def task_of(scan: Named) -> str:
    """The task whose valid marker the scan's name ends with."""
    found = marked(scan.name)
    assert found is not None, scan.name
    return found[0]
