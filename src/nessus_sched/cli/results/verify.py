"""`nessus-sched verify`: scans again for findings that should be fixed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from nessus_sched.cli.client import Daemon, daemon
from nessus_sched.cli.completion import candidates
from nessus_sched.cli.options import daemon_option, json_option
from nessus_sched.cli.output import print_fields, print_json, print_line, print_note
from nessus_sched.cli.task_ids import task_id_of
from nessus_sched.results.ledger.verifying import Result


@click.command("verify")
@click.argument("hosts", nargs=-1)
@click.option(
    "--plugin", "plugins", multiple=True, type=int, metavar="ID",
    help="Only findings of this plugin; repeatable.",
)  # fmt: skip
@click.option(
    "--cve", "cves", multiple=True, metavar="CVE", help="Only findings with this CVE; repeatable."
)
@click.option(
    "--credential",
    multiple=True,
    metavar="NAME",
    shell_complete=candidates.credential,
    help="Log in with this instead; repeatable.",
)
@click.option(
    "--task",
    metavar="TASK",
    shell_complete=candidates.ended_task,
    help="Show what an earlier verification found.",
)
@click.option(
    "--key",
    metavar="KEY",
    help="Idempotency key: repeating a request with it returns the same task.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be scanned, but queue nothing.")
@click.option("--wait", "-w", is_flag=True, help="Follow the scan, then show what it found.")
@daemon_option
@json_option
def verify_command(
    hosts: Sequence[str],
    plugins: Sequence[int],
    cves: Sequence[str],
    credential: Sequence[str],
    task: str | None,
    key: str | None,
    dry_run: bool,
    wait: bool,
    config: Path | None,
    as_json: bool,
) -> None:
    """Check whether findings are fixed: scan just the HOSTS (addresses, networks or names) that
    have them, for just their plugins, on their ports and with the same login, before other scans.

    Without --plugin and --cve, all open findings of HOSTS above info are checked. Findings that
    needed different logins or settings take several scans.

    With --wait or --task the exit code is 0 if every finding is fixed, 1 if one is still there,
    and 4 if one could not be verified.
    """
    chosen = bool(hosts or plugins or cves)
    if chosen == (task is not None):
        raise click.UsageError("give HOSTS, --plugin or --cve; or --task")
    if dry_run and wait:
        raise click.UsageError("--wait and --dry-run cannot be combined")
    with daemon(config) as connection:
        if task is not None:
            answer = connection.call("verify_fix", task_id=task_id_of(connection, task))
        else:
            answer = connection.call(
                "verify_fix",
                hosts=list(hosts) or None,
                plugin_ids=list(plugins) or None,
                cves=list(cves) or None,
                credential=list(credential) or None,
                idempotency_key=key,
                dry_run=dry_run,
            )
        if wait:
            answer = _followed(connection, answer, quiet=as_json)
    if as_json:
        print_json(answer)
    else:
        _show(answer)
    if wait or task is not None:
        raise SystemExit(_exit_code(answer["counts"]))


def _followed(connection: Daemon, answer: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """The answer once all of its scans have ended."""
    from nessus_sched.cli.watch import follow

    tasks = [scan["task_id"] for scan in answer["scans"]]
    follow(connection, tasks, quiet=quiet)
    parts = [connection.call("verify_fix", task_id=each) for each in tasks]
    counts = sum((Counter(part["counts"]) for part in parts), Counter[str]())
    return {
        **parts[0],
        "scans": [scan for part in parts for scan in part["scans"]],
        "counts": dict(counts),
        "findings": [row for part in parts for row in part["findings"]],
        "notes": [*answer["notes"], *(note for part in parts for note in part["notes"])],
    }


def _exit_code(counts: Mapping[str, int]) -> int:
    from nessus_sched.cli.watch import EXIT_PARTIAL

    if counts.get(Result.STILL_THERE):
        return 1
    return EXIT_PARTIAL if set(counts) - {Result.FIXED} else 0


def _show(answer: Mapping[str, Any]) -> None:
    for scan in answer["scans"]:
        print_fields(
            [
                ("task", scan["task_id"] or "none (dry run): it would be accepted"),
                ("state", scan["status"]),
                ("hosts", scan["targets"]),
                ("plugins", ", ".join(map(str, scan["plugin_ids"]))),
                ("ports", scan["ports"]),
                ("credential", ", ".join(scan["credentials"]) or None),
            ]
        )
        print_line()
    for row in answer["findings"]:
        port = f" {row['port']}/{row['protocol']}" if row["port"] else ""
        name = f" ({row['plugin_name']})" if row["plugin_name"] else ""
        print_line(f"{row['host']}{port}, plugin {row['plugin_id']}{name}: {row['text']}.")
    for note in answer["notes"]:
        print_note(note)
