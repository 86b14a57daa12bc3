"""Shows exceptions to people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nessus_sched.cli.client import DaemonApi, fetch_all
from nessus_sched.cli.formatting import ago, when
from nessus_sched.cli.output import print_fields, print_table
from nessus_sched.core.clock import system_now


def every_exception(connection: DaemonApi, **arguments: Any) -> dict[str, Any]:
    """The answer of `list_exceptions` with those of all pages."""
    return fetch_all(connection, "list_exceptions", "exceptions", **arguments)


def show_exceptions(found: Sequence[Mapping[str, Any]]) -> None:
    now = system_now()
    print_table(
        ("exception", "status", "kind", "about", "hosts", "ends", "owner"),
        [
            (
                each["exception_id"],
                each["status"],
                _kind(each),
                _few(_about(each)),
                _few(each["hosts"]),
                ago(each["until"], now),
                each["owner"],
            )
            for each in found
        ],
        nothing="no such exceptions",
    )


def show_exception(found: Mapping[str, Any]) -> None:
    now = system_now()
    print_fields(
        [
            ("exception", found["exception_id"]),
            ("status", found["status"]),
            ("cause", found["cause"]),
            ("kind", _kind(found)),
            ("about", " ".join(_about(found))),
            ("hosts", " ".join(found["hosts"])),
            ("port", found["port"]),
            ("reason", found["reason"]),
            ("owner", found["owner"]),
            ("ends", when(found["until"], now)),
            ("proposed", f"{when(found['proposed_at'], now)} by {found['proposed_by']}"),
            *(
                [("decided", f"{when(found['decided_at'], now)} by {found['decided_by']}")]
                if found["decided_at"]
                else []
            ),
        ]
    )


def _kind(found: Mapping[str, Any]) -> str:
    return f"severity {found['severity']}" if found["severity"] else str(found["kind"])


def _about(found: Mapping[str, Any]) -> list[str]:
    return [*map(str, found["plugins"]), *found["cves"]]


def _few(words: Sequence[str]) -> str:
    return " ".join(words) if len(words) <= 2 else f"{words[0]} and {len(words) - 1} more"
