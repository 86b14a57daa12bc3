"""Users, permissions and agents: one user, and no agent."""

from __future__ import annotations

from typing import Any

from nessus_sched.sim.api.calls import Call
from nessus_sched.sim.messages import EMPTY, NotFound, Response, reply

_USER_ID = 2


def users(call: Call) -> Response:
    return reply({"users": [_user(call)]})


def user(call: Call) -> Response:
    if call.id != _USER_ID:
        raise NotFound
    return reply(_user(call))


def _user(call: Call) -> dict[str, Any]:
    accounts = call.nessus.accounts
    return {
        "id": _USER_ID,
        "username": accounts.username,
        "name": accounts.name,
        "email": accounts.email,
        "type": "local",
        "permissions": call.nessus.permissions,
        "lastlogin": int(accounts.last_login),
    }


def permissions(call: Call) -> Response:
    """No object is shared."""
    return reply({"acls": [{"type": "default", "permissions": 0, "owner": None, "id": call.id}]})


def set_permissions(_call: Call) -> Response:
    return EMPTY


def agents(_call: Call) -> Response:
    pagination = {"total": 0, "limit": 1000, "offset": 0, "sort": []}
    return reply({"agents": [], "pagination": pagination})


def agent_groups(_call: Call) -> Response:
    return reply({"groups": []})
