"""`nessus-sched hosts`: what is known of a host, across all scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from nessus_sched.cli.client import DaemonApi
from nessus_sched.cli.daemon_or_store import daemon_or_store
from nessus_sched.cli.formatting import when
from nessus_sched.cli.options import listing_options, one_of
from nessus_sched.cli.output import print_fields, print_json, print_line, print_note, print_table
from nessus_sched.core.clock import system_now
from nessus_sched.results.absence import MEANINGS, Reason
from nessus_sched.results.audits import checks_text
from nessus_sched.results.ledger.questions import Shown


@click.command("hosts")
@click.argument("host")
@click.option(
    "--shown", default=Shown.OPEN.value, show_default=True, type=one_of(Shown),
    help="Findings to list.",
)  # fmt: skip
@listing_options
def hosts_command(
    host: str,
    shown: str,
    severity: str,
    limit: int,
    cursor: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Show what all scans together say about HOST, an address or a name.

    A host is clean only if its latest scan was recent, scanned it to the end and logged in fully,
    and nothing above info is open; `unknown` does not mean clean. Exit code 1 for a host that no
    scan has ever reported.
    """
    asked = {"host": host, "shown": shown, "severity": severity, "limit": limit, "cursor": cursor}
    with daemon_or_store(config) as api:
        found = _ask(api, asked)
    if as_json:
        print_json(found)
    else:
        _show(found)
    if not found["known"]:
        raise SystemExit(1)


def _ask(api: DaemonApi, asked: Mapping[str, Any]) -> dict[str, Any]:
    return api.operate("read_host", **asked)


def _show(found: Mapping[str, Any]) -> None:
    now = system_now()
    counts = ", ".join(f"{count} {name}" for name, count in found["open"].items())
    excepted = ", ".join(f"{count} {name}" for name, count in found["excepted"].items())
    print_fields(
        [
            ("host", " ".join([found["host"], *found["names"]])),
            ("clean", f"{found['clean']}: {found['why']}"),
            ("open", counts or None),
            ("excepted", excepted or None),
            ("compliance", checks_text(found["compliance_counts"])),
            ("last tried", when(found["last_tried"], now)),
            ("last answered", when(found["last_answered"], now)),
            ("last whole", when(found["last_whole"], now)),
            ("last login", when(found["last_login"], now)),
            ("login", found["login"]),
            ("scanner", found["scanner_instance"]),
            *found["labels"].items(),
        ]
    )
    if found["findings"]:
        print_line()
        show_findings(found["findings"])
    for note in found["notes"]:
        print_note(note)
    if found["next_cursor"]:
        print_note(f"{found['total']} in all; continue with --cursor {found['next_cursor']}.")


def _exception(row: Mapping[str, Any]) -> str | None:
    """`x-5fk3m97k3m9pqr: accepted`."""
    return f"{row['exception_id']}: {row['exception']}" if "exception" in row else None


def _not_confirmed(row: Mapping[str, Any]) -> str | None:
    reason = row.get("unverified")
    return MEANINGS[Reason(reason)][0] if reason else None


def show_findings(rows: Sequence[Mapping[str, Any]], *first: str) -> None:
    """Columns with nothing in them are left out."""
    cells = [
        {
            **{name: row[name] for name in first},
            "severity": row["severity"],
            "exception": _exception(row),
            "effective": row.get("effective_severity"),
            "plugin": row["plugin_id"],
            "port": f"{row['port']}/{row['protocol']}" if row["port"] else None,
            "state": f"{row['state']}, stale" if row.get("stale") else row["state"],
            "days": row["age_days"],
            "last seen": (row["last_seen"] or "")[:10],
            "name": row.get("compliance_check_name") or row["plugin_name"],
            "not confirmed": _not_confirmed(row),
            "why": row.get("why"),
        }
        for row in rows
    ]
    columns = [name for name in cells[0] if any(row[name] not in (None, "") for row in cells)]
    print_table(columns, [tuple(row[name] for name in columns) for row in cells])
