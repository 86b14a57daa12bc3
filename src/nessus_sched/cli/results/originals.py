"""The reports of tasks as they came from the scanners."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from nessus_sched.cli.daemon_or_store import daemon_or_store
from nessus_sched.cli.load_config import load_config_or_exit
from nessus_sched.cli.output import print_note
from nessus_sched.cli.output_file import check_writable, whole_binary_file
from nessus_sched.cli.results.files import is_file
from nessus_sched.cli.task_ids import task_id_of
from nessus_sched.core.states import Meant
from nessus_sched.core.store_errors import StoreError
from nessus_sched.core.text import pluralize, size
from nessus_sched.results.merge import Source


def kept_reports(subject: str, config: Path | None) -> Mapping[str, Source]:
    """The reports of a task in the state directory, by name. Raises `click.ClickException`."""
    from nessus_sched.daemon import report_files

    if config is None:
        raise click.UsageError("--config is required, to find the reports of tasks")
    with daemon_or_store(config) as api:
        task_id = task_id_of(api, subject, Meant.ENDED)
    try:
        return report_files.kept_reports(load_config_or_exit(config), task_id)
    except StoreError as error:
        raise click.ClickException(str(error)) from error


def export_originals(
    subject: str, config: Path | None, output: Path | None, *, force: bool
) -> None:
    """Writes the reports of a task byte for byte: a single one to a file or stdout (None), several
    (of attempts or parts) into a directory. Raises `click.ClickException`."""
    if is_file(subject):
        raise click.UsageError(f"{subject} is a report already; --format nessus is for tasks")
    reports = kept_reports(subject, config)
    if output is not None and output.is_dir():
        targets = {output / name: source for name, source in reports.items()}
    elif len(reports) > 1:
        raise click.UsageError(
            f"{subject} has {pluralize(len(reports), 'report')}, one for each attempt or part: "
            "give a directory with -o"
        )
    else:
        (source,) = reports.values()
        if output is None:
            _copy_out(source)
            return
        targets = {output: source}
    for path in targets:
        check_writable(path, force=force)
    for path, source in targets.items():
        _copy(source, path, force=force)


def _copy_out(source: Source) -> None:
    try:
        with source() as stream:
            shutil.copyfileobj(stream, sys.stdout.buffer)
            sys.stdout.buffer.flush()
    except StoreError as error:
        raise click.ClickException(str(error)) from error


def _copy(source: Source, path: Path, *, force: bool) -> None:
    try:
        with source() as stream, whole_binary_file(path, force=force) as file:
            shutil.copyfileobj(stream, file)
            written = file.tell()
    except StoreError as error:
        raise click.ClickException(str(error)) from error
    print_note(f"{path}: {size(written)}")
