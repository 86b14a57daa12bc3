"""Reports for people, as a tool for models and an action of the command line."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import attrs

from nessus_sched.api.app import App, ReadApp
from nessus_sched.api.operations import Call, ToolDef, tool
from nessus_sched.api.reporting.make import Form, MadeReport, ReportKind, make, period_of
from nessus_sched.api.reporting.scope import Asked
from nessus_sched.core.fields import field
from nessus_sched.core.text import size
from nessus_sched.results.reports.period import Last

MEMORY: Final = 40 * 2**20
"""Bytes that a report takes, as findings and as text."""
WITHIN: Final = 300.0
"""Seconds in which it is made."""


@attrs.frozen(kw_only=True)
class ReportArgs:
    kind: ReportKind = field("Which report.")
    task_id: str | None = field("Hosts of this task.", default=None, max_length=64)
    before_task_id: str | None = field(
        "comparison: the earlier task; without it, changes since.", default=None, max_length=64
    )
    schedule: str | None = field("Of this schedule.", default=None, max_length=100)
    targets: list[str] = field("Of these networks.", factory=list, max_length=50)
    owner: str | None = field("With this label.", default=None, max_length=100)
    since: datetime | None = field("Default: 30 days ago.", default=None)
    last: Last | None = field("Instead of since.", default=None)


@attrs.frozen(kw_only=True)
class ReadReportArgs(ReportArgs):
    site: str | None = field("Of hosts at this site.", default=None, max_length=100)
    criticality: str | None = field("Of this criticality.", default=None, max_length=100)
    until: datetime | None = field("The end of the period.", default=None)
    form: Form = field("The format.", default=Form.HTML)


@attrs.frozen(kw_only=True)
class ReportAnswer:
    path: str = field("The HTML file on the daemon's machine.")
    size: str = field("Its size.")
    notes: list[str] = field("What is missing.")


@attrs.frozen(kw_only=True)
class ReadReportAnswer:
    title: str = field("What it is called.")
    name: str = field("A name for the file.")
    text: str = field("The file.")
    rows: int = field("Number of rows of the table.")
    notes: list[str] = field("What is missing.")


@tool(writes=True, idempotent=False, timeout=WITHIN, answer_memory=MEMORY)
async def create_report(app: App, call: Call, args: ReportArgs) -> ReportAnswer:
    """Write a report as an HTML file. management: one page on posture, trend and what to do first;
    team: what to fix on which hosts, until when; technical: all findings of task_id; comparison.
    Tell the user the path; to read findings yourself, use search_findings."""
    made = await _made(app, call, args)
    path = await app.keep_report(made.name, made.text)
    return ReportAnswer(path=path, size=size(len(made.text.encode())), notes=list(made.notes))


@tool(writes=False, open_world=True, timeout=WITHIN, answer_memory=MEMORY)
async def read_report(app: ReadApp, call: Call, args: ReadReportArgs) -> ReadReportAnswer:
    """A report for people, as the text of a file."""
    made = await _made(
        app, call, args, until=args.until, site=args.site, criticality=args.criticality,
        form=args.form,
    )  # fmt: skip
    return ReadReportAnswer(
        title=made.title, name=made.name, text=made.text, rows=made.rows, notes=list(made.notes)
    )


REPORT_TOOLS: tuple[ToolDef, ...] = (create_report,)
REPORT_ACTIONS: tuple[ToolDef, ...] = (read_report,)


async def _made(
    app: ReadApp,
    call: Call,
    args: ReportArgs,
    *,
    until: datetime | None = None,
    site: str | None = None,
    criticality: str | None = None,
    form: Form = Form.HTML,
) -> MadeReport:
    asked = Asked(
        task_id=args.task_id, before_task_id=args.before_task_id, schedule=args.schedule,
        targets=args.targets, owner=args.owner, site=site, criticality=criticality,
    )  # fmt: skip
    now = app.now()
    period = period_of(app, args.since, until, args.last, now)
    return await make(app, call, args.kind, asked, period, now, form)
