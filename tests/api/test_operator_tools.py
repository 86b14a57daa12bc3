"""Operator tools through MCP: who has them, what they do, what they refuse, and what the journal
says about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
from mcp import Client, MCPError
from mcp.types import Implementation
from trio.testing import MockClock

from nessus_sched.api.app import App
from nessus_sched.api.exceptions.tools import propose_exception
from nessus_sched.api.operations import Call
from nessus_sched.api.operators.tools import OPERATOR_TOOLS
from nessus_sched.api.permissions import Roles
from nessus_sched.api.tools import ALL_TOOLS
from nessus_sched.api.validation import parse
from nessus_sched.config.exceptions import ExceptionSettings
from nessus_sched.config.schema import Config, RoleSettings
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Submitter
from nessus_sched.ipc.peer import Peer
from support.apps import app_of
from support.mcp_app import client_streams, wire
from support.world import World, basic, one_scanner

ANN, BOB, EVE = (Peer(connection=name, uid=54321 + n, gid=54321) for n, name in enumerate("abe"))
OPS = RoleSettings(name="ops", users=("*",), operator_tools=True, manage_others=True)
BOTH = attrs.evolve(OPS, approve_exceptions=True)
APPROVES = RoleSettings(name="risk", users=("*",), approve_exceptions=True)
PLAIN = RoleSettings(name="plain", users=("*",))
NAMES = {tool.name for tool in OPERATOR_TOOLS}
NO_TASK = "t-nosuchtask"
EXCEPTION = {
    "plugins": [51192], "hosts": ["192.0.2.1"], "kind": "accepted", "reason": "behind a proxy",
    "owner": "web team", "until": "30d",
}  # fmt: skip
ARGUMENTS: dict[str, dict[str, Any]] = {
    "pause_everything": {}, "resume_everything": {},
    "drain_scanner": {"scanner_instance": "a"}, "undrain_scanner": {"scanner_instance": "a"},
    "retry_dead_letters": {"task_ids": [NO_TASK]}, "purge_dead_letters": {"task_ids": [NO_TASK]},
    "decide_exception": {"exception_id": "x-nosuch", "decision": "approve"},
}  # fmt: skip


class Findings:
    """Knows which tasks were deleted."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    async def delete(self, task_id: str) -> None:
        self.deleted.append(task_id)


class Ledger:
    async def count_covered(self, _rule: object) -> int:
        return 1


@attrs.frozen(kw_only=True)
class Place:
    w: World
    app: App
    findings: Findings
    roles: Roles

    @asynccontextmanager
    async def client(self, peer: Peer = ANN) -> AsyncIterator[Client]:
        async with AsyncExitStack() as stack:
            stream = await stack.enter_async_context(
                wire(cast(Any, self.app), peer=peer, tools=ALL_TOOLS, permits=self.roles.permits)
            )
            yield await stack.enter_async_context(
                Client(
                    client_streams(stream),
                    mode="legacy",
                    client_info=Implementation(name="some-assistant", version="1"),
                )
            )

    async def dead(self, target: str, by: Peer = ANN) -> str:
        """A dead letter."""
        allowed = self.w.context.rights_to
        nobody = RoleSettings(name="none", users=("no-such-user",))
        self.w.context.rights_to = Roles(Config(roles=(nobody,))).rights_to
        assert by.uid is not None
        made = await self.w.service.submit(
            basic(target), actor=by.actor, submitter=Submitter(uid=by.uid, gid=by.gid)
        )
        task = await self.w.settled(made.view.task.task_id)
        self.w.context.rights_to = allowed
        assert task.state is TaskState.DEAD
        return task.task_id

    async def proposal(self, by: Peer) -> str:
        arguments: Any = parse(propose_exception.arguments, EXCEPTION)
        answer = await propose_exception.fn(self.app, Call(peer=by), arguments)
        found: str = answer.exception.exception_id
        return found

    async def used(self) -> list[tuple[str, str, str]]:
        """The tools that the journal says were used, by whom, and with which program."""
        rows = [record.entry for record in await self.w.store.journal(limit=1000)]
        return [
            (row.detail["tool"], row.actor, row.detail["client"])
            for row in rows
            if row.event == "operator_tool_used"
        ]

    async def events(self) -> list[str]:
        return [record.entry.event for record in await self.w.store.journal(limit=1000)]


@asynccontextmanager
async def place(directory: Path, *which: RoleSettings, **changes: Any) -> AsyncIterator[Place]:
    async with one_scanner(directory, roles=which, **changes) as (w, _):
        roles, findings = Roles(w.context.config), Findings()
        app = attrs.evolve(
            app_of(w),
            findings=cast(Any, findings), ledger=cast(Any, Ledger()),
            scopes_of=roles.scopes_of, sees=roles.sees, manages=roles.manages,
            may_approve=roles.may_approve,
        )  # fmt: skip
        yield Place(w=w, app=app, findings=findings, roles=roles)


