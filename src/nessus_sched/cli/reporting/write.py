"""Asks for a report and writes its file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from nessus_sched.cli.client import Daemon
from nessus_sched.cli.daemon_or_store import daemon_or_store
from nessus_sched.cli.output import print_note
from nessus_sched.cli.output_file import check_writable, whole_file
from nessus_sched.cli.task_ids import task_id_of
from nessus_sched.core.text import size

PATIENCE: Final = 320.0
"""Seconds: longer than the daemon takes at most."""
STDOUT: Final = Path("-")


def write_report(
    kind: str, asked: Mapping[str, Any], output: Path | None, *, force: bool, config: Path | None
) -> None:
    """`asked` are options, named like the arguments of the action."""
    if output not in (None, STDOUT):
        check_writable(output, force=force)
    arguments = {name: value for name, value in asked.items() if value}
    with daemon_or_store(config) as api:
        if isinstance(api, Daemon):
            api.wait_up_to(PATIENCE)
        if "task" in arguments:
            arguments["task_id"] = task_id_of(api, arguments.pop("task"))
        made = api.operate("read_report", kind=kind, **_lists(arguments))
    for note in made["notes"]:
        print_note(note)
    save(made["text"], made["name"], output, force=force)


def save(text: str, name: str, output: Path | None, *, force: bool) -> None:
    """Writes a whole file, by default a new one here, or to standard output."""
    if output == STDOUT:
        click.echo(text.encode(), nl=False)
        return
    path = _unused(Path(name)) if output is None else output
    with whole_file(path, force=force) as file:
        file.write(text)
    print_note(f"{path}: {size(len(text.encode()))}")


def _unused(path: Path) -> Path:
    """The path, with a number if something has this name."""
    number, found = 1, path
    while found.exists() or found.is_symlink():
        number += 1
        found = path.with_stem(f"{path.stem}-{number}")
    return found


def _lists(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in arguments.items()
    }
