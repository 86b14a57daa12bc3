"""Roles go with the task: who sees it, who changes it, and what is still scanned at launch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from trio.testing import MockClock

from nessus_sched.api import validation
from nessus_sched.api.access import with_task_ids
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolDef, ToolError
from nessus_sched.api.permissions import Roles, submitter_of
from nessus_sched.api.submit import submit_tool
from nessus_sched.api.tools import ALL_TOOLS, OPERATORS
from nessus_sched.config.schema import Config, RoleSettings, TargetSettings
from nessus_sched.core.states import TaskState
from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import ScanKind, ScanRequest, Submitter, Task
from nessus_sched.ipc.peer import Peer
from nessus_sched.ipc.users import NO_ANSWER, User, Users, UsersUnavailable
from support.apps import app_of
from support.fake_scanner import FakeScanner
from support.mcp_app import client_streams, wire
from support.world import World, config_of, error_kind, scanner_settings, virtual_now, world

ANN, BOB, EVE = (Peer(connection=name, uid=54321 + n, gid=54321) for n, name in enumerate("abe"))
LAB = RoleSettings(name="lab", users=(str(ANN.uid), str(BOB.uid)), targets=("192.0.2.0/28",))
OPS = RoleSettings(name="ops", users=(str(EVE.uid),), manage_others=True)


class SilentUsers(Users):
    """Of a directory server that does not answer."""

    async def learn(self, peer: Peer) -> User:
        raise UsersUnavailable(NO_ANSWER)


def roles(*which: RoleSettings) -> Roles:
    return Roles(Config(roles=which))


def task(targets: tuple[str, ...], by: Peer, *, resolved: tuple[str, ...] = ()) -> Task:
    return Task(
        task_id="t-1",
        trace_id="x",
        request=ScanRequest(kind=ScanKind.BASIC, targets=targets),
        actor=by.actor,
        submitter=None if by.uid is None else Submitter(uid=by.uid, gid=by.gid),
        created_at=0.0,
        order=1,
        resolved=resolved,
    )


@pytest.mark.parametrize(
    ("targets", "resolved", "sees"),
    [
        (("192.0.2.1", "192.0.2.4-192.0.2.8"), (), True),
        (("192.0.2.1", "192.0.2.16"), (), False),
        (("192.0.2.0/24",), (), False),
        (("a.example.com",), ("192.0.2.3",), True),
        (("a.example.com",), ("192.0.2.99",), False),
        (("b.example.org",), ("192.0.2.3",), False),
        ((), (), False),
    ],
)
def test_a_role_sees_the_tasks_with_its_targets_alone(
    targets: tuple[str, ...], resolved: tuple[str, ...], sees: bool
) -> None:
    lab = attrs.evolve(LAB, targets=("192.0.2.0/28", "*.example.com"))
    made = task(targets, EVE, resolved=resolved)
    assert roles(lab, OPS).sees(ANN, made) is sees
    assert roles(lab, OPS).sees(EVE, made)
    assert roles().sees(ANN, made)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_what_a_scope_covers_it_allows(low: int, high: int, limit: int) -> None:
    low, high = sorted((low, high))
    scope = Scope((f"192.0.2.0-192.0.2.{limit}",), (), max_addresses=9999)
    targets = parse_targets(f"192.0.2.{low}-192.0.2.{high}")
    covered = scope.covers(targets)
    assert covered == (not scope.check(targets, {})) == (high <= limit)


def test_own_tasks_are_always_seen_and_managed() -> None:
    own = task(("198.51.100.1",), ANN)
    assert roles(LAB).sees(ANN, own)
    assert roles(LAB).manages(ANN, own)
    assert not roles(LAB).sees(BOB, own)
    old = attrs.evolve(own, submitter=None)
    assert submitter_of(old).uid == ANN.uid
    assert roles(LAB).manages(ANN, old)


def test_managing_tasks_of_others_is_a_permission_of_its_own() -> None:
    theirs = task(("192.0.2.1",), ANN)
    assert roles(LAB).sees(BOB, theirs)
    assert not roles(LAB).manages(BOB, theirs)
    assert roles(attrs.evolve(LAB, manage_others=True)).manages(BOB, theirs)
    assert roles(LAB, OPS).manages(EVE, theirs)
    assert roles().manages(BOB, theirs)
    outside = task(("198.51.100.1",), EVE)
    assert not roles(attrs.evolve(LAB, manage_others=True)).manages(BOB, outside)


@asynccontextmanager
async def shared(
    directory: Path, *which: RoleSettings, names: dict[str, list[str]] | None = None
) -> AsyncIterator[tuple[World, FakeScanner, App]]:
    """A scheduler that starts nothing yet, and its tools under these roles."""
    scanner = FakeScanner(virtual_now())
    allow = ("192.0.2.0/24", "*.example.com")
    config = config_of(directory, scanner_settings("a", 2), targets=TargetSettings(allow=allow))
    found = names or {}
    async with world(config, {"a": scanner}, resolve=lambda name: found[name]) as w:
        made = roles(*which)
        w.context.rights_to = made.rights_to
        app = attrs.evolve(
            app_of(w), scopes_of=made.scopes_of, sees=made.sees, manages=made.manages
        )
        await app.operator.pause_all("keep", actor="test")
        yield w, scanner, app


async def call(app: App, tool: str, peer: Peer, **arguments: Any) -> Any:
    found = ALL_TOOLS.get(tool) or OPERATORS.get(tool)
    assert found is not None
    return await found.fn(app, Call(peer=peer), validation.parse(found.arguments, arguments))


async def test_a_name_that_leads_outside_the_role_at_launch_is_not_scanned(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    lab = attrs.evolve(LAB, targets=("192.0.2.0/28", "*.example.com"))
    names = {"a.example.com": ["192.0.2.3"]}
    async with shared(tmp_path, lab, names=names) as (w, scanner, app):
        answer = await call(app, "submit_scan", ANN, targets=["a.example.com"])
        names["a.example.com"] = ["192.0.2.200"]
        await app.operator.resume_all(actor="test")
        ended = (await w.service.wait(answer.task_id, within=1000)).task
        while ended.state is not TaskState.DEAD:
            ended = (await w.service.wait(answer.task_id, within=1000)).task
        assert error_kind(ended) == "targets_refused"
        assert not scanner.scans


async def test_a_role_that_was_narrowed_holds_for_what_is_queued(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with shared(tmp_path, LAB, OPS) as (w, scanner, app):
        outside = await call(app, "submit_scan", ANN, targets=["192.0.2.9"])
        inside = await call(app, "submit_scan", ANN, targets=["192.0.2.1"])
        free = await call(app, "submit_scan", EVE, targets=["192.0.2.99"])
        narrow = attrs.evolve(LAB, targets=("192.0.2.0/29",))
        w.context.rights_to = roles(narrow, OPS).rights_to
        await app.operator.resume_all(actor="test")
        states = {}
        for answer in (outside, inside, free):
            view = await w.queries.task(answer.task_id)
            while view.task.state not in (TaskState.DEAD, TaskState.COMPLETED, TaskState.RUNNING):
                view = await w.service.wait(answer.task_id, within=1000)
            states[answer.task_id] = view.task.state
        assert states.pop(outside.task_id) is TaskState.DEAD
        assert TaskState.DEAD not in states.values()
        assert len(scanner.scans) == 2


@pytest.mark.parametrize(
    ("now", "why"),
    [
        ({"read_only": True}, "read-only now"),
        ({"tools": ("submit_quick_scan", "list_tasks")}, "no longer has submit_scan"),
        ({"users": (str(BOB.uid),)}, "no role names its submitter"),
    ],
)
async def test_what_the_role_no_longer_allows_at_all_is_not_scanned(
    now: dict[str, Any], why: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with shared(tmp_path, LAB, OPS) as (w, scanner, app):
        answer = await call(app, "submit_scan", ANN, targets=["192.0.2.1"])
        w.context.rights_to = roles(attrs.evolve(LAB, **now), OPS).rights_to
        await app.operator.resume_all(actor="test")
        dead = await w.settled(answer.task_id)
        assert (dead.state, error_kind(dead)) == (TaskState.DEAD, "not_permitted")
        assert dead.last_error is not None
        assert why in dead.last_error.message
        assert not scanner.scans


async def test_while_the_user_database_is_silent_the_task_waits_without_a_slot(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with shared(tmp_path, LAB, OPS) as (w, scanner, app):
        answer = await call(app, "submit_scan", ANN, targets=["192.0.2.1"])
        w.context.rights_to = Roles(Config(roles=(LAB, OPS)), SilentUsers()).rights_to
        await app.operator.resume_all(actor="test")
        await trio.sleep(600)
        waiting = (await w.queries.task(answer.task_id)).task
        assert (waiting.state, waiting.failures) == (TaskState.RETRY_WAIT, 0)
        assert error_kind(waiting) == "users_unavailable"
        w.context.rights_to = roles(LAB, OPS).rights_to
        assert (await w.settled(answer.task_id)).state is TaskState.COMPLETED
        assert len(scanner.scans) == 1


@pytest.mark.parametrize("kind", ScanKind)
def test_each_kind_of_scan_has_a_tool_that_submits_it(kind: ScanKind) -> None:
    tool = ALL_TOOLS.get(submit_tool(kind))
    assert tool is not None
    assert tool.writes


WITH_TASKS = [
    (tool, [name for name in ("task_id", "before_task_id", "after_task_id", "before", "after")
            if tool.input_schema["properties"].get(name, {}).get("type") == "string"])
    for tool in (*ALL_TOOLS, *OPERATORS)
    if not tool.name.startswith("import_")
]  # fmt: skip


MORE = {
    "rescan": {"hosts": "not_reached"},
    "create_report": {"kind": "comparison"},
    "read_report": {"kind": "comparison"},
}
"""What else a tool has to be given."""


@pytest.mark.parametrize(
    ("tool", "names"), [each for each in WITH_TASKS if each[1]], ids=lambda each: str(each)[:20]
)
async def test_no_tool_reaches_a_task_outside_the_role(
    tool: ToolDef, names: list[str], tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with shared(tmp_path, LAB, OPS) as (_w, _scanner, app):
        answer = await call(app, "submit_scan", EVE, targets=["192.0.2.99"])
        more = MORE.get(tool.name, {})
        with pytest.raises(ToolError) as caught:
            await call(app, tool.name, ANN, **dict.fromkeys(names, answer.task_id), **more)
        assert caught.value.code == "not_permitted"


async def test_lists_show_what_the_role_may_see_and_by_whom(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with shared(tmp_path, LAB, OPS) as (_w, _scanner, app):
        ann = (await call(app, "submit_scan", ANN, targets=["192.0.2.1"])).task_id
        eve = (await call(app, "submit_scan", EVE, targets=["192.0.2.2"])).task_id
        out = (await call(app, "submit_scan", EVE, targets=["192.0.2.99"])).task_id

        async def listed(peer: Peer, **filters: Any) -> list[str]:
            rows = (await call(app, "list_tasks", peer, **filters)).tasks
            return [row.task_id for row in rows]

        assert await listed(EVE) == [out, eve, ann]
        assert await listed(EVE, submitter="me") == [out, eve]
        assert await listed(EVE, submitter=str(ANN.uid)) == [ann]
        assert await listed(ANN) == [eve, ann]
        assert await listed(ANN, limit=1) == [eve]
        assert await listed(ANN, submitter="me") == [ann]
        assert await listed(ANN, submitter=str(EVE.uid)) == [eve]
        waiting = (await call(app, "get_queue_status", ANN)).waiting
        assert [row.task_id for row in waiting] == [ann, eve]
        assert not (await call(app, "find_task", ANN, part=out)).tasks


async def test_names_lead_only_to_tasks_that_one_may_see(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with shared(tmp_path, LAB, OPS) as (_w, _scanner, app):

        async def submit(peer: Peer, target: str, name: str) -> str:
            answer = await call(app, "submit_scan", peer, targets=[target], name=name)
            return str(answer.task_id)

        async def found(peer: Peer, text: str) -> list[str]:
            return [row.task_id for row in (await call(app, "find_task", peer, part=text)).tasks]

        anns = await submit(ANN, "192.0.2.1", "web")
        assert await found(EVE, "last") == []
        eves = await submit(EVE, "192.0.2.99", "web")
        last = await submit(EVE, "192.0.2.2", anns)
        assert await found(EVE, "web") == [eves, anns]
        assert await found(ANN, "web") == [anns]
        assert await found(ANN, "We") == await found(ANN, "we") == []
        assert await found(EVE, anns) == [anns], "a name hides no id"
        assert await found(EVE, anns[-5:]) == [anns]
        assert await found(EVE, "last") == [last]
        assert await found(ANN, "last") == [anns]
        assert await found(BOB, "last") == []

        async def meant(peer: Peer, text: str, tool: str = "get_scan_status") -> str:
            definition = next(each for each in ALL_TOOLS if each.name == tool)
            args = definition.arguments(task_id=text)
            meant, _ = await with_task_ids(app, Call(peer=peer), definition, args)
            return str(meant.task_id)

        assert await meant(ANN, "web") == await meant(ANN, "web", "cancel_scan") == anns
        assert await meant(EVE, "last") == last
        assert await meant(EVE, anns) == anns
        assert await meant(BOB, "last") == "last"
        assert await meant(ANN, "nonesuch") == "nonesuch"
        assert await meant(EVE, "web") == await meant(EVE, "web", "get_scan_results") == eves
        for text, tool in (("web", "cancel_scan"), ("last", "cancel_scan")):
            with pytest.raises(ToolError) as refused:
                await meant(EVE, text, tool)
            assert refused.value.code == "ambiguous_task"
            assert (anns in refused.value.message) == (text == "web")


async def test_of_several_tasks_with_a_name_the_one_is_meant_that_a_person_would_mean(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with shared(tmp_path) as (w, _scanner, app):

        async def weekly() -> str:
            return str(
                (await call(app, "submit_scan", ANN, targets=["192.0.2.1"], name="w")).task_id
            )

        async def meant(tool: str) -> tuple[str, str]:
            definition = ALL_TOOLS.get(tool)
            assert definition is not None
            args = definition.arguments(task_id="w")
            found, notes = await with_task_ids(app, Call(peer=ANN), definition, args)
            return str(found.task_id), " ".join(notes)

        async def done() -> str:
            made = await weekly()
            await app.operator.resume_all(actor="test")
            ended = await w.settled(made)
            assert ended.summary is not None
            await app.operator.pause_all("keep", actor="test")
            return made

        only = await done()
        assert await meant("get_scan_status") == (only, "")
        newer = await done()
        for tool in ("get_scan_status", "get_scan_results", "cancel_scan"):
            found, note = await meant(tool)
            assert found == newer
            assert f"Several tasks are named 'w'; this is about {newer} (completed, " in note
        canceled = await weekly()
        await call(app, "cancel_scan", ANN, task_id=canceled)
        assert (await meant("get_scan_results"))[0] == newer
        assert (await meant("get_scan_status"))[0] == canceled
        waits = await weekly()
        for tool in ("get_scan_status", "cancel_scan", "pause_scan"):
            assert (await meant(tool))[0] == waits
        for tool in ("get_scan_results", "get_scan_summary", "get_coverage"):
            assert (await meant(tool))[0] == newer
        also = await weekly()
        assert (await meant("get_scan_status"))[0] == also
        with pytest.raises(ToolError, match="several unfinished") as refused:
            await meant("cancel_scan")
        assert f"{also} (queued, 20" in refused.value.message
        assert f"{waits} (queued, 20" in refused.value.message
        assert newer not in refused.value.message


async def test_an_answer_says_which_of_several_tasks_it_is_about(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with shared(tmp_path) as (_w, _scanner, app):
        for _ in range(2):
            made = await call(app, "submit_scan", ANN, targets=["192.0.2.1"], name="w")
        async with (
            wire(cast(Any, app), peer=ANN, tools=ALL_TOOLS) as stream,
            Client(client_streams(stream), mode="legacy") as client,
        ):
            found = await client.call_tool("get_scan_status", {"task_id": "w"})
            whole = await client.call_tool("get_scan_status", {"task_id": made.task_id})
        said = found.structured_content or {}
        assert said["task_id"] == made.task_id
        assert "Several tasks are named 'w'" in said["notes"][0]
        assert "notes" not in (whole.structured_content or {})


async def test_only_who_may_cancels_tasks_of_others(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with shared(tmp_path, LAB, OPS) as (_w, _scanner, app):
        ann = (await call(app, "submit_scan", ANN, targets=["192.0.2.1"])).task_id
        for tool in ("cancel_scan", "pause_scan", "resume_scan"):
            with pytest.raises(ToolError, match="does not manage"):
                await call(app, tool, BOB, task_id=ann)
        assert (await call(app, "pause_scan", EVE, task_id=ann)).desired == "pause"
        assert (await call(app, "cancel_scan", ANN, task_id=ann)).status == "canceled"
