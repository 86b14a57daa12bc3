"""Shows schedules to people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from nessus_sched.cli.client import DaemonApi, fetch_all
from nessus_sched.cli.formatting import ago
from nessus_sched.cli.output import print_fields, print_line, print_table
from nessus_sched.core.clock import system_now
from nessus_sched.results.untrusted import clean_line


def every_schedule(connection: DaemonApi) -> dict[str, Any]:
    """The answer of `list_schedules` with those of all pages."""
    return fetch_all(connection, "list_schedules", "schedules")


def show_schedules(found: Sequence[Mapping[str, Any]]) -> None:
    now = system_now()
    print_table(
        ("name", "status", "next", "when", "last", "by"),
        [
            (
                each["name"],
                each["status"],
                ago(each["next"][0], now) if each["next"] else None,
                each["when"],
                _outcome(each["last"]),
                each["created_by"],
            )
            for each in found
        ],
        nothing="no schedules; 'nessus-sched schedules add' makes one",
    )


def show_schedule(found: Mapping[str, Any]) -> None:
    now = system_now()
    targets = " ".join(found["targets"])
    more = f" and {found['targets_left_out']} more" if found["targets_left_out"] else ""
    print_fields(
        [
            ("schedule", found["name"]),
            ("status", found["status"]),
            ("trouble", found["trouble"]),
            ("when", found["when"]),
            ("cron", found["cron"]),
            *(
                ("next" if number == 0 else "", f"{local(at)} ({ago(at, now)})")
                for number, at in enumerate(found["next"])
            ),
            ("kind", found["kind"]),
            ("targets", f"{targets}{more}"),
            *_options((found["definition"] or {}).get("scan", {})),
            ("ends", found["ends"]),
            ("missed", found["missed"]),
            ("overlap", found["overlap"]),
            ("skip next", found["skip_next"] or None),
            ("second tries", found["second_tries"]),
            ("created by", found["created_by"]),
            ("tasks", found["tasks"]),
        ]
    )
    if found["recent"]:
        print_line()
        show_firings(found["recent"])


def _options(scan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The other options of the scan, where they are not the usual ones."""
    for name, value in scan.items():
        if name == "targets" or value in (None, "", [], {}):
            continue
        if isinstance(value, Mapping):
            value = " ".join(f"{key}={setting}" for key, setting in value.items())
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield name.replace("_", " "), clean_line(shown)


def show_firings(firings: Sequence[Mapping[str, Any]]) -> None:
    print_table(
        ("due", "outcome", "task", "why"),
        [(local(each["due"]), each["outcome"], each["task_id"], each["reason"])
         for each in firings],
    )  # fmt: skip


def local(at: str) -> str:
    """An ISO 8601 time as it is in its own zone: `Mon 2026-03-02 02:00 +0100`."""
    return f"{datetime.fromisoformat(at):%a %Y-%m-%d %H:%M %z}"


def _outcome(firing: Mapping[str, Any] | None) -> str | None:
    if firing is None:
        return None
    return f"{firing['outcome']} {firing['task_id'] or ''}".strip()
