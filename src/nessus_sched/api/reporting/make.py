"""Makes a report: for a command, a tool, or a route that sends it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, Final

import attrs
import trio

from nessus_sched.api.app import ReadApp
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.outcomes.ledger import behind
from nessus_sched.api.reporting import comparison, management, team, technical
from nessus_sched.api.reporting.open_findings import Finder
from nessus_sched.api.reporting.scope import Asked, scope_of
from nessus_sched.results.reports import rendering, tables
from nessus_sched.results.reports.period import Last, Period, last, usual


class ReportKind(StrEnum):
    MANAGEMENT = "management"
    """One page: the current state, the trend, and what to do first."""
    TEAM = "team"
    """What to do on which hosts, until when."""
    TECHNICAL = "technical"
    """All findings of one task."""
    COMPARISON = "comparison"
    """What changed between two tasks, or since a time."""


class Form(StrEnum):
    HTML = "html"
    CSV = "csv"
    JSONL = "jsonl"


TITLES: Final[Mapping[ReportKind, str]] = {
    ReportKind.MANAGEMENT: "Vulnerability report",
    ReportKind.TEAM: "What to fix",
    ReportKind.TECHNICAL: "Scan report",
    ReportKind.COMPARISON: "What changed",
}
_OF_WHAT_IS_OPEN: Final = frozenset({ReportKind.MANAGEMENT, ReportKind.TEAM})
Gather = Callable[[Finder, Period, Asked], Awaitable[dict[str, Any]]]
_GATHER: Final[Mapping[ReportKind, Gather]] = {
    ReportKind.MANAGEMENT: management.gather,
    ReportKind.TEAM: team.gather,
    ReportKind.TECHNICAL: technical.gather,
    ReportKind.COMPARISON: comparison.gather,
}


@attrs.frozen(kw_only=True)
class MadeReport:
    """`text` is the file, `name` a name for it, `rows` the number of its rows, and `notes` what is
    missing from it."""

    title: str
    name: str
    text: str
    rows: int
    notes: Sequence[str]


async def make(
    app: ReadApp,
    call: Call,
    kind: ReportKind,
    asked: Asked,
    period: Period,
    now: float,
    form: Form = Form.HTML,
) -> MadeReport:
    """A report on behalf of a caller, made at `now` (epoch seconds). Raises `ToolError`."""
    scope = await scope_of(app, call, asked)
    finder = Finder(app=app, call=call, scope=scope, now=now)
    if kind in _OF_WHAT_IS_OPEN:
        finder = await finder.counted()
    found = await _GATHER[kind](finder, period, asked)
    # Before texts are escaped, and before a file is written that no answer's mask would see.
    found = app.mask.masked(found)
    rows = found.pop("rows")
    notes = [*behind(app), *found.pop("notes", ())]
    reports = app.config.reports
    document = {
        **rendering.head(
            kind, TITLES[kind], scope=scope.text, period=found.pop("period", period.text),
            made=period.minute(now), organization=reports.organization, notes=notes,
        ),
        **found,
    }  # fmt: skip
    write = {
        Form.HTML: partial(rendering.page, kind.value, document, reports.templates),
        Form.CSV: partial(tables.csv_text, rows),
        Form.JSONL: partial(tables.jsonl_text, rows),
    }[form]
    try:
        text = await trio.to_thread.run_sync(lambda: "".join(write()))
    except rendering.BadTemplate as error:
        raise ToolError(
            "bad_template", str(error), "'nessus-sched config check' finds such mistakes."
        ) from error
    return MadeReport(
        title=document["title"], name=f"{kind}-{period.day(now)}.{form}", text=text,
        rows=len(rows), notes=notes,
    )  # fmt: skip


def period_of(
    app: ReadApp, since: datetime | None, until: datetime | None, which: Last | None, now: float
) -> Period:
    """The period that arguments describe. Raises `ToolError`."""
    zone = app.config.calendar.time_zone
    if which is not None:
        if since is not None or until is not None:
            raise ToolError("bad_arguments", "give since and until, or last, not both")
        return last(which, now, zone)
    end = now if until is None else min(until.timestamp(), now)
    begin = usual(end, zone).since if since is None else since.timestamp()
    if begin < 0:
        raise ToolError("bad_arguments", "since: a period cannot begin before 1970")
    if begin >= end:
        raise ToolError("bad_arguments", "since: must be before until, and in the past")
    return Period(since=begin, until=end, zone=zone)
