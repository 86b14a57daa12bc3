"""`nessus-sched schema`: JSON Schemas of each command's `--json` output.

Most commands print the answer of the tool of the same name, so its published schema is the one
source; this module has the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import click

from nessus_sched.api.admin_findings import FindingsAnswer
from nessus_sched.api.answers import StatusAnswer
from nessus_sched.api.exceptions.admin import PutAnswer
from nessus_sched.api.exceptions.answers import ExceptionAnswer
from nessus_sched.api.scanner_check import Step
from nessus_sched.api.schedules.answers import ScheduleAnswer
from nessus_sched.api.schema import output_schema
from nessus_sched.api.tools import OPERATORS, TOOLS
from nessus_sched.cli.demo.story.told import StoryTold
from nessus_sched.cli.output import print_json
from nessus_sched.core.fields import field


@attrs.frozen(kw_only=True)
class Statuses:
    tasks: list[StatusAnswer] = field("Those that succeeded.")


@attrs.frozen(kw_only=True)
class ProblemShape:
    file: str = field("The file.")
    line: int = field("From 1; 0 when there is none to point at.")
    column: int = field("From 1; 0 when there is none to point at.")
    message: str = field("What is wrong.")
    hint: str = field("How to fix it.")


@attrs.frozen(kw_only=True)
class Checked:
    file: str = field("The file.")
    ok: bool = field("It can be used.")
    problems: list[ProblemShape] = field("Every mistake.")
    warnings: list[str] = field("What is valid but unwise.")


@attrs.frozen(kw_only=True)
class Verified:
    ok: bool = field("Nothing is wrong.")
    rows: int = field("Rows of the journal.")
    tasks: int = field("Tasks.")
    head: str = field("Store it elsewhere, for --expect.")
    problems: list[str] = field("What does not match.")


@attrs.frozen(kw_only=True)
class EvidenceWritten:
    file: str = field("The pack.")
    since: str = field("The beginning of the period.")
    until: str = field("Its end, not included.")
    rows: dict[str, int] = field("Rows of each file in it.")
    checks: dict[str, int] = field("How many rows of each file of findings are compliance checks.")
    head: str = field("Head of the journal at the end of the period.")
    missing: list[str] = field("What retention has deleted, and such.")


@attrs.frozen(kw_only=True)
class EvidenceChecked:
    ok: bool = field("Whether everything matches.")
    problems: list[str] = field("What does not match.")
    notes: list[str] = field("What could not be checked.")
    sha256: str | None = field("SHA-256 of the file; null for a directory.")
    head: str | None = field("Head of the journal, for `journal verify --expect`.")


@attrs.frozen(kw_only=True)
class BackedUp:
    file: str = field("The copy of tasks and journal.")
    bytes: int = field("Its size.")
    ledger_file: str | None = field("The copy of the ledger.")
    ledger_bytes: int | None = field("Its size.")


@attrs.frozen(kw_only=True)
class Copied:
    tasks: int = field("Tasks in the copy.")
    rows: int = field("Its journal rows.")
    head: str = field("The head of its journal, for `journal verify --expect`.")


@attrs.frozen(kw_only=True)
class ReportProblem:
    kind: str = field("Stable code.")
    message: str = field("What is wrong.")
    line: int = field("From 1.")
    column: int = field("From 0.")
    saved: str | None = field("What could be recovered; null if nothing was lost.")


@attrs.frozen(kw_only=True)
class Shown(FindingsAnswer):
    problems: list[ReportProblem] = field("Problems of the document.")
    complete: bool = field("The document was complete.")


@attrs.frozen(kw_only=True)
class Summary:
    """Besides these: compliance (the old name of compliance_counts), host_verdicts_left_out,
    left_out, problem_counts, known_exploited, exploitable, top_hosts, families, scan."""

    hosts: int = field("Hosts in the report.")
    findings: int = field("Everything in the report, compliance checks included.")
    severity_counts: dict[str, int] = field("Findings by severity, worst first; no checks.")
    compliance_counts: dict[str, int] = field("Compliance checks by result.")
    verdict: dict[str, Any] = field("credentialed, counts and more: did the logins work?")
    host_verdicts: list[dict[str, Any]] = field("The same by host, most urgent first.")
    problems: list[ReportProblem] = field("Problems of the document.")
    warnings: list[dict[str, Any]] = field("code, message, advice: why it may be incomplete.")
    complete: bool = field("The document was complete.")
    top_findings: list[dict[str, Any]] = field("The worst plugins.")


@attrs.frozen(kw_only=True)
class Imported:
    task_id: str = field("The task it is now.")
    name: str = field("What it is called.")
    hosts: int = field("Hosts in the report.")
    findings: int = field("Everything in the report, compliance checks included.")
    severity_counts: dict[str, int] = field("Findings by severity, worst first; no checks.")
    compliance_counts: dict[str, int] = field("Compliance checks by result.")
    complete: bool = field("The document was complete.")
    problems: list[ReportProblem] = field("Problems of the document.")
    notes: list[str] = field("Why it does not count everywhere.")


@attrs.frozen(kw_only=True)
class NextFiring:
    at: str = field("ISO 8601, in the schedule's time zone.")
    name: str = field("The schedule.")


@attrs.frozen(kw_only=True)
class NextFirings:
    firings: list[NextFiring] = field("In the order of time.")


@attrs.frozen(kw_only=True)
class ChangedSchedules:
    schedules: list[ScheduleAnswer] = field("As they are now.")


@attrs.frozen(kw_only=True)
class AppliedSchedule:
    name: str = field("The schedule.")
    change: str = field("created, redefined, unchanged, removed, or what would be done.")


@attrs.frozen(kw_only=True)
class AppliedSchedules:
    schedules: list[AppliedSchedule] = field("In the order of the file, then those removed.")


@attrs.frozen(kw_only=True)
class DecidedExceptions:
    exceptions: list[ExceptionAnswer] = field("As they are now.")


@attrs.frozen(kw_only=True)
class AppliedExceptions:
    exceptions: list[PutAnswer] = field("In the order of the file.")


@attrs.frozen(kw_only=True)
class Diagnosis:
    ok: bool = field("Nothing failed; there may be warnings.")
    steps: list[Step] = field("What was checked.")


def answer_of(name: str) -> type:
    """The schema of a tool's or operator action's answer."""
    tool = TOOLS.get(name) or OPERATORS.get(name)
    assert tool is not None, name
    return tool.answer


OUTPUTS: Final[Mapping[str, type]] = {
    "config check": Checked,
    "doctor": Diagnosis,
    "submit": answer_of("submit_scan"),
    "submit --wait": StatusAnswer,
    "plan": answer_of("get_plan"),
    "schedules add": answer_of("create_schedule"),
    "schedules list": answer_of("list_schedules"),
    "schedules show": ScheduleAnswer,
    "schedules next": NextFirings,
    **dict.fromkeys(
        (f"schedules {word}" for word in ("pause", "resume", "run", "skip", "remove")),
        ChangedSchedules,
    ),
    "schedules apply": AppliedSchedules,
    "exceptions propose": PutAnswer,
    "exceptions list": answer_of("list_exceptions"),
    "exceptions show": ExceptionAnswer,
    **dict.fromkeys(
        (f"exceptions {word}" for word in ("approve", "reject", "revoke", "extend")),
        DecidedExceptions,
    ),
    "exceptions apply": AppliedExceptions,
    "rescan": answer_of("rescan"),
    "rescan --wait": StatusAnswer,
    "verify": answer_of("verify_fix"),
    "status": StatusAnswer,
    "tasks": answer_of("list_tasks"),
    "watch": Statuses,
    "cancel": Statuses,
    "pause": Statuses,
    "resume": Statuses,
    "coverage": answer_of("read_coverage"),
    "findings": answer_of("search_now"),
    "hosts": answer_of("read_host"),
    "changes": answer_of("read_changes"),
    "results summary": Summary,
    "results show": Shown,
    "results search": answer_of("search_all"),
    "results compare": answer_of("compare_findings"),
    "results import": Imported,
    "queue": answer_of("get_queue_status"),
    "scanners list": answer_of("list_scanners"),
    "scanners drain": answer_of("switch_scanner"),
    "scanners undrain": answer_of("switch_scanner"),
    "scanners enable": answer_of("switch_scanner"),
    "scanners disable": answer_of("switch_scanner"),
    "scanners retry": answer_of("switch_scanner"),
    "scanners templates": answer_of("list_scan_templates"),
    "credentials": answer_of("list_credentials"),
    "credentials list": answer_of("list_credentials"),
    "credentials test": Diagnosis,
    "scanners test": answer_of("test_scanner"),
    "scanners certify": answer_of("certify_scanner"),
    "dlq list": answer_of("list_dead_letters"),
    "dlq show": answer_of("show_journal"),
    "dlq retry": Statuses,
    "dlq purge": answer_of("purge_dead_letters"),
    "pause-all": answer_of("pause_all"),
    "resume-all": answer_of("resume_all"),
    "reload": answer_of("reload"),
    "log-level": answer_of("set_log_level"),
    "housekeeping": answer_of("housekeeping"),
    "ledger rebuild": answer_of("rebuild_ledger"),
    "journal show": answer_of("show_journal"),
    "outbox list": answer_of("list_messages"),
    "outbox retry": answer_of("retry_messages"),
    "outbox drop": answer_of("drop_messages"),
    "routes list": answer_of("list_routes"),
    "routes test": answer_of("test_route"),
    "routes preview": answer_of("preview_route"),
    "journal verify": Verified,
    "report evidence": EvidenceWritten,
    "report verify": EvidenceChecked,
    "backup": BackedUp,
    "store copy": Copied,
    "demo": StoryTold,
}
"""The schema of each command's `--json` output. `config show` prints the keys of the configuration
reference; `demo --quick` is mainly for people."""
OPEN: Final = frozenset({"results summary"})
"""An object with at least these keys."""


def schema_of(command: str) -> dict[str, Any]:
    """The JSON Schema of a command's output."""
    schema = output_schema(OUTPUTS[command])
    return {**schema, "additionalProperties": True} if command in OPEN else schema


@click.command("schema")
@click.argument("command", nargs=-1)
def schema_command(command: tuple[str, ...]) -> None:
    """Print the JSON Schema of COMMAND's --json output; without COMMAND, of all commands.

    Keys may be added, but never change their meaning within a major version.
    """
    name = " ".join(command)
    if name and name not in OUTPUTS:
        raise click.UsageError(f"no JSON output of {name!r}; there are: {', '.join(OUTPUTS)}")
    print_json(schema_of(name) if name else {each: schema_of(each) for each in OUTPUTS})
