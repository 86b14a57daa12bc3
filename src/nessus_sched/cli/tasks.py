"""`status`, `tasks`, and commands for single tasks: `pause`, `resume`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from nessus_sched.cli.client import DaemonApi, Refused, daemon, fetch_all
from nessus_sched.cli.completion import candidates
from nessus_sched.cli.daemon_or_store import daemon_or_store
from nessus_sched.cli.formatting import ago, counts, coverage_text, parse_time, when
from nessus_sched.cli.options import (
    daemon_option,
    json_option,
    one_of,
    task_argument,
    tasks_argument,
)
from nessus_sched.cli.output import print_fields, print_json, print_line, print_note, print_table
from nessus_sched.cli.task_ids import task_id_of
from nessus_sched.core.clock import system_now
from nessus_sched.core.states import Meant, TaskState
from nessus_sched.core.task import ScanKind
from nessus_sched.core.text import duration
from nessus_sched.results.audits import checks_text
from nessus_sched.results.logins.used import logins_text
from nessus_sched.results.model import UNKNOWN_SEVERITY

SERIOUS: Final = ("critical", "high", "medium", "low")
SERIOUS_COLUMN: Final = "C/H/M/L"


@click.command("status")
@task_argument
@daemon_option
@json_option
def status_command(task: str, config: Path | None, as_json: bool) -> None:
    """Show a task's status: progress, why it waits, errors, findings."""
    with daemon_or_store(config) as api:
        found = api.call("get_scan_status", task_id=task_id_of(api, task))
    if as_json:
        print_json(found)
    else:
        show_status(found)


