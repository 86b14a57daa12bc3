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
from nessus_sched.core.states import Meant
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
        for name in ("task", "before_task"):
            if name in arguments:
                arguments[f"{name}_id"] = task_id_of(api, arguments.pop(name), Meant.ENDED)
        made = api.operate("read_report", kind=kind, **_lists(arguments))
    for note in made["notes"]:
        print_note(note)
    save(made["text"], made["name"], output, force=force)


def write_file_report(
    subject: str, form: str, output: Path | None, *, force: bool, config: Path | None
) -> None:
    """The technical report of a .nessus file."""
    from nessus_sched.cli.reporting.local import settings_of
    from nessus_sched.cli.results import export
    from nessus_sched.cli.results.reports import fail_if_empty, open_report

    if output not in (None, STDOUT):
        check_writable(output, force=force)
    with open_report(subject, config) as report:
        pieces = export.export_text(report, form, None, {}, reports=settings_of(config))
        summary = report.summary()
        fail_if_empty(subject, summary)
        save("".join(pieces), f"technical-{_stem(report.title)}.{form}", output, force=force)
    export.report_incomplete(subject, summary)


def _stem(title: str) -> str:
    """A file's name without what could lead elsewhere."""
    kept = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in title)
    return kept.removesuffix(".nessus").strip(".-")[:60] or "report"


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


def copy_templates(directory: Path) -> None:
    """Ours, none over an existing file."""
    from nessus_sched.results.reports.rendering import template_names, template_text

    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"cannot make {directory}: {error.strerror}") from error
    paths = {directory / name: template_text(name) for name in template_names()}
    for path in paths:
        check_writable(path, force=False)
    for path, text in paths.items():
        with whole_file(path, force=False) as file:
            file.write(text)
    print_note(f"{directory}: {', '.join(path.name for path in paths)}")
