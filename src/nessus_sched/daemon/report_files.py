"""Findings of reports in files.

A report is read into a temporary findings database, so that the same filters, pages and
comparisons work without a daemon and without a configuration.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import trio

from nessus_sched.api import validation
from nessus_sched.api.admin_findings import compare_answer, findings_answer
from nessus_sched.config.schema import Config
from nessus_sched.daemon.storage.places import exports_of
from nessus_sched.results.comparison import Change
from nessus_sched.results.coverage import scan_coverage
from nessus_sched.results.merge import MergedReader, Source
from nessus_sched.results.parser.reader import Event
from nessus_sched.results.plausibility import ScanFacts
from nessus_sched.results.query.joining import arranged, identified
from nessus_sched.results.query.model import Query
from nessus_sched.results.query.page import Page
from nessus_sched.results.scan_warnings import cautions
from nessus_sched.results.summary import SummaryBuilder
from nessus_sched.store.exports import open_export
from nessus_sched.store.findings.reader import FindingsReader, open_findings_offline
from nessus_sched.store.findings.store import open_findings

T = TypeVar("T")


async def store_report(sources: Sequence[Source], path: Path, name: str) -> dict[str, Any]:
    """Reads the reports of one task, or one file, into the findings database at `path` under that
    name; their summary."""
    builder = SummaryBuilder()
    reader = MergedReader(sources)

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


def page_of(path: Path, name: str, query: Query, summary: dict[str, Any] | None) -> dict[str, Any]:
    """A `FindingsAnswer` for a report in the database at `path`; with `summary` it carries the
    report's warnings. Raises `BadQuery` for a cursor that does not fit."""
    page = _ask(path, lambda findings: findings.page(name, identified(query)))
    page = _without_ledger(page, query)
    return validation.answer(findings_answer(page, cautions(summary) if summary else ()))[0]


def compare(
    path: Path, before: str, after: str, change: Change, query: Query, known: Sequence[str] = ()
) -> dict[str, Any]:
    """A `CompareAnswer` for two reports in the database at `path`, with what is `known` about them.
    Raises `BadQuery`."""

    async def both(findings: FindingsReader) -> Any:
        comparison = await findings.compare(before, after, query)
        page = await findings.changed(before, after, change, identified(query))
        return compare_answer(comparison, _without_ledger(page, query), known)

    return validation.answer(_ask(path, both))[0]


def _without_ledger(page: Page, query: Query) -> Page:
    """The page with nulls for what a ledger would know and was asked for by name."""
    named = [name for name in query.joined if name not in query.optional]
    notes = [f"Only stored tasks have {', '.join(named)}, not files."] if named else []
    return arranged(page, query, [None] * len(page.rows), *notes)


def kept_reports(config: Config, task_id: str) -> dict[str, Source]:
    """The reports that the daemon keeps of a task and its parts, by name, one for each attempt.
    Raises `StoreError`, also when reading."""
    files = exports_of(config).files(task_id)
    return {file.stem: partial(open_export, file) for file in files}


def _ask(path: Path, work: Callable[[FindingsReader], Awaitable[T]]) -> T:
    async def main() -> T:
        findings = await open_findings_offline(path)
        try:
            return await work(findings)
        finally:
            await findings.aclose()

    return trio.run(main)
