"""Finds tasks as people name them: by the start or end of their id, by name, or as `last`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nessus_sched.cli.client import DaemonApi, Refused
from nessus_sched.cli.formatting import ago
from nessus_sched.core.clock import system_now

LAST: Final = "last"
"""The most recently submitted task."""
_LONGEST_ID: Final = 64
_LOOKED_AT: Final = 100
"""How many of the latest tasks with that text in their name are considered."""
_SHOWN: Final = 10


def task_id_of(api: DaemonApi, text: str) -> str:
    """The id of the one task that matches. Raises `Refused`."""
    found, more = _meant(api, text)
    if not found:
        raise Refused(f"no task {text!r}; 'nessus-sched tasks' lists them", "unknown_task")
    if len(found) > 1:
        raise Refused(_several(text, found, more), "ambiguous_task")
    task_id: str = found[0]["task_id"]
    return task_id


def _meant(api: DaemonApi, text: str) -> tuple[Sequence[Mapping[str, Any]], bool]:
    """The tasks that match by id or name, and whether there are more."""
    if text == LAST:
        return api.call("list_tasks", limit=1)["tasks"], False
    by_id = api.operate("find_task", part=text[:_LONGEST_ID])
    if [each["task_id"] for each in by_id["tasks"]] == [text]:
        return by_id["tasks"], False
    named = api.call("list_tasks", text=text, limit=_LOOKED_AT)
    exact = [each for each in named["tasks"] if each["name"] == text]
    found = {each["task_id"]: each for each in (*by_id["tasks"], *exact)}
    return list(found.values()), by_id["more"] or len(found) > _SHOWN


def _several(text: str, found: Sequence[Mapping[str, Any]], more: bool) -> str:
    now = system_now()
    rows = [
        f"  {each['task_id']}  {each['status']}, {ago(each['created_at'], now)}  {each['name']}"
        for each in found[:_SHOWN]
    ]
    rest = ["  and others"] if more else []
    return "\n".join([f"{text!r} matches several tasks; give more of the id:", *rows, *rest])


def task_ids_of(api: DaemonApi, texts: Sequence[str]) -> list[str]:
    """The ids for several texts, each once, in order."""
    return list(dict.fromkeys(task_id_of(api, text) for text in texts))
