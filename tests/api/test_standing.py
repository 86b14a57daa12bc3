"""Findings of a scan say what the ledger knows of them, by a join that a reader can follow."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call
from nessus_sched.api.tools import TOOLS
from nessus_sched.ipc.peer import Peer
from support.living_app import living_app

STATES = ("new", "active", "resurfaced", "fixed")


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    async with living_app(tmp_path) as (app, _):
        yield app


async def ask(app: App, name: str, **arguments: Any) -> dict[str, Any]:
    tool = TOOLS.get(name)
    assert tool is not None
    args: Any = validation.parse(tool.arguments, arguments)
    answer = await tool.fn(app, Call(peer=Peer(connection="t", uid=0)), args)
    found: dict[str, Any] = validation.answer(answer)[0]
    return found


def ledger_of(directory: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Every entry by host, port, protocol, plugin and check."""
    (file,) = directory.rglob("ledger.db")
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        rows = {
            name: connection.execute("SELECT * FROM " + name).fetchall()  # noqa: S608 - fixed names
            for name in ("entries", "machines", "protocols", "audit_checks")
        }
    hosts = {row["machine"]: row["name"] for row in rows["machines"]}
    words = {row["protocol"]: row["name"] for row in rows["protocols"]}
    checks = {row["audit_check"]: row["name"] for row in rows["audit_checks"]}
    return {
        (
            hosts[row["machine"]], row["service"] % 65536, words[row["service"] // 65536],
            row["plugin"], checks.get(row["audit_check"]),
        ): dict(row)
        for row in rows["entries"]
    }  # fmt: skip


def place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    check = row.get("compliance_check_name")
    return (row["host"], row["port"], row["protocol"], row["plugin_id"], check)


def check_row(row: Mapping[str, Any], known: Mapping[tuple[Any, ...], Mapping[str, Any]]) -> bool:
    """Whether the ledger has the finding of the row, which then says so."""
    entry = known.get(place(row))
    if entry is None:
        assert not {"state", "first_seen", "last_seen", "exception"} & set(row)
        return False
    assert row["state"] == STATES[entry["state"]]
    for name in ("first_seen", "last_seen"):
        assert datetime.fromisoformat(row[name]).timestamp() == entry[name]
    return True


async def test_findings_of_a_scan_have_what_the_ledger_has(app: App, tmp_path: Path) -> None:
    tasks = (await ask(app, "list_tasks", states=["completed"]))["tasks"]
    await ask(app, "search_findings")  # which waits for the ledger
    known = ledger_of(tmp_path)
    joined = 0
    for task in tasks:
        asked = {"task_id": task["task_id"], "profile": "summary", "page_size": 100}
        found = await ask(app, "get_scan_results", **asked, max_bytes=40_000)
        joined += sum([check_row(row, known) for row in found["findings"]])
    assert joined > 20
    about = tasks[-1]["task_id"]
    short = await ask(app, "get_scan_results", task_id=about, profile="minimal")
    assert all("state" in row and "first_seen" not in row for row in short["findings"])
    picked = await ask(app, "get_scan_results", task_id=about, fields=["host", "port"])
    assert all(set(row) == {"host", "port"} for row in picked["findings"])


async def test_changed_findings_have_what_the_ledger_has(app: App, tmp_path: Path) -> None:
    tasks = (await ask(app, "list_tasks", states=["completed"]))["tasks"]
    await ask(app, "search_findings")  # which waits for the ledger
    known = ledger_of(tmp_path)
    asked = {"before_task_id": tasks[-1]["task_id"], "after_task_id": tasks[0]["task_id"]}
    joined = 0
    for change in ("new", "fixed", "persisting", "not_checked", "not_checked_before", "changed"):
        found = await ask(app, "compare_scans", **asked, change=change, profile="summary")
        joined += sum([check_row(row, known) for row in found["page"]["findings"]])
    assert joined