async def answer(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result
    found: dict[str, Any] | None = result.structured_content
    assert found is not None
    return found


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return result.model_dump_json()


@pytest.mark.parametrize(
    ("role", "has"),
    [
        (PLAIN, set()),
        (APPROVES, set()),
        (OPS, NAMES - {"decide_exception"}),
        (BOTH, NAMES),
        (attrs.evolve(BOTH, read_only=True), set()),
    ],
)
async def test_a_tool_that_the_role_does_not_have_is_neither_listed_nor_called(
    role: RoleSettings, has: set[str], tmp_path: Path, autojump_clock: MockClock
) -> None:
    assert ARGUMENTS.keys() == NAMES
    async with place(tmp_path, role) as there, there.client() as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        assert listed & NAMES == has
        for name in NAMES - has:
            with pytest.raises(MCPError, match=f"Unknown tool: {name}"):
                await client.call_tool(name, ARGUMENTS[name])
        assert await there.used() == []


async def test_hosts_ask_before_what_cannot_be_undone(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with place(tmp_path, BOTH) as there, there.client() as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    for name in ("purge_dead_letters", "decide_exception"):
        hints = tools[name].annotations
        assert hints is not None
        assert (hints.destructive_hint, hints.open_world_hint) == (True, True)
        assert "Only when the user asks for it" in (tools[name].description or "")


async def test_each_use_is_journaled_with_user_and_program(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with place(tmp_path, BOTH) as there, there.client(EVE) as client:
        for name, arguments in ARGUMENTS.items():
            await client.call_tool(name, arguments)
        assert await there.used() == [(name, EVE.actor, "some-assistant") for name in ARGUMENTS]


async def test_dead_letters_are_tried_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with place(tmp_path, OPS) as there, there.client(EVE) as client:
        dead = await there.dead("192.0.2.1")
        alive = await there.w.running("192.0.2.2")
        ids = [dead, NO_TASK, alive.task_id, dead]
        done = await answer(client, "retry_dead_letters", task_ids=ids)
        assert done["retried"] == [dead]
        assert done["refused"].keys() == {NO_TASK, alive.task_id}
        assert (await there.w.task(dead)).state is not TaskState.DEAD
        nothing = await answer(client, "retry_dead_letters", task_ids=[NO_TASK])
        assert nothing["retried"] == []
        assert "invalid_arguments" in await refusal(client, "retry_dead_letters", task_ids=[])


async def test_dead_letters_are_deleted_by_id_alone(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with place(tmp_path, OPS) as there, there.client(EVE) as client:
        first, second = await there.dead("192.0.2.1"), await there.dead("192.0.2.2")
        alive = await there.w.running("192.0.2.3")
        for ids, code in (
            ([], "invalid_arguments"),
            ([first, NO_TASK], "unknown_task"),
            ([first, alive.task_id], "not_possible_now"),
        ):
            assert code in await refusal(client, "purge_dead_letters", task_ids=ids)
        tried = await answer(client, "purge_dead_letters", task_ids=[first], dry_run=True)
        assert tried == {"task_ids": [first], "dry_run": True}
        assert there.findings.deleted == []
        gone = await answer(client, "purge_dead_letters", task_ids=[first])
        assert gone["task_ids"] == there.findings.deleted == [first]
        assert "unknown_task" in await refusal(client, "get_scan_status", task_id=first)
        assert (await there.w.task(second)).state is TaskState.DEAD
        assert "purged" in await there.events()


async def test_dead_letters_of_others_need_the_right_to_manage_them(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    role = attrs.evolve(OPS, manage_others=False)
    async with place(tmp_path, role) as there, there.client(EVE) as client:
        theirs = await there.dead("192.0.2.1", by=ANN)
        done = await answer(client, "retry_dead_letters", task_ids=[theirs])
        assert "manage" in done["refused"][theirs]
        assert "not_permitted" in await refusal(client, "purge_dead_letters", task_ids=[theirs])
        assert (await there.w.task(theirs)).state is TaskState.DEAD


async def test_exceptions_are_decided(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with place(tmp_path, BOTH) as there, there.client(EVE) as client:
        decided = {}
        for decision in ("approve", "revoke", "reject"):
            if decision != "revoke":
                proposal = await there.proposal(ANN)
            found = await answer(
                client, "decide_exception", exception_id=proposal, decision=decision, reason="r"
            )
            decided[decision] = found["status"]
            assert "some-assistant" in found["decided_by"]
        assert decided == {"approve": "approved", "revoke": "revoked", "reject": "rejected"}
        again = {"exception_id": proposal, "decision": "approve"}
        assert "not_possible_now" in await refusal(client, "decide_exception", **again)
        unknown = {**again, "exception_id": "x-nosuch"}
        assert "unknown_exception" in await refusal(client, "decide_exception", **unknown)
        longer = {**again, "decision": "extend"}
        assert "invalid_arguments" in await refusal(client, "decide_exception", **longer)
        events = await there.events()
        for event in ("exception_approved", "exception_revoked", "exception_rejected"):
            assert event in events


async def test_a_second_person_has_to_approve(tmp_path: Path, autojump_clock: MockClock) -> None:
    two = ExceptionSettings(second_person=True)
    async with place(tmp_path, BOTH, exceptions=two) as there, there.client(EVE) as client:
        own = await there.proposal(EVE)
        approve = {"exception_id": own, "decision": "approve"}
        assert "another user" in await refusal(client, "decide_exception", **approve)
        assert there.app.exceptions.in_force() == []
        await answer(client, "decide_exception", exception_id=own, decision="reject")
        other = await there.proposal(BOB)
        await answer(client, "decide_exception", exception_id=other, decision="approve")
        assert len(there.app.exceptions.in_force()) == 1
