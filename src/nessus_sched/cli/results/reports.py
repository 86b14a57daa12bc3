"""What `results` shows: the report of a task, or any .nessus file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol, TypeVar

import click

from nessus_sched.cli.client import DaemonApi
from nessus_sched.cli.daemon_or_store import daemon_or_store
from nessus_sched.cli.results.coverage import read_coverage
from nessus_sched.cli.results.files import is_file, stream_of
from nessus_sched.cli.task_ids import task_id_of
from nessus_sched.cli.trio_run import run_trio
from nessus_sched.core.coverage import Status
from nessus_sched.core.states import Meant
from nessus_sched.results.query.input import read_query
from nessus_sched.results.query.model import BadQuery
from nessus_sched.results.summary import empty_reason, summarize

T = TypeVar("T")

Query = Mapping[str, Any]
"""As `results.query.input.read_query` takes it."""
LARGEST_PAGE: Final = 1000


class Report(Protocol):
    """A source of findings; `title` names it for people. With `in_ledger` the ledger knows more of
    them."""

    title: str

    @property
    def in_ledger(self) -> bool: ...

    def summary(self) -> dict[str, Any]:
        """The document of `results.summary`; its texts are sanitized."""

    def page(self, query: Query) -> dict[str, Any]:
        """A `FindingsAnswer`."""

    def coverage(self, *statuses: Status) -> dict[str, Any] | None:
        """A `CoverageAnswer` with all rows; None if it is not known what was to be scanned."""


@contextmanager
def open_report(subject: str, config: Path | None) -> Iterator[Report]:
    """The report for a subject: a file if one of that name exists, otherwise a task."""
    with ExitStack() as stack:
        if is_file(subject):
            directory = Path(stack.enter_context(TemporaryDirectory(prefix="nessus-sched-")))
            yield FileReport(subject, directory)
        else:
            api = stack.enter_context(daemon_or_store(config))
            yield TaskReport(api, task_id_of(api, subject, Meant.ENDED))


class TaskReport:
    """The results of a task, from the daemon or its state directory."""

    in_ledger = True

    def __init__(self, api: DaemonApi, task_id: str) -> None:
        self.title = f"task {task_id}"
        self._api = api
        self._task_id = task_id
        self._summary: dict[str, Any] | None = None

    def summary(self) -> dict[str, Any]:
        if self._summary is None:
            answer = self._api.operate("read_summary", task_id=self._task_id)
            self.title, self._summary = answer["title"], answer["summary"]
        return self._summary

    def page(self, query: Query) -> dict[str, Any]:
        parse_query(query)
        return self._api.operate("read_findings", task_id=self._task_id, **query)

    def coverage(self, *statuses: Status) -> dict[str, Any] | None:
        if "coverage" not in self.summary():
            return None
        return read_coverage(self._api, {"task_id": self._task_id}, statuses)


class FileReport:
    """A .nessus file; it is read once, on first use."""

    in_ledger = False

    def __init__(self, subject: str, directory: Path) -> None:
        self.title = (
            "stdin" if subject == "-" else os.fsencode(Path(subject).name).decode(errors="replace")
        )
        self._subject = subject
        self._path = directory / "findings.db"
        self._summary: dict[str, Any] | None = None

    def summary(self) -> dict[str, Any]:
        if self._summary is None:
            with stream_of(self._subject) as stream:
                self._summary = summarize(stream)
        return self._summary

    def page(self, query: Query) -> dict[str, Any]:
        from nessus_sched.daemon import report_files

        wanted = parse_query(query)
        if not self._path.exists():
            source = partial(stream_of, self._subject)
            self._summary = run_trio(report_files.store_report, [source], self._path, "report")
        warned = None if query.get("cursor") else self._summary
        with usage_errors():
            return report_files.page_of(self._path, "report", wanted, warned)

    def coverage(self, *statuses: Status) -> dict[str, Any] | None:
        return None


def fail_if_empty(subject: str, summary: Mapping[str, Any]) -> None:
    """Raises `click.ClickException` if the report had nothing readable in it."""
    problem = empty_reason(summary)
    if problem is not None:
        raise click.ClickException(f"{subject}: {problem}")


def parse_query(query: Query) -> Any:
    """The parsed query. Raises `click.UsageError` with all mistakes in it."""
    with usage_errors():
        return read_query(query)


@contextmanager
def usage_errors() -> Iterator[None]:
    try:
        yield
    except BadQuery as error:
        raise click.UsageError(str(error)) from None


def all_rows(report: Report, query: Query) -> Iterator[dict[str, Any]]:
    """Every matching finding, with one page in memory at a time; the first page is read at once."""
    wanted = {**query, "page_size": LARGEST_PAGE}
    return _following(report, wanted, report.page(wanted))


def _following(report: Report, query: Query, page: dict[str, Any]) -> Iterator[dict[str, Any]]:
    while True:
        yield from page["findings"]
        if page["next_cursor"] is None:
            return
        page = report.page({**query, "cursor": page["next_cursor"]})
