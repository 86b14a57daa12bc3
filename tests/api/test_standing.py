"""Findings of a scan say what the ledger knows of them, by a join that a reader can follow."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import attrs
import pytest

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.exceptions.admin import DecideArgs, decide_exception
from nessus_sched.api.exceptions.definition import ProposeArgs
from nessus_sched.api.exceptions.tools import propose_exception
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.permissions import Roles
from nessus_sched.api.tools import ALL_TOOLS, OPERATORS, TOOLS
from nessus_sched.config.schema import RoleSettings
from nessus_sched.core.exceptions.exception import Decision
from nessus_sched.core.exceptions.rule import ExceptionKind
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.task import Submitter
from nessus_sched.ipc.peer import Peer
from nessus_sched.results.coverage import scan_coverage
from nessus_sched.results.parser.reader import Reader
from nessus_sched.results.summary import summarize
from nessus_sched.store.findings.store import FindingsStore
from nessus_sched.store.tasks.store import TaskStore
from support.living_app import app_over, living_app
from support.mcp_app import wire
from support.mcp_wire import call, opened
from support.nessus_xml import document, host, item
from support.stored import a_request, a_task, submitted
from support.world import virtual_now

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


async def test_fields_that_are_asked_for_come_in_their_order_and_no_others(app: App) -> None:
    about = (await ask(app, "list_tasks", states=["completed"]))["tasks"][-1]["task_id"]

    async def shown(*fields: str, **more: Any) -> list[tuple[str, ...]]:
        asked = {"task_id": about, "fields": list(fields), **more}
        found = await ask(app, "get_scan_results", **asked)
        assert found["findings"]
        return list({tuple(row) for row in found["findings"]})

    assert await shown("host", "port") == [("host", "port")]
    assert await shown("state", "plugin_id", "first_seen") == [("state", "plugin_id", "first_seen")]
    assert await shown("exception") == [("exception",)]  # null where there is none
    (minimal,) = await shown("age_days", profile="minimal", filters=["plugin_id=155999"])
    assert minimal[-2:] == ("state", "age_days")


@pytest.mark.parametrize(
    "asked",
    [
        {"filters": ["state=fixed"]},
        {"sort": ["-first_seen"]},
        {"filters": [{"field": "exception", "op": "absent"}]},
    ],
)
@pytest.mark.parametrize("name", ["get_scan_results", "compare_scans"])
async def test_who_filters_a_scan_by_the_ledger_is_sent_to_the_search(
    app: App, name: str, asked: dict[str, Any]
) -> None:
    tasks = [row["task_id"] for row in (await ask(app, "list_tasks"))["tasks"]]
    about = {"task_id": tasks[0]}
    if name == "compare_scans":
        about = {"before_task_id": tasks[1], "after_task_id": tasks[0]}
    with pytest.raises(ToolError, match=r"use search_findings .*task_id=ID"):
        await ask(app, name, **about, **asked)
    found = await ask(app, "search_findings", **asked, page_size=5)
    assert found["total"]


async def test_what_a_scan_was_the_last_to_see_can_be_searched_for(app: App) -> None:
    latest = (await ask(app, "list_tasks", states=["completed"]))["tasks"][0]["task_id"]
    fields = ["host", "port", "protocol", "plugin_id", "state"]
    asked = {"fields": fields, "page_size": 500, "max_bytes": 40_000}
    found = await ask(app, "search_findings", filters=[f"task_id={latest}", "state=new"], **asked)
    whole = await ask(app, "get_scan_results", task_id=latest, **asked)
    assert sorted(place(row) for row in found["findings"]) == sorted(
        place(row) for row in whole["findings"] if row["state"] == "new"
    )
    assert found["findings"]


@pytest.mark.parametrize("which", ["history", "task_ids", "stored"])
async def test_rows_of_stored_scans_are_alike_wherever_they_are_searched(
    app: App, tmp_path: Path, which: str
) -> None:
    tasks = [row["task_id"] for row in (await ask(app, "list_tasks"))["tasks"]]
    await ask(app, "search_findings")  # which waits for the ledger
    known = ledger_of(tmp_path)
    asked: dict[str, Any] = {"profile": "summary", "page_size": 30}
    more: dict[str, dict[str, Any]] = {
        "history": {"history": True},
        "task_ids": {"task_ids": tasks[1:3]},
        "stored": {"filters": ["plugin_name present", "epss_score is absent"]},
    }
    asked |= more[which]
    found = await ask(app, "search_findings", **asked)
    assert sum([check_row(row, known) for row in found["findings"]]) > 10
    assert {row["task_id"] for row in found["findings"]} <= set(tasks)
    one = await ask(app, "get_scan_results", task_id=tasks[1], profile="summary")
    of_scan = set(found["findings"][0]) - {"task_id", "imported_at", "unverified", "fixed_at"}
    assert of_scan == set(one["findings"][0]) - {"unverified", "fixed_at"}
    if found["next_cursor"]:
        assert any("get_scan_results groups" in note for note in found["notes"])
    with pytest.raises(ToolError, match=r"only the ledger|only a search of the current state"):
        await ask(app, "search_findings", **{"filters": [], **asked, "sort": ["-age_days"]})


async def test_without_a_readable_ledger_the_findings_are_shown_and_say_so(app: App) -> None:
    class Broken:
        waiting = 0

        async def standing(self, *_: Any) -> Any:
            raise StoreUnavailable("ledger.db: disk I/O error")

    task = (await ask(app, "list_tasks"))["tasks"][0]["task_id"]
    broken = attrs.evolve(app, ledger=cast(Any, Broken()))
    found = await ask(broken, "get_scan_results", task_id=task, profile="minimal")
    assert found["findings"]
    assert not any("state" in row for row in found["findings"])
    assert any("disk I/O error" in note for note in found["notes"])
    picked = await ask(broken, "get_scan_results", task_id=task, fields=["host", "state"])
    assert {row["state"] for row in picked["findings"]} == {None}


# -- roles

WIDE, NARROW = 70_001, 70_002
ROLES = (
    RoleSettings(name="all", users=(str(WIDE),), targets=("192.0.2.0/24",)),
    RoleSettings(name="some", users=(str(NARROW),), targets=("192.0.2.0/29", "*.example.com")),
)


async def asked_by(uid: int, app: App, name: str, **arguments: Any) -> dict[str, Any]:
    """Over MCP, as that user."""
    roles = Roles(app.config)
    served = attrs.evolve(app, scopes_of=roles.scopes_of, sees=roles.sees)
    who = Peer(connection=str(uid), uid=uid, gid=uid)
    parts: dict[str, Any] = {"tools": ALL_TOOLS, "operators": OPERATORS, "permits": roles.permits}
    async with wire(cast(Any, served), peer=who, **parts) as stream:
        lines = await opened(stream)
        await stream.send_all(call(1, name, **arguments))
        answer = (await lines.next())["result"]
    assert not answer.get("isError"), answer
    found: dict[str, Any] = answer["structuredContent"]
    return found


async def test_a_role_is_told_what_the_ledger_knows_of_its_own_hosts_alone(tmp_path: Path) -> None:
    """A user sees a scan that it submitted itself, also of hosts that its role has lost since."""

    async def fill(tasks: TaskStore, findings: FindingsStore) -> None:
        at = int(virtual_now()()) - 86_400
        names = ("192.0.2.1", "192.0.2.99", "198.51.100.7", "db.example.com", "db.example.org")
        tags = {"HOST_END_TIMESTAMP": str(at)}
        hosts = [host(name, item(10, severity=3, port=443), tags=tags) for name in names]
        # A name of the role that leads to an address that is not its own.
        hosts.append(
            host("far.example.com", item(10, severity=3, port=443),
                 tags={**tags, "host-ip": "198.51.100.9"})
        )  # fmt: skip
        data = document(*hosts)
        for number, uid in ((1, NARROW), (2, WIDE)):
            task = a_task(
                number, actor=f"uid:{uid}", submitter=Submitter(uid=uid, gid=uid),
                request=a_request(targets=("192.0.2.0/24", "198.51.100.7", "far.example.com")),
                state=TaskState.COMPLETED, created_at=at - 60.0,
                summary=summarize(io.BytesIO(data)), entered={TaskState.COMPLETED: at + 60.0},
            )  # fmt: skip
            reader = Reader(io.BytesIO(data))
            coverage = partial(scan_coverage, reader.report)
            await findings.put(task.task_id, reader, at=at + 60.0, coverage=coverage)
            await tasks.submit(task, submitted(task))

    async with app_over(tmp_path, fill, roles=ROLES) as (app, keeper):
        call = Call(peer=Peer(connection="boss", uid=0), client="nessus-sched")
        proposed = await propose_exception.fn(app, call, ProposeArgs(
            plugins=[10], hosts=["*"], kind=ExceptionKind.ACCEPTED, reason="Known.", owner="net",
            until="90d",
        ))  # fmt: skip
        decision = DecideArgs(
            exception_id=proposed.exception.exception_id, decision=Decision.APPROVE
        )
        await decide_exception.fn(app, call, decision)
        keeper.wake()
        asked = {"task_id": "t00000001", "profile": "summary"}
        everything = await ask(app, "get_scan_results", **asked)
        assert {row.get("exception") for row in everything["findings"]} == {"accepted"}
        about: tuple[tuple[str, dict[str, Any]], ...] = (
            ("get_scan_results", asked),
            ("search_findings", {"history": True, "task_ids": ["t00000001"], "profile": "summary"}),
            ("compare_scans", {"before_task_id": "t00000001", "after_task_id": "t00000001",
                               "change": "persisting", "profile": "summary"}),
        )  # fmt: skip
        for name, arguments in about:
            answer = await asked_by(NARROW, app, name, **arguments)
            rows = answer.get("page", answer)["findings"]
            known = {row["host"] for row in rows if "state" in row}
            assert len(rows) == 6, name
            assert known == {"192.0.2.1", "db.example.com"}, name
            for row in rows:
                assert ("exception" in row) == ("first_seen" in row) == (row["host"] in known)
        wide = await asked_by(WIDE, app, "get_scan_results", task_id="t00000002", profile="summary")
        assert {row["host"] for row in wide["findings"] if "exception_id" in row} == {
            "192.0.2.1", "192.0.2.99",
        }  # fmt: skip


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
