"""Exceptions through tools and operator actions: who may do what, and what is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
from trio.testing import MockClock

from nessus_sched.api.app import App
from nessus_sched.api.exceptions.admin import (
    DecideArgs,
    PutArgs,
    ShowArgs,
    decide_exception,
    put_exception,
    show_exception,
)
from nessus_sched.api.exceptions.definition import ProposeArgs
from nessus_sched.api.exceptions.tools import (
    ListExceptionsArgs,
    list_exceptions,
    propose_exception,
)
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.permissions import Roles
from nessus_sched.api.tools import ALL_TOOLS, OPERATORS, TOOLS
from nessus_sched.config.exceptions import ExceptionSettings
from nessus_sched.config.schema import RoleSettings
from nessus_sched.core.exceptions.exception import Decision
from nessus_sched.core.exceptions.rule import ExceptionKind, Rule
from nessus_sched.ipc.peer import Peer
from support.apps import app_of
from support.world import one_scanner

ALICE, BOB, CAROL = 54321, 54322, 54323


def call(uid: int = ALICE, client: str = "claude-ai") -> Call:
    return Call(peer=Peer(connection="c1", uid=uid, gid=uid), client=client)


def given(plugin: int = 51192, **changes: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "plugins": [plugin],
        "hosts": ["192.0.2.0/28"],
        "kind": ExceptionKind.ACCEPTED,
        "reason": "behind a proxy",
        "owner": "web team",
        "until": "90d",
    }
    return {**usual, **changes}


async def propose(app: App, who: int = ALICE, **changes: Any) -> Any:
    return await propose_exception.fn(app, call(who), ProposeArgs(**given(**changes)))


async def decide(app: App, who: int, exception_id: str, decision: Decision, **more: Any) -> Any:
    arguments = DecideArgs(exception_id=exception_id, decision=decision, **more)
    return await decide_exception.fn(app, call(who, "nessus-sched"), arguments)


async def put(app: App, who: int = ALICE, **changes: Any) -> Any:
    return await put_exception.fn(app, call(who, "nessus-sched"), PutArgs(**given(**changes)))


async def listed(app: App, who: int = ALICE, **arguments: Any) -> list[str]:
    answer = await list_exceptions.fn(app, call(who), ListExceptionsArgs(**arguments))
    return [each.exception_id for each in answer.exceptions]


class FakeLedger:
    """Has five open findings of each plugin but the 7th."""

    async def count_covered(self, rule: Rule) -> int:
        return 5 * sum(plugin != 7 for plugin in rule.plugins)


@asynccontextmanager
async def an_app(tmp_path: Path, *roles: RoleSettings, **changes: Any) -> AsyncIterator[App]:
    async with one_scanner(tmp_path, roles=roles, **changes) as (w, _):
        found = Roles(w.context.config)
        yield attrs.evolve(
            app_of(w),
            ledger=cast(Any, FakeLedger()),
            scopes_of=found.scopes_of,
            may_approve=found.may_approve,
        )


ROLES = (
    RoleSettings(name="models", users=(str(ALICE),), targets=("192.0.2.0/24",)),
    RoleSettings(name="risk", users=(str(BOB),), approve_exceptions=True),
    RoleSettings(
        name="branch", users=(str(CAROL),), targets=("198.51.100.0/24",), approve_exceptions=True
    ),
)


def test_no_tool_for_models_decides_without_both_roles() -> None:
    tools = {tool.name for tool in TOOLS if "exception" in tool.name}
    assert tools == {"propose_exception", "list_exceptions"}
    for tool in ALL_TOOLS:
        if "exception" in tool.name and tool.name not in tools:
            assert (tool.name, tool.operator, tool.approves) == ("decide_exception", True, True)
    assert {tool.name for tool in OPERATORS if "exception" in tool.name} == {
        "decide_exception", "put_exception", "show_exception",
    }  # fmt: skip
    for name in ("status", "approve", "exception_id", "decision"):
        assert name not in ALL_TOOLS.get("propose_exception").input_schema["properties"]  # type: ignore[union-attr]


async def test_a_proposal_says_that_a_person_has_to_approve_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with an_app(tmp_path) as app:
        answer = await propose(app, port="443/tcp", cves=["cve-2014-0160"])
        found = answer.exception
        assert found.status == "proposed"
        assert found.proposed_by.endswith("with claude-ai")
        assert (found.port, found.cves, found.decided_by) == ("443/tcp", ["CVE-2014-0160"], None)
        assert f"nessus-sched exceptions approve {found.exception_id}" in answer.notes[0]
        assert answer.concerns == 5
        assert app.exceptions.in_force() == []
        nowhere = await propose(app, plugin=7)
        assert "No open finding matches it" in nowhere.notes[1]
        wide = await propose(app, plugin=2, hosts=["*"])
        assert "all hosts" in wide.notes[1]
        elsewhere = await propose(app, plugin=3, hosts=["203.0.113.1"])
        assert "outside what may be scanned" in elsewhere.notes[1]


async def test_every_mistake_is_said_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with an_app(tmp_path) as app:
        with pytest.raises(ToolError) as caught:
            await propose(app, plugin=-1, hosts=["a b!"], until="never", reason="\u200b ")
        assert caught.value.code == "bad_exception"
        for field in ("reason", "plugins", "hosts", "until"):
            assert f"{field}:" in caught.value.message.lower()
        assert app.exceptions.all() == []


async def test_roles_decide_who_decides(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with an_app(tmp_path, *ROLES) as app:
        first = (await propose(app)).exception.exception_id
        for decision in (Decision.APPROVE, Decision.REVOKE, Decision.EXTEND):
            with pytest.raises(ToolError, match="may not decide") as caught:
                await decide(app, ALICE, first, decision)
            assert "approve_exceptions" in caught.value.hint
        with pytest.raises(ToolError, match="may not decide"):
            await put(app, plugin=2, approve=True)
        assert len(app.exceptions.all()) == 1
        with pytest.raises(ToolError, match="not among the targets of your role"):
            await decide(app, CAROL, first, Decision.APPROVE)
        assert (await decide(app, BOB, first, Decision.APPROVE)).status == "approved"
        own = (await propose(app, plugin=3)).exception.exception_id
        assert (await decide(app, ALICE, own, Decision.REJECT)).status == "rejected"
        other = (await propose(app, BOB, plugin=4)).exception.exception_id
        with pytest.raises(ToolError, match="may not decide"):
            await decide(app, ALICE, other, Decision.REJECT)


async def test_roles_limit_hosts(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with an_app(tmp_path, *ROLES) as app:
        for hosts in (["*"], ["198.51.100.1"], ["192.0.2.1", "www.example.com"]):
            with pytest.raises(ToolError, match="not among the targets of your role"):
                await propose(app, hosts=hosts)
        mine = (await propose(app)).exception.exception_id
        everywhere = (await propose(app, BOB, hosts=["*"])).exception.exception_id
        branch = (await propose(app, CAROL, hosts=["198.51.100.0/25"])).exception.exception_id
        assert await listed(app) == [mine, everywhere]
        assert await listed(app, BOB) == [mine, everywhere, branch]
        assert await listed(app, CAROL) == [everywhere, branch]
        with pytest.raises(ToolError, match="not among the targets"):
            await decide(app, CAROL, everywhere, Decision.APPROVE)
        with pytest.raises(ToolError, match="not among the targets"):
            await show_exception.fn(app, call(CAROL), ShowArgs(exception_id=mine))


async def test_filters_and_pages(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with an_app(tmp_path) as app:
        ids = [(await propose(app, plugin=n)).exception.exception_id for n in range(1, 31)]
        await decide(app, BOB, ids[0], Decision.REJECT)
        name = (await propose(app, plugin=99, hosts=["www.example.com"])).exception.exception_id
        assert await listed(app, about="7") == [ids[6]]
        assert await listed(app, about=ids[0]) == [ids[0]]
        assert await listed(app, host="WWW.example.com.") == [name]
        assert len(await listed(app, host="192.0.2.15", limit=100)) == 29
        assert await listed(app, host="192.0.2.16") == await listed(app, host="*") == []
        assert await listed(app, status="rejected") == [ids[0]]
        assert len(await listed(app, status="all", limit=100)) == 31
        with pytest.raises(ToolError, match="status: one of open, all, proposed"):
            await listed(app, status="alive")
        found, cursor = [], None
        for _ in range(10):
            page = await list_exceptions.fn(
                app, call(), ListExceptionsArgs(status="all", limit=7, cursor=cursor)
            )
            found += [each.exception_id for each in page.exceptions]
            if (cursor := page.next_cursor) is None:
                break
        assert found == [*ids, name]


async def test_putting_one_twice_changes_it_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with an_app(tmp_path) as app:
        terms: dict[str, Any] = {"until": "2027-06-30T00:00Z"}
        assert (await put(app, **terms, dry_run=True)).change == "proposed"
        assert app.exceptions.all() == []
        assert (await put(app, **terms)).change == "proposed"
        assert (await put(app, **terms)).change == "unchanged"
        assert (await put(app, **terms, approve=True, dry_run=True)).change == "approved"
        assert (await put(app, **terms, approve=True)).change == "approved"
        later: dict[str, Any] = {"until": "2027-07-31T00:00Z"}
        with pytest.raises(ToolError, match="same rule and is approved"):
            await put(app, **later)
        answer = await put(app, **later, approve=True, owner="another")
        assert (answer.change, answer.exception.owner) == ("extended", "another")
        assert answer.exception.until.startswith("2027-07-31")
        (only,) = app.exceptions.all()
        await decide(app, BOB, only.exception_id, Decision.REVOKE)
        assert (await put(app, **later, approve=True, owner="another")).change == "unchanged"
        assert app.exceptions.in_force() == []
        assert (await put(app, **terms, approve=True, reason="once more")).change == "approved"


async def test_a_second_person_cannot_be_left_out(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with an_app(tmp_path, exceptions=ExceptionSettings(second_person=True)) as app:
        for dry_run in (True, False):
            with pytest.raises(ToolError, match="another user") as caught:
                await put(app, approve=True, dry_run=dry_run)
            assert caught.value.code == "second_person_needed"
        made = await put(app, until="2027-06-30")
        with pytest.raises(ToolError, match="another user"):
            await put(app, until="2027-06-30", approve=True)
        assert (await put(app, BOB, until="2027-06-30", approve=True)).change == "approved"
        with pytest.raises(ToolError, match="another user"):
            await put(app, until="2027-07-31", approve=True)
        assert len(app.exceptions.all()) == 1
        assert app.exceptions.named(made.exception.exception_id).decided_by == f"uid:{BOB}"


@pytest.mark.parametrize("decision", [Decision.APPROVE, Decision.REJECT, Decision.REVOKE])
async def test_only_an_extension_has_an_end(
    tmp_path: Path, autojump_clock: MockClock, decision: Decision
) -> None:
    async with an_app(tmp_path) as app:
        made = (await propose(app)).exception.exception_id
        with pytest.raises(ToolError, match="has no meaning"):
            await decide(app, BOB, made, decision, until="90d")
        await decide(app, BOB, made, Decision.APPROVE)
        for until in (None, "400d", "2020-01-01"):
            with pytest.raises(ToolError) as caught:
                await decide(app, BOB, made, Decision.EXTEND, until=until)
            assert caught.value.code == "bad_exception"
