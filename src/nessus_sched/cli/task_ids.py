"""Tasks as people name them: by the beginning or the end of their id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nessus_sched.cli.client import Asking, Refused
from nessus_sched.cli.formatting import ago
from nessus_sched.core.clock import system_now


def task_id_of(asked: Asking, text: str) -> str:
    """The id of the one task that is meant. Raises `Refused`."""
    answer = asked.operate("find_task", part=text)
    found = answer["tasks"]
    if not found:
        raise Refused(f"no task {text!r}; 'nessus-sched tasks' lists them", "unknown_task")
    if len(found) > 1:
        raise Refused(_several(text, found, answer["more"]), "ambiguous_task")
    task_id: str = found[0]["task_id"]
    return task_id


def _several(text: str, found: Sequence[Mapping[str, Any]], more: bool) -> str:
    now = system_now()
    rows = [
        f"  {each['task_id']}  {each['status']}, {ago(each['created_at'], now)}  {each['name']}"
        for each in found
    ]
    rest = ["  and others"] if more else []
    return "\n".join([f"{text!r} may mean any of these; type more of it:", *rows, *rest])


def task_ids_of(asked: Asking, texts: Sequence[str]) -> list[str]:
    """The same for several, each once, in their order."""
    return list(dict.fromkeys(task_id_of(asked, text) for text in texts))