@click.command("tasks")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=one_of(TaskState),
    help="Only this state; repeatable.",
)
@click.option("--unfinished", is_flag=True, help="Only unfinished tasks.")
@click.option("--scanner", shell_complete=candidates.scanner, help="Only tasks on this scanner.")
@click.option("--pool", shell_complete=candidates.pool, help="Only tasks of this pool.")
@click.option("--kind", type=one_of(ScanKind), help="Only tasks of this kind.")
@click.option("--target", help="Only tasks whose targets overlap this address or network.")
@click.option(
    "--part-of",
    metavar="TASK",
    shell_complete=candidates.any_task,
    help="The parts of a task that runs as several scans.",
)
@click.option("--mine", is_flag=True, help="Only your own tasks.")
@click.option("--submitter", help="Only tasks of this user: a name or a uid.")
@click.option("--text", default="", help="Only tasks with this text in the name or description.")
@click.option(
    "--since", type=parse_time, metavar="TIME", help="Created after: 2h, 7d or a timestamp."
)
@click.option("--until", type=parse_time, metavar="TIME", help="Created before; like --since.")
@click.option("--limit", "-n", default=20, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--cursor", help="Continue after a previous page (its next_cursor).")
@daemon_option
@json_option
def tasks_command(
    states: Sequence[str],
    unfinished: bool,
    scanner: str | None,
    pool: str | None,
    kind: str | None,
    target: str | None,
    part_of: str | None,
    mine: bool,
    submitter: str | None,
    text: str,
    since: str | None,
    until: str | None,
    limit: int,
    cursor: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """List tasks, newest first."""
    from nessus_sched.core.states import LIVE

    wanted = {
        "states": [*states, *(sorted(LIVE) if unfinished else ())] or None,
        "scanner_instance": scanner,
        "pool": pool,
        "kind": kind,
        "target": target,
        "submitter": str(os.getuid()) if mine else submitter,
        "text": text or None,
        "created_after": since,
        "created_before": until,
    }
    with daemon_or_store(config) as api:
        if part_of is not None:
            wanted["part_of"] = task_id_of(api, part_of)
        found = fetch_all(api, "list_tasks", "tasks", most=limit, cursor=cursor, **wanted)
    if as_json:
        print_json(found)
        return
    show_tasks(found["tasks"])
    if found["next_cursor"]:
        print_note(f"There are more: --limit, or --cursor {found['next_cursor']}.")


@click.command("pause")
@tasks_argument()
@daemon_option
@json_option
def pause_command(tasks: Sequence[str], config: Path | None, as_json: bool) -> None:
    """Pause tasks: a running scan keeps its slot until it is resumed or canceled, and a waiting
    task does not start."""
    _tell("pause_scan", tasks, config, as_json)


@click.command("resume")
@tasks_argument(candidates.paused_task)
@click.option(
    "--override",
    is_flag=True,
    help="Let running scans continue, whatever windows and blackouts say.",
)
@daemon_option
@json_option
def resume_command(
    tasks: Sequence[str], override: bool, config: Path | None, as_json: bool
) -> None:
    """Resume paused tasks."""
    if not override:
        _tell("resume_scan", tasks, config, as_json)
        return
    with daemon(config) as connection:
        tell_each(connection, partial(connection.operate, "override_windows"), tasks, as_json)


def _tell(tool: str, tasks: Sequence[str], config: Path | None, as_json: bool) -> None:
    with daemon(config) as connection:
        tell_each(connection, partial(connection.call, tool), tasks, as_json)


def tell_each(
    api: DaemonApi, tell: Callable[..., dict[str, Any]], tasks: Sequence[str], as_json: bool
) -> None:
    """Applies an action to every task, and continues after those that are refused or unknown."""
    answers: list[dict[str, Any]] = []
    refused = 0
    for task in dict.fromkeys(tasks):
        try:
            answers.append(tell(task_id=task_id_of(api, task, Meant.UNFINISHED)))
        except Refused as error:
            refused += 1
            print_note(f"Error: {error.message}")
    print_answers(answers, as_json)
    if refused:
        sys.exit(1)


def print_answers(answers: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Each task with its state after an action."""
    if as_json:
        print_json({"tasks": answers})
    else:
        for answer in answers:
            print_line(f"{answer['task_id']}  {state_of(answer)}")


def state_of(task: Mapping[str, Any]) -> str:
    """The state, and the one it is changing to."""
    change = {"cancel": "canceling", "pause": "pausing", "run": "resuming"}[task["desired"]]
    under_way = (
        (task["desired"] == "cancel" and task["status"] != "canceled" and not task["settled"])
        or (task["desired"] == "pause" and task["status"] in {"launching", "running"})
        or (task["desired"] == "run" and task["status"] == "paused")
    )
    return f"{task['status']}, {change}" if under_way else str(task["status"])


def show_status(task: Mapping[str, Any]) -> None:
    now = system_now()
    wait, error = task["wait"] or {}, task["error"] or {}
    progress = task["progress_percent"]
    print_fields(
        [
            ("task", task["task_id"]),
            ("name", task["name"]),
            ("state", state_of(task)),
            ("progress", None if progress is None else f"{progress} %"),
            ("parts", _parts(task)),
            ("part of", task["part_of"]),
            ("waits for", wait.get("wait_reason")),
            ("queue", _place(wait)),
            ("starts in", _estimate(wait)),
            ("error", f"{error['message']} ({error['code']})" if error else None),
            ("next attempt", when(task["retry_at"], now)),
            ("deadline", when(task["deadline"], now)),
            ("try again", _retry(task)),
            ("kind", task["kind"]),
            ("targets", _targets(task)),
            ("credential", ", ".join(task["credentials"]) or None),
            ("scanner", _scanner(task)),
            ("attempts", task["attempt"] or None),
            ("rescan of", task["rescan_of"]),
            ("schedule", task["schedule"]),
            ("priority", task["priority"]),
            ("submitted", when(task["created_at"], now)),
            ("by", task["submitted_by"]),
            *((f"  {state}", when(at, now)) for state, at in task["entered"].items()),
            *_asked(task.get("asked") or {}),
            ("coverage", coverage_text(task["coverage"])),
            ("partial", task["partial"]),
            *(("owed", each) for each in task["owed"]),
            ("findings", counts(task["severity_counts"]) if task["severity_counts"] else None),
            ("compliance", checks_text(task.get("compliance_counts"))),
            *_validation(task["validation"] or {}),
            ("trace", task["trace_id"]),
        ]
    )


def _parts(task: Mapping[str, Any]) -> str | None:
    """How many parts are in each state."""
    parts = task["parts"]
    if parts is None:
        return None
    return ", ".join(f"{count} {state}" for state, count in parts.items()) or "none yet"


def _retry(task: Mapping[str, Any]) -> str | None:
    return f"nessus-sched dlq retry {task['task_id']}" if task["status"] == "dead" else None


def _place(wait: Mapping[str, Any]) -> str | None:
    if not wait:
        return None
    return f"number {wait['queue_position']} of {wait['queue']}"


def _estimate(wait: Mapping[str, Any]) -> str | None:
    if wait.get("estimated_wait_seconds") is None:
        return None
    low, high = duration(wait["estimated_wait_low"]), duration(wait["estimated_wait_high"])
    return f"{duration(wait['estimated_wait_seconds'])} (likely {low} to {high})"


def _targets(task: Mapping[str, Any]) -> str:
    more, count = task["targets_left_out"], task["target_count"]
    shown = " ".join(task["targets"]) + (f" and {more} more" if more else "")
    return f"{shown} ({count} in all)" if count > len(task["targets"]) else shown


def _scanner(task: Mapping[str, Any]) -> str | None:
    if task["scanner_instance"] is None:
        return None
    scan = f", scan {task['nessus_scan_id']}" if task["nessus_scan_id"] is not None else ""
    return f"{task['scanner_instance']} ({task['scanner_url'] or 'not configured now'}{scan})"


def _asked(asked: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The settings that were requested for the scan."""
    scanners = asked.get("port_scanners")
    said = [
        asked.get("template") or (f"policy {asked['policy']}" if asked.get("policy") else None),
        asked.get("discovery_mode"),
        None if asked.get("ping") is None else "ping" if asked["ping"] else "no ping",
        f"ports {asked['port_range']}" if asked.get("port_range") else None,
        None if scanners is None else f"port scanners: {', '.join(scanners) or 'none'}",
    ]
    notes = [("note", each) for each in asked.get("notes", ())]
    return [("asked for", "; ".join(filter(None, said)) or None), *notes]


def _validation(found: Mapping[str, Any]) -> list[tuple[str, Any]]:
    if not found:
        return []
    verdict = found.get("verdict") or {}
    said = [("hosts", found.get("hosts")), ("logged in", verdict.get("credentialed"))]
    said.append(("logins", logins_text(verdict)))
    said += [
        ("warning", f"{each['message']} {each['advice']}") for each in found.get("warnings", ())
    ]
    return said


def show_tasks(rows: Sequence[Mapping[str, Any]]) -> None:
    now = system_now()
    print_table(
        ("task", "state", "scanner", "age", SERIOUS_COLUMN, "name", "targets"),
        [
            (
                row["task_id"],
                _state(row),
                row["scanner_instance"],
                ago(row["created_at"], now).removesuffix(" ago"),
                severity_cell(row["severity_counts"]),
                row["name"],
                row["targets"],
            )
            for row in rows
        ],
        nothing="no such tasks",
    )


def _state(row: Mapping[str, Any]) -> str:
    """The state, with the queue position or progress if there is one."""
    if row["status"] == "queued" and row["queue_position"]:
        return f"queued #{row['queue_position']}"
    if row["status"] == "running" and row["progress_percent"] is not None:
        return f"running {row['progress_percent']} %"
    return str(row["status"])


def severity_cell(by_severity: Mapping[str, int] | None) -> str | None:
    """Counts of critical, high, medium and low findings, and of unknown ones if there are any, in
    a narrow column."""
    if by_severity is None:
        return None
    unknown = by_severity.get(UNKNOWN_SEVERITY, 0)
    known = "/".join(str(by_severity.get(name, 0)) for name in SERIOUS)
    return f"{known} +{unknown}?" if unknown else known
