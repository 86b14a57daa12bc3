"""Finds tasks as people name them: by the start or end of their id, by name, or as `last`.

The daemon knows which tasks these are; this asks for the one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nessus_sched.cli.client import DaemonApi, Refused
from nessus_sched.cli.formatting import ago
from nessus_sched.cli.output import print_note
from nessus_sched.core.clock import system_now
from nessus_sched.core.states import Meant

LAST: Final = "last"
"""The task that this user submitted last."""
_LONGEST: Final = 256


def task_id_of(api: DaemonApi, text: str, meant: Meant = Meant.LATEST) -> str:
    """The id of the one task that matches; of several with that name, the one that is `meant`.
    Raises `Refused`."""
    asked = {"part": text[:_LONGEST], "meant": meant}
    answer = api.operate("find_task", **asked) if text else {"tasks": []}
    found = answer["tasks"]
    if not found and text == LAST:
        raise Refused("you have submitted no task; 'nessus-sched tasks' lists all", "unknown_task")
    if not found:
        raise Refused(f"no task {text!r}; 'nessus-sched tasks' lists them", "unknown_task")
    if len(found) > 1:
        raise Refused(_several(text, found, answer["more"]), "ambiguous_task")
    if answer["note"]:
        print_note(answer["note"])
    task_id: str = found[0]["task_id"]
    return task_id


def _several(text: str, found: Sequence[Mapping[str, Any]], more: bool) -> str:
    now = system_now()
    rows = [
        f"  {each['task_id']}  {each['status']}, {ago(each['created_at'], now)}  {each['name']}"
        for each in found
    ]
    rest = ["  and others"] if more else []
    return "\n".join([f"{text!r} matches several tasks; give more of the id:", *rows, *rest])


def task_ids_of(api: DaemonApi, texts: Sequence[str], meant: Meant = Meant.LATEST) -> list[str]:
    """The ids for several texts, each once, in order."""
    return list(dict.fromkeys(task_id_of(api, text, meant) for text in texts))
