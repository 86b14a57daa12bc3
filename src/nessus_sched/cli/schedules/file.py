"""Schedules in a YAML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from nessus_sched.api.schedules.tools import CreateArgs
from nessus_sched.cli.client import Daemon
from nessus_sched.cli.definitions.file import Kind, Mistake, read_definitions, refusals
from nessus_sched.cli.schedules.show import every_schedule

SCHEDULES: Final = Kind(
    singular="a schedule",
    plural="schedules",
    keys=tuple(
        field.name for field in attrs.fields(CreateArgs) if field.name not in ("replace", "dry_run")
    ),
    required=("name", "scan"),
    shape="write 'schedules:' and a list of schedules with name, scan and cron below it",
    words={"expression": "cron", "zone": "time_zone", "past": "at"},
)


def apply_file(
    connection: Daemon, file: Path, *, prune: bool, dry_run: bool
) -> Sequence[Mapping[str, str]]:
    """Applies the schedules of a file; with `prune` deletes all others. Returns what was done
    about each. Raises `BadFile` with every mistake, and then has changed nothing."""

    def ask(item: Mapping[str, Any]) -> None:
        connection.call("create_schedule", **item, replace=True, dry_run=True)

    items = read_definitions(
        file, SCHEDULES, _same_names, lambda items: refusals(items, SCHEDULES, ask)
    )
    before = {each["name"]: each for each in every_schedule(connection)["schedules"]}
    done = [_apply(connection, item, before, dry_run=dry_run) for item in items]
    kept = {item["name"] for item in items}
    for name in [name for name in before if prune and name not in kept]:
        if not dry_run:
            connection.call("change_schedule", name=name, action="remove")
        done.append({"name": name, "change": "would be removed" if dry_run else "removed"})
    return done


def _apply(
    connection: Daemon, item: Mapping[str, Any], before: Mapping[str, Any], *, dry_run: bool
) -> Mapping[str, str]:
    name = item["name"]
    answer = connection.call("create_schedule", **item, replace=True, dry_run=dry_run)
    if not answer["changed"]:
        return {"name": name, "change": "unchanged"}
    if dry_run:
        return {"name": name, "change": "would be redefined" if name in before else "is new"}
    return {"name": name, "change": "redefined" if name in before else "created"}


def _same_names(items: Sequence[Any]) -> Iterator[Mistake]:
    names: dict[str, int] = {}
    for index, item in enumerate(items):
        name = str(item.get("name")) if isinstance(item, dict) else str(index)
        if names.setdefault(name, index) != index:
            message = f"the same name as schedule {names[name] + 1}"
            yield Mistake(("schedules", index, "name"), message)
