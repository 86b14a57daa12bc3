"""`nessus-sched results`: what scans found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from nessus_sched.cli.completion import candidates
from nessus_sched.cli.options import daemon_option, json_option, one_of
from nessus_sched.cli.output import print_json, print_note
from nessus_sched.core.text import pluralize

F = TypeVar("F", bound=Callable[..., Any])

FILTER_HELP = """\
A filter is a field, an operator and a value: 'severity>=high', 'cve contains 2021-44228',
'exploit_available=true', 'cvss_score>7', 'plugin_family in Windows, Debian', 'solution is
absent'. Filters work on all fields, shown or not; --profile full shows all of them."""


@click.group("results")
def results_group() -> None:
    """Show, compare and export what scans found.

    FILE|TASK is a task, or any .nessus file (- for stdin), which needs neither a daemon nor
    a configuration.
    """


subject_argument = click.argument(
    "subject", metavar="FILE|TASK", shell_complete=candidates.file_or_task
)


def query_options(command: F) -> F:
    """Options that select findings."""
    for option in (
        click.option(
            "--sort", multiple=True, metavar="FIELD", help="Sort by a field; -FIELD: descending."
        ),
        click.option("--any", "any_of", is_flag=True, help="Match any filter instead of all."),
        click.option(
            "--filter", "-f", "filters", multiple=True, metavar="FILTER",
            help="Only matching findings; repeatable.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def shown_options(command: F) -> F:
    """Options that select which fields and how many findings are shown."""
    for option in (
        click.option("--cursor", help="Continue after a previous page (its next_cursor)."),
        click.option(
            "--page-size", "-n", default=50, show_default=True, type=click.IntRange(1, 1000)
        ),
        click.option("--all", "everything", is_flag=True, help="Show all pages."),
        click.option("--fields", metavar="A,B,C", help="Show these fields."),
        click.option(
            "--profile", type=click.Choice(["minimal", "summary", "brief", "full"]),
            help="A set of fields to show. Default with --json: brief.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def query_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """The query that the options describe, without keys that were not given."""
    fields = options.get("fields")
    query = {
        "profile": options.get("profile"),
        "fields": [name.strip() for name in fields.split(",")] if fields else None,
        "filters": list(options["filters"]) or None,
        "match": "any" if options["any_of"] else None,
        "sort": list(options["sort"]) or None,
        "page_size": options.get("page_size"),
        "cursor": options.get("cursor"),
        "group_by": options.get("group_by"),
    }
    return {name: value for name, value in query.items() if value is not None}


def shown_query(
    options: Mapping[str, Any], as_json: bool, *, in_ledger: bool = True
) -> dict[str, Any]:
    """The query for display: a table gets fields that fit, unless others were asked for."""
    from nessus_sched.cli.results.text import TABLE_FIELDS, TABLE_OF_TASKS

    query = query_of(options)
    if not as_json and not ({"profile", "fields", "group_by"} & query.keys()):
        query["fields"] = list(TABLE_OF_TASKS if in_ledger else TABLE_FIELDS)
    return query


def pages(
    ask: Callable[[dict[str, Any]], dict[str, Any]], query: dict[str, Any], everything: bool
) -> dict[str, Any]:
    """One page or, with `everything`, that page and all following ones combined."""
    page = ask(query)
    while everything and page["next_cursor"]:
        further = ask({**query, "cursor": page["next_cursor"]})
        page = {**further, "findings": page["findings"] + further["findings"]}
    return page


@results_group.command("summary", short_help="Print counts, worst findings, logins and warnings.")
@subject_argument
@daemon_option
@json_option
def summary_command(subject: str, config: Path | None, as_json: bool) -> None:
    """Print a summary: counts, worst findings and hosts, logins, warnings, problems.

    Damaged reports are read as far as possible, and the summary says what was lost. Exit code 1
    only if nothing could be read.
    """
    from nessus_sched.cli.results.reports import fail_if_empty, open_report
    from nessus_sched.cli.results.text import show_summary

    with open_report(subject, config) as report:
        summary = report.summary()
    if as_json:
        print_json(summary)
    fail_if_empty(subject, summary)
    if not as_json:
        show_summary(report.title, summary)


@results_group.command("show", epilog=FILTER_HELP)
@subject_argument
@query_options
@shown_options
@click.option(
    "--group-by", type=one_of(["plugin", "host", "solution"]),
    help="Count findings per plugin, host or solution; host also shows logins.",
)  # fmt: skip
@daemon_option
@json_option
def show_command(
    subject: str, config: Path | None, as_json: bool, everything: bool, **options: Any
) -> None:
    """List findings, worst first."""
    from nessus_sched.cli.results.reports import fail_if_empty, open_report
    from nessus_sched.cli.results.text import (
        cleaned,
        show_findings,
        show_problems,
    )

    with open_report(subject, config) as report:
        query = shown_query(options, as_json, in_ledger=report.in_ledger)
        page = pages(report.page, query, everything)
        summary = report.summary()
    page["findings"] = [cleaned(row) for row in page["findings"]]
    if as_json:
        print_json({**page, "problems": summary["problems"], "complete": summary["complete"]})
    fail_if_empty(subject, summary)
    if not as_json:
        show_findings(page, query)
        show_problems(summary)


@results_group.command(
    "search", epilog=FILTER_HELP, short_help="Search the stored findings of all tasks."
)
@click.option("--history", is_flag=True, help="Search every scan, not the current state.")
@query_options
@shown_options
@daemon_option
@json_option
def search_command(
    history: bool, config: Path | None, as_json: bool, everything: bool, **options: Any
) -> None:
    """Search the stored findings of all tasks, with everything that their reports say.

    Each finding is listed once, as last seen, unless a later scan proves it fixed. For what is
    open now, since when, and with which exception, `nessus-sched findings` is faster, and also
    knows findings of tasks that were deleted.
    """
    from nessus_sched.cli.daemon_or_store import daemon_or_store
    from nessus_sched.cli.results.reports import parse_query
    from nessus_sched.cli.results.text import cleaned, show_findings

    query = shown_query(options, as_json)
    parse_query(query)
    with daemon_or_store(config) as api:
        page = pages(
            lambda wanted: api.operate("search_all", history=history, **wanted),
            query,
            everything,
        )
    page["findings"] = [cleaned(row) for row in page["findings"]]
    print_json(page) if as_json else show_findings(page, query)


@results_group.command(
    "compare", epilog=FILTER_HELP, short_help="What changed between two reports."
)
@click.argument("before", metavar="BEFORE", shell_complete=candidates.file_or_task)
@click.argument("after", metavar="AFTER", shell_complete=candidates.file_or_task)
@click.option(
    "--change",
    type=one_of(
        ["new", "not_checked_before", "fixed", "not_checked", "changed", "persisting"]
    ),
    default="new", show_default=True, help="Which findings to list.",
)  # fmt: skip
@query_options
@shown_options
@daemon_option
@json_option
def compare_command(
    before: str,
    after: str,
    change: str,
    config: Path | None,
    as_json: bool,
    everything: bool,
    **options: Any,
) -> None:
    """Show what changed from one report to a later one; each is a FILE or a TASK.

    A finding counts as fixed only if the later scan would have shown it; otherwise it is
    not checked, with the reason. A different severity or compliance result is a change.
    """
    from nessus_sched.cli.results.compare import compare
    from nessus_sched.cli.results.files import is_file
    from nessus_sched.cli.results.text import cleaned, show_comparison

    in_ledger = not (is_file(before) or is_file(after))
    query = shown_query(options, as_json, in_ledger=in_ledger)
    if everything:
        query["page_size"] = 1000
    found = compare(before, after, change, query, config)
    while everything and found["page"]["next_cursor"]:
        rows = found["page"]["findings"]
        further = {**query, "cursor": found["page"]["next_cursor"]}
        found = compare(before, after, change, further, config)
        found["page"]["findings"] = rows + found["page"]["findings"]
    found["page"]["findings"] = [cleaned(row) for row in found["page"]["findings"]]
    print_json(found) if as_json else show_comparison(found, change, query)


@results_group.command(
    "export", epilog=FILTER_HELP, short_help="Write findings as CSV, JSON lines or HTML."
)
@subject_argument
@click.option(
    "--format", "form", type=click.Choice(["csv", "jsonl", "html", "nessus"]), default="csv",
    show_default=True, help="csv is safe to open in a spreadsheet; html needs no network; nessus "
    "is what the scanner wrote.",
)  # fmt: skip
@click.option("--fields", metavar="A,B,C", help="csv, jsonl: these fields.")
@click.option(
    "--coverage", is_flag=True,
    help="jsonl: end with a line {\"coverage\": ...} for each target. html always has them.",
)  # fmt: skip
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE",
    help="Write to this file, readable only by you. Default, and '-': stdout.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@query_options
@daemon_option
def export_command(
    subject: str,
    form: str,
    fields: str | None,
    coverage: bool,
    output: Path | None,
    force: bool,
    config: Path | None,
    **options: Any,
) -> None:
    """Write findings as CSV, JSON lines or HTML, or copy a task's original report.

    --format nessus copies the complete report as it came from the scanner. A task that ran in parts
    or several attempts has several: FILE is then a directory.

    The file appears only once it is complete. Exit code 1 if the report is incomplete: what
    could be read is exported, but never over an existing file.
    """
    from nessus_sched.cli.output_file import check_writable
    from nessus_sched.cli.reporting.local import settings_of
    from nessus_sched.cli.results import export, originals
    from nessus_sched.cli.results.reports import fail_if_empty, open_report

    if coverage and form != "jsonl":
        raise click.UsageError("--coverage goes with --format jsonl; see `nessus-sched coverage`")
    if form == "nessus":
        if fields or query_of(options):
            raise click.UsageError("--format nessus copies whole reports: no fields, no filters")
        originals.export_originals(
            subject, config, None if output == Path("-") else output, force=force
        )
        return
    columns = [name.strip() for name in fields.split(",")] if fields else None
    if output == Path("-"):
        output = None
    if output is not None:
        check_writable(output, force=force)
    with open_report(subject, config) as report:
        reports = settings_of(config) if form == "html" else None
        text = export.export_text(
            report, form, columns, query_of(options), coverage=coverage, reports=reports
        )
        summary = report.summary()
        fail_if_empty(subject, summary)
        export.check_complete(subject, summary, output)
        written = export.write(text, output, force=force)
    if written is not None:
        print_note(f"{output}: {pluralize(written, 'character')}")
    export.report_incomplete(subject, summary)


@results_group.command("import", short_help="Store a .nessus file as a completed task.")
@click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
)
@click.option("--name", default="", help="Name of the task. Default: the file's name.")
@daemon_option
@json_option
def import_command(file: Path, name: str, config: Path | None, as_json: bool) -> None:
    """Store a .nessus file as a completed task, so that show, compare and search find it.

    A running daemon receives the content; without one it is written to the state directory.
    FILE may be gzipped; - is stdin. The other commands read files without importing them. Exit
    code 1 if nothing could be read.
    """
    from nessus_sched.cli.results.import_report import import_report
    from nessus_sched.cli.results.text import show_problems

    answer = import_report(file, name or ("stdin" if str(file) == "-" else file.name), config)
    if as_json:
        print_json(answer)
        return
    show_problems(answer)
    found, hosts = pluralize(answer["findings"], "finding"), pluralize(answer["hosts"], "host")
    click.echo(f"{answer['task_id']}  {found} on {hosts}")
    for note in answer["notes"]:
        print_note(note)
