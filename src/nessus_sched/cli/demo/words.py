"""What keeps the demo's scans from completing, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def trouble_of(task: Mapping[str, Any]) -> tuple[str, str] | None:
    """Code and words of what keeps a task from going on; None when nothing is known to."""
    error, wait = task["error"], task["wait"] or {}
    if error is not None:
        return error["code"], error["message"]
    if wait.get("wait_code"):
        return wait["wait_code"], wait["wait_reason"]
    return None


def not_completed(tasks: Sequence[Mapping[str, Any]]) -> str | None:
    """The sentence about the tasks that did not complete; None when all did."""
    failed = [task for task in tasks if task["status"] != "completed"]
    if not failed:
        return None
    described = []
    for task in failed:
        trouble = trouble_of(task)
        why = f": {trouble[1]}" if trouble else ""
        described.append(f"{task['name']} ({task['status']}{why})")
    return f"not completed: {', '.join(described)}"
