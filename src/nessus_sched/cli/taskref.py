"""Tasks as people name them: by the beginning or the end of their id."""

from __future__ import annotations

from collections.abc import Sequence

from nessus_sched.cli.client import Asking, Refused


def task_id_of(asked: Asking, text: str) -> str:
    """The id of the one task that is meant. Raises `Refused`."""
    found: list[str] = asked.operate("find_task", part=text)["task_ids"]
    if not found:
        raise Refused(f"no task {text!r}; 'nessus-sched tasks' lists them", "unknown_task")
    if len(found) > 1:
        raise Refused(f"{text!r} may be {', '.join(found)}: type more of it", "ambiguous_task")
    return found[0]


def task_ids_of(asked: Asking, texts: Sequence[str]) -> list[str]:
    """The same for several, each once, in their order."""
    return list(dict.fromkeys(task_id_of(asked, text) for text in texts))
