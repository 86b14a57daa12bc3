"""Roles: who may call what, on which targets."""

from __future__ import annotations

import grp
import os
import pwd

import pytest

from nessus_sched.config.schema import Config, RoleSettings
from nessus_sched.core.targets import parse_targets
from nessus_sched.mcp.peer import Peer
from nessus_sched.mcp.roles import Roles, warnings
from nessus_sched.mcp.tools import TOOLS

STRANGER = 54321


def peer(uid: int, gid: int = STRANGER) -> Peer:
    return Peer(connection="c1", uid=uid, gid=gid)


def allowed(roles: Roles, who: Peer) -> set[str]:
    return {tool.name for tool in TOOLS if roles.permits(who, tool)}


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


def test_a_tool_that_does_not_exist_is_noticed() -> None:
    config = Config(roles=(RoleSettings(name="typo", tools=("list_task", "list_tasks")),))
    assert "role typo: there is no tool 'list_task'" in warnings(config)
    assert not any("list_tasks" in warning for warning in warnings(config))
