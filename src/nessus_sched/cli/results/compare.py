"""Comparing two reports, each a task's or a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import click

from nessus_sched.cli.daemon_or_store import daemon_or_store
from nessus_sched.cli.load_config import loaded
from nessus_sched.cli.results.files import is_file, stream_of
from nessus_sched.cli.results.reports import Query, checked, compare_files
from nessus_sched.cli.task_ids import task_id_of
from nessus_sched.core.store_errors import StoreError
from nessus_sched.results.comparison import Change
from nessus_sched.store.exports import ExportStore


def compared(
    before: str, after: str, change: str, query: Query, config: Path | None
) -> dict[str, Any]:
    """A `CompareAnswer`."""
    checked(query)
    if is_file(before) or is_file(after):
        return compare_files(before, after, Change(change), query, partial(_stream, config=config))
    with daemon_or_store(config) as asked:
        return asked.operate(
            "compare_findings",
            before=task_id_of(asked, before),
            after=task_id_of(asked, after),
            change=change,
            **query,
        )


@contextmanager
def _stream(subject: str, *, config: Path | None) -> Iterator[BinaryIO]:
    """A report's document: of a task, the export that is kept in the state directory."""
    if is_file(subject):
        with stream_of(subject) as stream:
            yield stream
        return
    if config is None:
        raise click.UsageError("--config is needed: it says where the reports of tasks are kept")
    with daemon_or_store(config) as asked:
        task_id = task_id_of(asked, subject)
    try:
        with ExportStore(loaded(config).state_directory / "exports").reading(task_id) as stream:
            yield stream
    except StoreError as error:
        raise click.ClickException(str(error)) from error
