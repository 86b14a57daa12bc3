"""The editor: templates, and the settings of scans and policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nessus_sched.sim.api.calls import Call
from nessus_sched.sim.api.details import plugin_description
from nessus_sched.sim.api.forms import credential_data, setting_parts
from nessus_sched.sim.blueprints import Node, audit_categories, blueprint
from nessus_sched.sim.exports import Document
from nessus_sched.sim.findings.logins import SentCredential
from nessus_sched.sim.findings.plugins import catalog, families
from nessus_sched.sim.messages import NotFound, Response, reply
from nessus_sched.sim.refusals import Refusal
from nessus_sched.sim.templates import Template, find_template, templates


def template_list(call: Call) -> Response:
    _check_type(call)
    edition = call.nessus.options.license
    offered = {} if Refusal.NO_TEMPLATES in call.nessus.refuses else templates()
    return reply({"templates": [row.as_json(edition) for row in offered.values()] or None})


def template_details(call: Call) -> Response:
    _check_type(call)
    uuid = call.params["uuid"]
    if uuid not in templates() or Refusal.NO_TEMPLATES in call.nessus.refuses:
        raise NotFound
    return reply(_editor(call, find_template(uuid), {}, []))


def object_details(call: Call) -> Response:
    """The editor of a scan or policy; credentials are listed with masked secrets."""
    if _check_type(call) == "scan":
        scan = call.nessus.engine.get(call.id)
        template = find_template(scan.template_uuid)
        values = {**scan.settings, "name": scan.name, "text_targets": ",".join(scan.targets)}
        return reply(_editor(call, template, values, scan.credentials))
    policy = call.nessus.policies.get(call.id)
    values = {**policy.settings, "name": policy.name}
    return reply(_editor(call, policy.template, values, policy.credentials))


def plugin_of_family(call: Call) -> Response:
    plugin = catalog().get(call.number("plugin_id"))
    if plugin is None:
        raise NotFound
    return reply({"plugindescription": plugin_description(plugin)})


def prepare_audit(call: Call) -> Response:
    audit_id = call.params["audit_id"]
    if not any(audit["id"] == audit_id for each in audit_categories() for audit in each["audits"]):
        raise NotFound
    content = f'# {audit_id}\n<check_type:"Unix">\n</check_type>\n'.encode()
    document = Document(name=audit_id, open=lambda: [content], length=len(content))
    return reply({"token": call.nessus.exports.add(document, ready_at=call.now).token})


def _check_type(call: Call) -> str:
    if call.params["type"] not in ("scan", "policy"):
        raise NotFound
    return call.params["type"]


def _editor(
    call: Call,
    template: Template,
    values: Mapping[str, Any],
    credentials: list[SentCredential],
) -> dict[str, Any]:
    plan = blueprint(template.name)
    answer = {
        "uuid": template.uuid,
        "title": template.title,
        "name": values.get("name", template.name),
        "is_agent": template.is_agent or None,
        "is_was": None,
        "dynamic_scan": template.dynamic_scan,
        "owner": call.nessus.accounts.username,
        "user_permissions": 128,
        "migrated": 0,
        "filter_attributes": [],
        "settings": setting_parts(template.name, values, scan=call.params["type"] == "scan"),
        "credentials": {"data": credential_data(plan, credentials)},
        "compliance": {"data": _compliance() if plan["compliance"] else []},
        "plugins": {"families": None},
    }
    if plan["families"] and call.request.headers.get("x-api-version") == "2":
        answer["plugins"] = {"families": _families()}
    return answer


def _compliance() -> list[dict[str, Any]]:
    """Each category starts with an entry without id, for uploading an audit."""
    return [
        {
            "name": category["name"],
            "required_creds": category["required_creds"],
            "audits": [_own_audit(category), *map(_feed_audit, category["audits"])],
        }
        for category in audit_categories()
    ]


def _own_audit(category: Node) -> dict[str, Any]:
    file = {"id": "file", "name": "Audit file", "type": "file", "default": None, "required": True}
    return {
        "inputs": [file],
        "type": "custom",
        "name": f"(Upload a custom {category['name']} audit file)",
        "free": 1,
        "unlimited": True,
    }


def _feed_audit(audit: Node) -> dict[str, Any]:
    variables = [
        {"id": name, "name": name, "type": "entry", "default": default, "required": 1}
        for name, default in audit["variables"].items()
    ]
    return {
        "id": audit["id"],
        "inputs": variables or None,
        "type": "feed",
        "name": audit["name"],
        "free": 1,
    }


def _families() -> dict[str, dict[str, Any]]:
    return {
        name: {"count": len(plugins), "id": number, "locked": 0, "status": "enabled"}
        for number, (name, plugins) in enumerate(families().items(), start=1)
    }
