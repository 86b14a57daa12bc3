"""Roles: what the caller of the socket may do, by user and group."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Sequence

from nessus_sched.api.admin import OPERATORS
from nessus_sched.api.operations import ToolDef
from nessus_sched.api.tools import TOOLS
from nessus_sched.config.schema import Config, RoleSettings
from nessus_sched.config.warnings import warnings as config_warnings
from nessus_sched.core.targets.scope import Scope
from nessus_sched.ipc.peer import Peer

EVERYBODY = "*"
NOTHING = RoleSettings(name="nobody", tools=(), read_only=True, targets=())
"""Of a caller whom no role names, as soon as there are roles."""


class Roles:
    """The roles of one configuration. Users and groups are looked up once per caller and
    remembered until the configuration is loaded again."""

    def __init__(self, config: Config) -> None:
        self._roles = config.roles
        self._max_addresses = config.targets.max_addresses
        self._found: dict[tuple[int | None, int | None], RoleSettings | None] = {}

    def permits(self, peer: Peer, tool: ToolDef) -> bool:
        role = self.role_of(peer)
        if role is None:
            return True
        if role.read_only and tool.writes:
            return False
        return role.tools is None or tool.name in role.tools

    def scopes_of(self, peer: Peer) -> Sequence[Scope]:
        """The limits on targets that come on top of the configuration's own."""
        role = self.role_of(peer)
        if role is None or role.targets is None:
            return ()
        return (Scope(role.targets, (), max_addresses=self._max_addresses),)

    def role_of(self, peer: Peer) -> RoleSettings | None:
        """The role that counts; None when there is no limit."""
        if not self._roles or peer.uid in (0, os.getuid()):
            return None
        key = (peer.uid, peer.gid)
        if key not in self._found:
            self._found[key] = self._first_match(peer)
        return self._found[key]

    def stranger(self, peer: Peer) -> str | None:
        """Why a caller may not connect at all; None if a role names it."""
        if self.role_of(peer) is not NOTHING:
            return None
        return f"no role names your user (uid {peer.uid}): the operator can add it under roles"

    def _first_match(self, peer: Peer) -> RoleSettings:
        users, groups = _users(peer.uid), _groups(peer.uid, peer.gid)
        for role in self._roles:
            if EVERYBODY in role.users or users & set(role.users) or groups & set(role.groups):
                return role
        return NOTHING


def warnings(config: Config) -> tuple[str, ...]:
    """What is allowed but unwise, as `config.warnings`; and names in roles that no tool has: a
    role that is meant to allow them allows nothing."""
    known = {tool.name for tool in (*TOOLS, *OPERATORS)}
    unknown = (
        f"role {role.name}: there is no tool {tool!r}"
        for role in config.roles
        for tool in role.tools or ()
        if tool not in known
    )
    return (*config_warnings(config), *unknown)


def _users(uid: int | None) -> set[str]:
    if uid is None:
        return set()
    try:
        return {str(uid), pwd.getpwuid(uid).pw_name}
    except KeyError:
        return {str(uid)}


def _groups(uid: int | None, gid: int | None) -> set[str]:
    """Names and numbers of all groups of a user."""
    if uid is None or gid is None:
        return set()
    try:
        numbers = set(os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))
    except KeyError:
        numbers = {gid}
    return {str(number) for number in numbers} | {_group_name(number) for number in numbers}


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
