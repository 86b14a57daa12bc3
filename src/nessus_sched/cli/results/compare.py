"""Compares two reports, each of a task or in a file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from nessus_sched.cli.daemon_or_store import daemon_or_store
from nessus_sched.cli.results.files import is_file, stream_of
from nessus_sched.cli.results.originals import kept_reports
from nessus_sched.cli.results.reports import Query, fail_if_empty, parse_query, usage_errors
from nessus_sched.cli.task_ids import task_id_of
from nessus_sched.cli.trio_run import run_trio
from nessus_sched.core.states import Meant
from nessus_sched.core.store_errors import StoreError
from nessus_sched.results.comparison import SAME, Change
from nessus_sched.results.merge import Source


def compare(
    before: str, after: str, change: str, query: Query, config: Path | None
) -> dict[str, Any]:
    """A `CompareAnswer`."""
    wanted = parse_query(query)
    if is_file(before) or is_file(after):
        return _compare_files({"before": before, "after": after}, Change(change), wanted, config)
    with daemon_or_store(config) as api:
        return api.operate(
            "compare_findings",
            before=task_id_of(api, before, Meant.ENDED),
            after=task_id_of(api, after, Meant.ENDED),
            change=change,
            **query,
        )


def _compare_files(
    subjects: Mapping[str, str], change: Change, wanted: Any, config: Path | None
) -> dict[str, Any]:
    """Compares two reports, at least one of them a file."""
    from nessus_sched.daemon import report_files

    with TemporaryDirectory(prefix="nessus-sched-") as directory:
        path = Path(directory) / "findings.db"
        known = [SAME] if subjects["before"] == subjects["after"] else []
        for name, subject in subjects.items():
            sources: list[Source] = [partial(stream_of, subject)]
            if not is_file(subject):
                sources = list(kept_reports(subject, config).values())
            try:
                summary = run_trio(report_files.store_report, sources, path, name)
            except StoreError as error:
                raise click.ClickException(str(error)) from error
            fail_if_empty(subject, summary)
        with usage_errors():
            return report_files.compare(path, "before", "after", change, wanted, known)
