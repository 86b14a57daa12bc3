"""Roles: what the caller of the socket may do, by user and group."""

from __future__ import annotations

import os
from collections.abc import Sequence

from nessus_sched.api.operations import ToolDef
from nessus_sched.api.submit import submit_tool
from nessus_sched.api.tools import ALL_TOOLS, OPERATORS
from nessus_sched.config.schema import Config, RoleSettings
from nessus_sched.config.warnings import warnings as config_warnings
from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import ScanKind, Task
from nessus_sched.ipc.peer import Peer
from nessus_sched.ipc.users import Users, UsersUnavailable
from nessus_sched.scheduler.context import Context, Rights, RightsUnknown

EVERYBODY = "*"
NOTHING = RoleSettings(name="nobody", tools=(), read_only=True, targets=())
"""The role of a caller that matches none, once roles are configured."""


class Roles:
    """The roles of one configuration. Users and groups are looked up once per caller and
    remembered until the configuration is loaded again."""

    def __init__(self, config: Config, users: Users | None = None) -> None:
        self.users = users or Users()
        self._roles = config.roles
        self._max_addresses = config.targets.max_addresses
        self._scopes: dict[str, tuple[Scope, ...]] = {}
        self._found: dict[tuple[int | None, int | None], RoleSettings] = {}

    def permits(self, peer: Peer, tool: ToolDef) -> bool:
        role = self.role_of(peer)
        if tool.operator and not self._operator(peer):
            return False
        if tool.approves and not self._first_match(peer).approve_exceptions:
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

    async def rights_to(self, task: Task) -> Rights:
        """What the role of a task's submitter allows now: at launch that counts, not what it
        allowed at submission. Raises `RightsUnknown`."""
        submitter = submitter_of(task)
        if self._roles:
            try:
                await self.users.learn(submitter)
            except UsersUnavailable as error:
                raise RightsUnknown(str(error)) from error
        return Rights(
            refusal=self._refusal(self.role_of(submitter), task),
            scopes=self.scopes_of(submitter),
        )

    def may_submit(self, peer: Peer, kind: ScanKind) -> bool:
        """Whether the peer may submit scans of that kind, by whatever tool."""
        return _may_submit(self.role_of(peer), kind)

    def may_approve(self, peer: Peer) -> bool:
        """Whether the peer may decide about exceptions for findings."""
        role = self.role_of(peer)
        return role is None or role.approve_exceptions

    def _refusal(self, role: RoleSettings | None, task: Task) -> str | None:
        if role is None or _may_submit(role, task.request.kind):
            return None
        tool = submit_tool(task.request.kind)
        if role is NOTHING:
            return "no role names its submitter any longer"
        if role.read_only:
            return f"the role of its submitter, {role.name}, is read-only now"
        return f"the role of its submitter, {role.name}, no longer has {tool}"

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
        return self._first_match(peer)

    async def admit(self, peer: Peer) -> str | None:
        """Why a caller may not connect; None if it may. It is known from here on."""
        try:
            await self.users.learn(peer)
        except UsersUnavailable as error:
            return str(error)
        return self.stranger(peer)

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
        key = (peer.uid, peer.gid)
        if key not in self._found:
            user = self.users.of(peer)
            named = (
                role
                for role in self._roles
                if EVERYBODY in role.users
                or not user.users.isdisjoint(role.users)
                or not user.groups.isdisjoint(role.groups)
            )
            self._found[key] = next(named, NOTHING)
        return self._found[key]


class CurrentRoles:
    """The roles of the current configuration."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._config = context.config
        self._roles = Roles(context.config)

    def now(self) -> Roles:
        if self._context.config is not self._config:
            self._config = self._context.config
            self._roles = Roles(self._config)
        return self._roles


def warnings(config: Config, now: float) -> tuple[str, ...]:
    """What is allowed but unwise, as `config.warnings`; and names in roles that no tool has: a
    role that is meant to allow them allows nothing."""
    known = {tool.name for tool in (*ALL_TOOLS, *OPERATORS)}
    unknown = (
        f"role {role.name}: there is no tool {tool!r}"
        for role in config.roles
        for tool in role.tools or ()
        if tool not in known
    )
    return (*config_warnings(config, now), *unknown)


def _may_submit(role: RoleSettings | None, kind: ScanKind) -> bool:
    if role is None:
        return True
    return not role.read_only and (role.tools is None or submit_tool(kind) in role.tools)


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
