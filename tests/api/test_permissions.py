"""Roles: who may call what, on which targets."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import Any

import attrs
import pytest
from trio.testing import MockClock

from nessus_sched.api import validation
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.permissions import Roles, warnings
from nessus_sched.api.tools import ALL_TOOLS, TOOLS
from nessus_sched.config.schema import Config, RoleSettings
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.ipc.peer import Peer
from support.apps import app_of
from support.world import one_scanner

STRANGER = 54321


def peer(uid: int, gid: int = STRANGER) -> Peer:
    return Peer(connection="c1", uid=uid, gid=gid)


def allowed(roles: Roles, who: Peer) -> set[str]:
    return {tool.name for tool in ALL_TOOLS if roles.permits(who, tool)}


OPERATOR_TOOLS = {
    "pause_everything", "resume_everything", "drain_scanner", "undrain_scanner",
    "retry_dead_letters", "purge_dead_letters",
}  # fmt: skip
EVERYTHING = {tool.name for tool in TOOLS}


def test_without_roles_everybody_may_do_everything() -> None:
    roles = Roles(Config())
    assert allowed(roles, peer(STRANGER)) == EVERYTHING
    assert roles.scopes_of(peer(STRANGER)) == ()


def test_with_roles_a_caller_whom_none_names_may_do_nothing() -> None:
    roles = Roles(Config(roles=(RoleSettings(name="ops", users=("no-such-user",)),)))
    assert allowed(roles, peer(STRANGER)) == set()


@pytest.mark.parametrize("uid", [0, os.getuid()])
def test_root_and_the_daemons_own_user_may_always_do_everything(uid: int) -> None:
    roles = Roles(Config(roles=(RoleSettings(name="none", tools=()),)))
    assert allowed(roles, peer(uid)) == EVERYTHING


def test_a_read_only_role_has_only_the_tools_that_change_nothing() -> None:
    roles = Roles(Config(roles=(RoleSettings(name="see", users=("*",), read_only=True),)))
    found = allowed(roles, peer(STRANGER))
    assert "list_tasks" in found
    assert found == {tool.name for tool in TOOLS if not tool.writes}


@pytest.mark.parametrize("uid", [0, os.getuid(), STRANGER])
def test_operator_tools_are_for_those_whose_role_has_them(uid: int) -> None:
    off = RoleSettings(name="off", users=("*",))
    on = attrs.evolve(off, operator_tools=True)
    assert allowed(Roles(Config()), peer(uid)) == EVERYTHING
    assert allowed(Roles(Config(roles=(off,))), peer(uid)) == EVERYTHING
    assert allowed(Roles(Config(roles=(on,))), peer(uid)) == EVERYTHING | OPERATOR_TOOLS
    both = attrs.evolve(on, approve_exceptions=True)
    decides = EVERYTHING | OPERATOR_TOOLS | {"decide_exception"}
    assert allowed(Roles(Config(roles=(both,))), peer(uid)) == decides
    approves = attrs.evolve(off, approve_exceptions=True)
    assert allowed(Roles(Config(roles=(approves,))), peer(uid)) == EVERYTHING
    listed = Roles(Config(roles=(attrs.evolve(on, tools=("drain_scanner",)),)))
    assert OPERATOR_TOOLS & allowed(listed, peer(STRANGER)) == {"drain_scanner"}


def test_the_first_role_that_names_the_caller_counts_by_group_or_number() -> None:
    gid = grp.getgrall()[-1].gr_gid
    roles = Roles(
        Config(
            roles=(
                RoleSettings(name="group", groups=(str(gid),), tools=("list_tasks",)),
                RoleSettings(name="user", users=(str(STRANGER),), tools=("get_scan_status",)),
            )
        )
    )
    assert allowed(roles, peer(STRANGER, gid)) == {"list_tasks"}
    assert allowed(roles, peer(STRANGER)) == {"get_scan_status"}


def test_a_user_is_known_by_name() -> None:
    user = next(each for each in pwd.getpwall() if each.pw_uid not in (0, os.getuid()))
    roles = Roles(Config(roles=(RoleSettings(name="by name", users=(user.pw_name,)),)))
    assert allowed(roles, peer(user.pw_uid)) == EVERYTHING


def test_a_role_narrows_the_targets() -> None:
    roles = Roles(
        Config(roles=(RoleSettings(name="lab", users=("*",), targets=("192.0.2.0/28",)),))
    )
    (scope,) = roles.scopes_of(peer(STRANGER))
    assert scope.check(parse_targets("192.0.2.1"), {}) == ()
    assert scope.check(parse_targets("192.0.2.200"), {})


async def test_a_submission_is_held_to_the_targets_of_its_callers_role(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    lab = RoleSettings(name="lab", users=("*",), targets=("192.0.2.0/28",))
    submit = TOOLS.get("submit_scan")
    assert submit is not None
    async with one_scanner(tmp_path) as (w, _scanner):
        app = attrs.evolve(app_of(w), scopes_of=Roles(Config(roles=(lab,))).scopes_of)
        call = Call(peer=peer(STRANGER))
        with pytest.raises(ToolError, match=r"192\.0\.2\.200"):
            await submit.fn(
                app, call, validation.parse(submit.arguments, {"targets": ["192.0.2.200"]})
            )
        within: Any = validation.parse(submit.arguments, {"targets": ["192.0.2.1"]})
        assert (await submit.fn(app, call, within)).task_id


def test_a_tool_that_does_not_exist_is_noticed() -> None:
    config = Config(roles=(RoleSettings(name="typo", tools=("list_task", "list_tasks")),))
    assert "role typo: there is no tool 'list_task'" in warnings(config, 0.0)
    assert not any("list_tasks" in warning for warning in warnings(config, 0.0))
