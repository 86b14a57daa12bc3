"""The seal under which tests mark scans, where no store brings its own."""

from __future__ import annotations

from nessus_sched.core.seal import Seal

SEAL = Seal(bytes(32))
marker = SEAL.mark


def marked(name: str) -> tuple[str, int] | None:
    """The task id and attempt of a valid marker."""
    found = SEAL.read(name)
    return None if found is None or not found.sealed else (found.task_id, found.attempt)
