"""Roles: what the caller of the socket may do, by user and group."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Sequence

from nessus_sched.api.admin import OPERATORS
from nessus_sched.api.operations import ToolDef
from nessus_sched.api.tools import ALL_TOOLS
from nessus_sched.config.schema import Config, RoleSettings
from nessus_sched.config.warnings import warnings as config_warnings
from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import Task
from nessus_sched.ipc.peer import Peer, user_name

EVERYBODY = "*"
NOTHING = RoleSettings(name="nobody", tools=(), read_only=True, targets=())
"""Of a caller whom no role names, as soon as there are roles."""


class Roles:
    """The roles of one configuration. Users and groups are looked up once per caller and
    remembered until the configuration is loaded again."""

    def __init__(self, config: Config) -> None:
        self._roles = config.roles
        self._max_addresses = config.targets.max_addresses
        self._scopes: dict[str, tuple[Scope, ...]] = {}
        self._found: dict[tuple[int | None, int | None], RoleSettings | None] = {}

    def permits(self, peer: Peer, tool: ToolDef) -> bool:
        role = self.role_of(peer)
        if tool.operator and not self._operator(peer):
            return False
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
        if role.name not in self._scopes:
            limit = Scope(role.targets, (), max_addresses=self._max_addresses)
            self._scopes[role.name] = (limit,)
        return self._scopes[role.name]

    def scopes_for(self, task: Task) -> Sequence[Scope]:
        """The limits that the role of a task's submitter has now: at launch they count, not
        those at submission."""
        return self.scopes_of(submitter_of(task))

    def sees(self, peer: Peer, task: Task) -> bool:
        """Whether the task, and what it found, is shown to the peer: its own tasks, and those
        whose targets are all among the targets of its role."""
        limits = self.scopes_of(peer)
        return not limits or _owns(peer, task) or all(_covers(limit, task) for limit in limits)

    def manages(self, peer: Peer, task: Task) -> bool:
        """Whether the peer may cancel, pause, resume, retry and purge the task."""
        role = self.role_of(peer)
        if role is None or _owns(peer, task):
            return True
        return role.manage_others and self.sees(peer, task)

    def role_of(self, peer: Peer) -> RoleSettings | None:
        """The role that counts; None when there is no limit."""
        if not self._roles or peer.uid in (0, os.getuid()):
            return None
        key = (peer.uid, peer.gid)
        if key not in self._found:
            self._found[key] = self._first_match(peer)
        return self._found[key]

    def _operator(self, peer: Peer) -> bool:
        """Whether the peer was given the operator's tools, as root and the daemon's own user
        must be, too: they are a model's more often than not."""
        return bool(self._roles) and self._first_match(peer).operator_tools

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
    known = {tool.name for tool in (*ALL_TOOLS, *OPERATORS)}
    unknown = (
        f"role {role.name}: there is no tool {tool!r}"
        for role in config.roles
        for tool in role.tools or ()
        if tool not in known
    )
    return (*config_warnings(config), *unknown)


def submitter_of(task: Task) -> Peer:
    """The peer that submitted a task, as far as it is known."""
    who = task.submitter
    if who is not None:
        return Peer(connection="submitter", uid=who.uid, gid=who.gid)
    kind, _, uid = task.actor.partition(":")
    known = int(uid) if kind == "uid" and uid.isdecimal() else None
    return Peer(connection="submitter", uid=known)


def _owns(peer: Peer, task: Task) -> bool:
    return peer.uid is not None and peer.uid == submitter_of(task).uid


def _covers(limit: Scope, task: Task) -> bool:
    """Its targets, and the addresses that their names had at submission."""
    texts = [each for each in (task.request.targets, task.resolved) if each]
    return bool(texts) and all(limit.covers(parse_targets(each)) for each in texts)


def _users(uid: int | None) -> set[str]:
    return {str(uid), user_name(uid) or str(uid)} if uid is not None else set()


def _groups(uid: int | None, gid: int | None) -> set[str]:
    """Names and numbers of all groups of a user; `gid` is the primary one, where known."""
    if uid is None:
        return set()
    try:
        user = pwd.getpwuid(uid)
        numbers = set(os.getgrouplist(user.pw_name, user.pw_gid if gid is None else gid))
    except KeyError:
        numbers = set() if gid is None else {gid}
    return {str(number) for number in numbers} | {_group_name(number) for number in numbers}


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
