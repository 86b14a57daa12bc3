"""Policies."""

from __future__ import annotations

import json
from typing import Any

from nessus_sched.sim.api.bodies import credentials_of, plugins_of, settings_of
from nessus_sched.sim.api.calls import Call
from nessus_sched.sim.exports import Document
from nessus_sched.sim.fields import id_list, text_field
from nessus_sched.sim.messages import EMPTY, ApiError, NotFound, Response, reply
from nessus_sched.sim.policies import Policy, default_settings
from nessus_sched.sim.templates import find_template


def _row(call: Call, policy: Policy) -> dict[str, Any]:
    return {
        "is_scap": 0,
        "has_credentials": int(bool(policy.credentials)),
        "no_target": "false",
        "plugin_filters": None,
        "template_uuid": policy.template.uuid,
        "description": str(policy.settings.get("description", "")),
        "name": policy.name,
        "owner": call.nessus.accounts.username,
        "visibility": "private",
        "shared": 0,
        "user_permissions": 128,
        "last_modification_date": int(policy.modified_at),
        "creation_date": int(policy.created_at),
        "owner_id": 2,
        "id": policy.id,
    }


def list_policies(call: Call) -> Response:
    """Lists policies; null, not [], if there are none."""
    rows = [_row(call, policy) for policy in call.nessus.policies.by_id.values()]
    return reply({"policies": rows or None})


def policy_details(call: Call) -> Response:
    policy = call.nessus.policies.get(call.id)
    settings = {**default_settings(), "description": "", **policy.settings, "name": policy.name}
    return reply({"uuid": policy.template.uuid, "settings": settings})


def create_policy(call: Call) -> Response:
    template = find_template(call.body.get("uuid"))
    settings = settings_of(call, template)
    policy = call.nessus.policies.add(text_field(settings, "name"), template, settings, call.now)
    _take(call, policy)
    call.record("create_policy")
    return reply({"policy_id": policy.id, "policy_name": policy.name})


def edit_policy(call: Call) -> Response:
    policy = call.nessus.policies.get(call.id)
    settings = settings_of(call, policy.template)
    policy.name = text_field(settings, "name", policy.name)
    policy.settings |= settings
    policy.modified_at = call.now
    _take(call, policy)
    return EMPTY


def copy_policy(call: Call) -> Response:
    original = call.nessus.policies.get(call.id)
    name = f"Copy of {original.name}"
    copy = call.nessus.policies.add(name, original.template, dict(original.settings), call.now)
    copy.credentials, copy.plugins = list(original.credentials), dict(original.plugins)
    return reply({"id": copy.id, "name": copy.name})


def delete_policy(call: Call) -> Response:
    _delete(call, call.id)
    return EMPTY


def delete_policies(call: Call) -> Response:
    ids = id_list(call.body)
    known = [policy_id for policy_id in ids if policy_id in call.nessus.policies.by_id]
    for policy_id in known:
        _delete(call, policy_id)
    return reply({"deleted": known})


def prepare_export(call: Call) -> Response:
    policy = call.nessus.policies.get(call.id)
    settings = {**default_settings(), **policy.settings, "name": policy.name}
    content = json.dumps({"uuid": policy.template.uuid, "settings": settings}).encode()
    document = Document(name=f"{policy.name}.nessus", open=lambda: [content], length=len(content))
    export = call.nessus.exports.add(document, ready_at=call.now)
    return reply({"token": export.token})


def import_policy(call: Call) -> Response:
    """Reads what `prepare_export` wrote; the real format is a `.nessus` file."""
    content = call.nessus.uploads.get(text_field(call.body, "file"))
    if content is None:
        raise NotFound
    try:
        value = json.loads(content)
        settings, template = dict(value["settings"]), find_template(value["uuid"])
    except (ValueError, KeyError, TypeError):
        raise ApiError(400, "Invalid policy file") from None
    policy = call.nessus.policies.add(text_field(settings, "name"), template, settings, call.now)
    return reply(_row(call, policy))


def _take(call: Call, policy: Policy) -> None:
    policy.credentials = credentials_of(call, policy.template, policy.credentials)
    policy.plugins = plugins_of(call, policy.template, policy.plugins)


def _delete(call: Call, policy_id: int) -> None:
    if any(scan.policy_id == policy_id for scan in call.nessus.scans.values()):
        raise ApiError(405, "The policy is in use")
    call.nessus.policies.delete(policy_id)
    call.record("delete_policy")
