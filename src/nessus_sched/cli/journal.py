"""The journal, and backups of the store that holds it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from nessus_sched.cli.daemon_or_store import daemon_or_store
from nessus_sched.cli.formatting import when
from nessus_sched.cli.load_config import load_config_or_exit
from nessus_sched.cli.options import config_option, daemon_option, json_option, task_argument
from nessus_sched.cli.output import print_json, print_line, print_note, print_table
from nessus_sched.cli.output_file import check_writable
from nessus_sched.cli.task_ids import task_id_of
from nessus_sched.core.clock import system_now
from nessus_sched.core.outcome import OUTCOME
from nessus_sched.core.text import pluralize, size

_LONG: Final = frozenset({"trace_id", OUTCOME})
_STORE: Final = re.compile(r"(tasks|findings|ledger)\.db(-wal|-shm)?")


@click.group("journal")
def journal_group() -> None:
    """Show and verify the hash-chained journal of all tasks."""


@journal_group.command("show")
@task_argument
@daemon_option
@json_option
def show_command(task: str, config: Path | None, as_json: bool) -> None:
    """Show a task's history, oldest first."""
    with daemon_or_store(config) as api:
        found = api.operate("show_journal", task_id=task_id_of(api, task))
    if as_json:
        print_json(found)
        return
    print_line(f"{found['task']['task_id']}  {found['task']['status']}  {found['task']['name']}")
    show_entries(found["entries"], found["task"]["task_id"])
    if found["task"]["parts"]:
        task_id = found["task"]["task_id"]
        print_note(
            "Of its parts, only unusual events are shown; each part has its own journal: "
            f"nessus-sched journal show {task_id}-1"
        )


def show_entries(entries: Sequence[Mapping[str, Any]], task_id: str) -> None:
    """The entries of a task and of its parts."""
    now = system_now()
    rows = [
        (
            entry["seq"],
            when(entry["at"], now),
            _event(entry, task_id),
            entry["after"],
            entry["actor"],
            "; ".join(filter(None, (entry["cause"], _detail(entry["detail"])))),
        )
        for entry in entries
    ]
    print_table(("row", "time", "event", "state", "by", "why"), rows)


def _event(entry: Mapping[str, Any], task_id: str) -> str:
    event, of = str(entry["event"]), str(entry["task_id"])
    return event if of == task_id else f"part {of.removeprefix(task_id + '-')}: {event}"


def _detail(detail: Mapping[str, Any]) -> str:
    """What a line has room for; evidence packs and --json have the rest."""
    return ", ".join(f"{name} {value}" for name, value in detail.items() if name not in _LONG)


@journal_group.command("verify")
@click.option("--expect", metavar="HEAD", help="Head printed by an earlier verify.")
@config_option
@json_option
def verify_command(expect: str | None, config: Path, as_json: bool) -> None:
    """Check the journal's hash chain, and every task against it.

    Reads the state directory, also while a daemon is running. Anyone who can write there could
    forge a new chain: store the head that this prints elsewhere, and pass it to --expect next
    time. Exit code 1 if anything does not match.
    """
    from nessus_sched.daemon.journal import parse_head, verify_journal

    try:
        head = None if expect is None else parse_head(expect)
    except ValueError:
        raise click.UsageError("--expect takes a head such as 12:ab...") from None
    settings = load_config_or_exit(config)
    with _store_errors(settings.state_directory):
        report = verify_journal(settings, head)
    if as_json:
        print_json(
            {
                "ok": report.ok,
                "rows": report.rows,
                "tasks": report.tasks,
                "head": report.head.text,
                "problems": list(report.problems),
            }
        )
    else:
        for problem in report.problems:
            print_note(problem)
        verdict = "ok" if report.ok else pluralize(len(report.problems), "problem")
        print_line(f"{verdict}: {pluralize(report.rows, 'row')}, {pluralize(report.tasks, 'task')}")
        print_line(f"head {report.head.text}")
    if not report.ok:
        sys.exit(1)


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--ledger",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also copy the ledger to this file.",
)
@click.option("--force", is_flag=True, help="Replace files that exist.")
@config_option
@json_option
def backup_command(
    file: Path, ledger: Path | None, force: bool, config: Path, as_json: bool
) -> None:
    """Copy tasks and journal to FILE, as of a single moment.

    Reads the state directory, also while the daemon is running. To restore, stop the daemon,
    replace tasks.db there with the copy, and delete tasks.db-wal and tasks.db-shm; likewise for
    ledger.db. Findings are not included. They can be restored from the exports directory, so back
    that up, too.
    """
    from nessus_sched.daemon.journal import back_up, back_up_ledger

    copies = {file: back_up} | ({} if ledger is None else {ledger: back_up_ledger})
    if ledger is not None and ledger.resolve() == file.resolve():
        raise click.UsageError("FILE and --ledger are the same file")
    settings = load_config_or_exit(config)
    for each in copies:
        check_writable(each, force=force)
        _check_elsewhere(each, settings.state_directory)
    with _store_errors(settings.state_directory):
        written = {each: copy(settings, each) for each, copy in copies.items()}
    if as_json:
        print_json(
            {
                "file": str(file),
                "bytes": written[file],
                "ledger_file": None if ledger is None else str(ledger),
                "ledger_bytes": None if ledger is None else written[ledger],
            }
        )
        return
    for each, count in written.items():
        print_line(f"{each}: {size(count)}")


def _check_elsewhere(file: Path, directory: Path) -> None:
    """Raises `click.ClickException` for a file of a store in the state directory: to replace it
    would take it away from the daemon."""
    if _STORE.fullmatch(file.name) and file.parent.resolve() == directory.resolve():
        raise click.ClickException(f"cannot write {file}: it belongs to the daemon")


@contextmanager
def _store_errors(directory: Path) -> Iterator[None]:
    """Turns a `StoreError` into click's, with a hint where the directory is closed to this user."""
    from nessus_sched.core.store_errors import StoreError

    try:
        yield
    except StoreError as error:
        closed = os.path.exists(directory) and not os.access(directory, os.R_OK | os.X_OK)
        hint = "; run this as the user that runs the daemon" if closed else ""
        raise click.ClickException(f"{error}{hint}") from error
