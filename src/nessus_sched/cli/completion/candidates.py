"""What the shell offers after TAB: names that the daemon knows.

Without a daemon, or if it does not answer at once, nothing is offered and nothing is said. Shells
insert what is offered as it is, and submitters choose names, so only words that mean nothing to a
shell are offered.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from nessus_sched.core.states import LIVE, SETTLED, TaskState

if TYPE_CHECKING:
    from nessus_sched.cli.client import DaemonApi

ANSWER_WITHIN: Final = 0.25
"""Seconds that a person waits for each answer after TAB."""
_LATEST: Final = 100
"""Tasks, schedules and exceptions that are offered."""
_WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@%+/-]*")
"""A word that no shell interprets or splits; bash splits at colons and equals signs."""
_LAST: Final = "last"
_HELP: Final = 60

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
Candidates = Callable[["DaemonApi", str], Iterable[CompletionItem]]


def completing(candidates: Candidates, *, files: bool = False) -> Complete:
    """The `shell_complete` of a parameter; with `files` also offers files."""

    def complete(
        ctx: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        # First: what follows it is added to the shell's own list.
        found = [CompletionItem(incomplete, type="file")] if files else []
        if not (files and incomplete.startswith((".", "/", "~"))):
            found += _asked(ctx, candidates, incomplete)
        return found

    return complete


def _asked(ctx: click.Context, candidates: Candidates, incomplete: str) -> list[CompletionItem]:
    from nessus_sched.cli.client import daemon
    from nessus_sched.cli.options import default_config

    file = ctx.params.get("config") or default_config()
    try:
        with daemon(None if file is None else Path(file), patience=ANSWER_WITHIN) as connection:
            offered = list(candidates(connection, incomplete))
    except (click.ClickException, OSError, ValueError, KeyError):
        return []
    return [
        each
        for each in offered
        if each.value.startswith(incomplete) and _WORD.fullmatch(each.value)
    ]


def _item(value: str, help_text: str = "") -> CompletionItem:
    from nessus_sched.results.untrusted import clean_line

    return CompletionItem(value, help=clean_line(help_text, _HELP) or None)


def _tasks(
    states: Collection[TaskState] | None, api: DaemonApi, incomplete: str
) -> Iterator[CompletionItem]:
    """Each task by its name if that can be typed and no other task has it, else by its id."""
    latest: Sequence[Mapping[str, Any]] = api.call("list_tasks", limit=_LATEST)["tasks"]
    wanted = latest
    if states is not None:
        wanted = api.call("list_tasks", states=sorted(states), limit=_LATEST)["tasks"]
    if wanted and _LAST.startswith(incomplete):
        yield _item(_LAST, "your latest task")
    every = {task["task_id"]: task["name"] for task in (*latest, *wanted)}
    owners = Counter(every.values())
    for task in wanted:
        task_id, name = task["task_id"], task["name"]
        by_name = owners[name] == 1 and _WORD.fullmatch(name) and name != _LAST
        said = f"{task['status']} {'' if by_name else name}"
        if by_name:
            yield _item(name, f"{task['status']} {' '.join(task['targets'])}")
        if not by_name or (incomplete and task_id.startswith(incomplete)):
            yield _item(task_id, said)


def _scanners(api: DaemonApi, _incomplete: str) -> Iterator[CompletionItem]:
    for each in api.call("list_scanners", limit=_LATEST)["scanners"]:
        yield _item(each["scanner_instance"], f"{each['active_scans']}/{each['capacity']} slots")


def _pools(api: DaemonApi, _incomplete: str) -> Iterator[CompletionItem]:
    found = api.call("list_scanners", limit=_LATEST)["scanners"]
    for pool in dict.fromkeys(each["pool"] for each in found):
        yield _item(pool)


def _configured(section: str, about: str, api: DaemonApi, _text: str) -> Iterator[CompletionItem]:
    for each in api.call("list_credentials")[section]:
        yield _item(each["name"], str(each[about] or ""))


def _schedules(api: DaemonApi, _incomplete: str) -> Iterator[CompletionItem]:
    for each in api.call("list_schedules", limit=_LATEST)["schedules"]:
        yield _item(each["name"], each["when"])


def _exceptions(api: DaemonApi, _incomplete: str) -> Iterator[CompletionItem]:
    for each in api.call("list_exceptions", limit=_LATEST)["exceptions"]:
        yield _item(each["exception_id"], each["reason"])


def _routes(api: DaemonApi, _incomplete: str) -> Iterator[CompletionItem]:
    for each in api.operate("list_routes")["routes"]:
        yield _item(each["name"])


_WITH_RESULTS: Final = SETTLED - {TaskState.DEAD}
_TO_RETRY: Final = frozenset({TaskState.DEAD, TaskState.PARTIAL})

any_task: Final = completing(partial(_tasks, None))
unfinished_task: Final = completing(partial(_tasks, LIVE))
paused_task: Final = completing(partial(_tasks, frozenset({TaskState.PAUSED, TaskState.QUEUED})))
retriable_task: Final = completing(partial(_tasks, _TO_RETRY))
dead_task: Final = completing(partial(_tasks, frozenset({TaskState.DEAD})))
ended_task: Final = completing(partial(_tasks, _WITH_RESULTS))
file_or_task: Final = completing(partial(_tasks, _WITH_RESULTS), files=True)
scanner: Final = completing(_scanners)
pool: Final = completing(_pools)
credential: Final = completing(partial(_configured, "credentials", "kind"))
audit: Final = completing(partial(_configured, "audits", "description"))
profile: Final = completing(partial(_configured, "scan_profiles", "description"))
schedule: Final = completing(_schedules)
exception: Final = completing(_exceptions)
route: Final = completing(_routes)
