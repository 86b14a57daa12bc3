"""What `results` looks at: the report of a task, or any .nessus file.

A file is read into a findings database that is gone afterwards, so that the same filters,
pages and comparisons work without a daemon and without a configuration.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Final, Protocol, TypeVar

import click
import trio

from nessus_sched.api import validation
from nessus_sched.api.admin_findings import compare_answer, findings_answer
from nessus_sched.cli.client import Asking
from nessus_sched.cli.daemon_or_store import daemon_or_store
from nessus_sched.cli.results.files import is_file, stream_of
from nessus_sched.cli.task_ids import task_id_of
from nessus_sched.cli.trio_run import run
from nessus_sched.results.comparison import Change
from nessus_sched.results.coverage import scan_coverage
from nessus_sched.results.doubt import cautions
from nessus_sched.results.parser.reader import Event, Reader
from nessus_sched.results.plausibility import ScanFacts
from nessus_sched.results.query.input import read_query
from nessus_sched.results.query.model import BadQuery
from nessus_sched.results.summary import SummaryBuilder, nothing_in, summarise
from nessus_sched.store.findings.reader import FindingsReader, open_findings_offline
from nessus_sched.store.findings.store import open_findings

T = TypeVar("T")

Query = Mapping[str, Any]
"""As `results.query_input.read_query` takes it."""
LARGEST_PAGE: Final = 1000


class Report(Protocol):
    """Something with findings; `title` is what to call it."""

    title: str

    def summary(self) -> dict[str, Any]:
        """The document of `results.summary`; all of its texts are clean."""

    def page(self, query: Query) -> dict[str, Any]:
        """A `FindingsAnswer`."""


@contextmanager
def opened(subject: str, config: Path | None) -> Iterator[Report]:
    """The report that is meant: a file if there is one of that name, else a task."""
    with ExitStack() as stack:
        if is_file(subject):
            directory = Path(stack.enter_context(TemporaryDirectory(prefix="nessus-sched-")))
            yield FileReport(subject, directory)
        else:
            asked = stack.enter_context(daemon_or_store(config))
            yield TaskReport(asked, task_id_of(asked, subject))


class TaskReport:
    """The results of a task, from the daemon or from what it left."""

    def __init__(self, asked: Asking, task_id: str) -> None:
        self.title = f"task {task_id}"
        self._asked = asked
        self._task_id = task_id
        self._summary: dict[str, Any] | None = None

    def summary(self) -> dict[str, Any]:
        if self._summary is None:
            answer = self._asked.operate("read_summary", task_id=self._task_id)
            self.title, self._summary = answer["title"], answer["summary"]
        return self._summary

    def page(self, query: Query) -> dict[str, Any]:
        checked(query)
        return self._asked.operate("read_findings", task_id=self._task_id, **query)


class FileReport:
    """A .nessus file; it is read once, when first asked."""

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
                self._summary = summarise(stream)
        return self._summary

    def page(self, query: Query) -> dict[str, Any]:
        asked = checked(query)
        self._store()
        page = _asking(self._path, lambda findings: findings.page("report", asked))
        warned = () if query.get("cursor") else cautions(self._summary)
        return validation.answer(findings_answer(page, warned))[0]

    def _store(self) -> None:
        if not self._path.exists():
            with stream_of(self._subject) as stream:
                self._summary = run(store_report, stream, self._path, "report")


def compare_files(
    before: str, after: str, change: Change, query: Query, find: Callable[[str], Any]
) -> dict[str, Any]:
    """A `CompareAnswer` for two reports of which at least one is a file; `find(subject)`
    opens a report's stream for the length of a with-block."""
    asked = checked(query)

    async def both(findings: FindingsReader) -> Any:
        comparison = await findings.compare("before", "after", asked)
        return compare_answer(comparison, await findings.changed("before", "after", change, asked))

    with TemporaryDirectory(prefix="nessus-sched-") as directory:
        path = Path(directory) / "findings.db"
        for name, subject in (("before", before), ("after", after)):
            with find(subject) as stream:
                summary = run(store_report, stream, path, name)
            nothing_read(subject, summary)
        return validation.answer(_asking(path, both))[0]


async def store_report(stream: BinaryIO, path: Path, name: str) -> dict[str, Any]:
    """Reads a report into a findings database under that name; its summary."""
    builder = SummaryBuilder()
    reader = Reader(stream)

    def events() -> Iterator[Event]:
        for event in reader:
            builder.add(event)
            yield event

    findings = await open_findings(path)
    try:
        await findings.put(name, events(), at=0.0, coverage=lambda: scan_coverage(reader.report))
    finally:
        await findings.aclose()
    return builder.finish(reader.report, ScanFacts())


def nothing_read(subject: str, summary: Mapping[str, Any]) -> None:
    """Raises `click.ClickException` when there is nothing in a report to go on with."""
    problem = nothing_in(summary)
    if problem is not None:
        raise click.ClickException(f"{subject}: {problem}")


def checked(query: Query) -> Any:
    """The query, read. Raises `click.UsageError` with all that is wrong with it."""
    try:
        return read_query(query)
    except BadQuery as error:
        raise click.UsageError(str(error)) from None


def _asking(path: Path, work: Callable[[FindingsReader], Awaitable[T]]) -> T:
    async def main() -> T:
        findings = await open_findings_offline(path)
        try:
            return await work(findings)
        finally:
            await findings.aclose()

    try:
        return trio.run(main)
    except BadQuery as error:
        raise click.UsageError(str(error)) from None


def all_rows(report: Report, query: Query) -> Iterator[dict[str, Any]]:
    """Every finding that matches, a page in memory at a time; the first is read at once."""
    wanted = {**query, "page_size": LARGEST_PAGE}
    return _following(report, wanted, report.page(wanted))


def _following(report: Report, query: Query, page: dict[str, Any]) -> Iterator[dict[str, Any]]:
    while True:
        yield from page["findings"]
        if page["next_cursor"] is None:
            return
        page = report.page({**query, "cursor": page["next_cursor"]})
