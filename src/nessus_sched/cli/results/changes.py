"""`nessus-sched changes`: what scans have changed since a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from nessus_sched.cli.completion import candidates
from nessus_sched.cli.daemon_or_store import daemon_or_store
from nessus_sched.cli.formatting import parse_time
from nessus_sched.cli.options import listing_options, one_of
from nessus_sched.cli.output import print_fields, print_json, print_line, print_note
from nessus_sched.cli.results.hosts import show_findings
from nessus_sched.results.ledger.questions import Change


@click.command("changes")
@click.option(
    "--since", type=parse_time, metavar="TIME",
    help="Changes by scans after this: 7d (the default), 2026-01-31 or a timestamp.",
)  # fmt: skip
@click.option(
    "--schedule",
    metavar="NAME",
    shell_complete=candidates.schedule,
    help="Instead of --since: changes after the second-to-last run of this schedule.",
)
@click.option(
    "--target", "targets", multiple=True, metavar="NETWORK",
    help="Only hosts with these addresses; repeatable.",
)  # fmt: skip
@click.option(
    "--change", "changes", multiple=True, type=one_of(Change), help="Only these; repeatable."
)
@listing_options
def changes_command(
    since: str | None,
    schedule: str | None,
    targets: Sequence[str],
    changes: Sequence[str],
    severity: str,
    limit: int,
    cursor: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Show which findings are new, resurfaced, fixed or unverified.

    fixed: a scan proved that it is gone. unverified: the latest scan did not show it and could not
    have, so it may still be there.
    """
    if since and schedule:
        raise click.UsageError("give --since or --schedule, not both")
    asked: dict[str, Any] = {
        "since": since,
        "targets": list(targets) or None,
        "changes": list(changes) or None,
        "severity": severity,
        "limit": limit,
        "cursor": cursor,
    }
    with daemon_or_store(config) as api:
        if schedule:
            found = api.call("get_changes", schedule=schedule, **asked)
        else:
            found = api.operate("read_changes", **asked)
    if as_json:
        print_json(found)
    else:
        _show(found)


def _show(found: Mapping[str, Any]) -> None:
    print_fields(
        [
            ("since", found["since"]),
            ("scans", found["scans"]),
            *((change, _counted(counts)) for change, counts in found["counts"].items()),
            ("excepted", ", ".join(f"{n} {name}" for name, n in found["excepted"].items()) or None),
            ("compliance checks", _counted(found["compliance_counts"])),
            ("first scans", found["first_scans"] or None),
            ("unverified by", _counted(found["unverified"])),
        ]
    )
    if found["rows"]:
        print_line()
        show_findings(found["rows"], "change", "host")
    for note in found["notes"]:
        print_note(note)
    if found["next_cursor"]:
        print_note(f"There are more: --cursor {found['next_cursor']}.")


def _counted(counts: Mapping[str, int]) -> str | None:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or None
