"""The editor: templates, and what can be set in a scan or a policy."""

from __future__ import annotations

from typing import Any

from nessus_sched.sim.api.calls import Call
from nessus_sched.sim.api.details import plugin_description
from nessus_sched.sim.exports import Document
from nessus_sched.sim.findings.logins import SentCredential
from nessus_sched.sim.findings.plugins import catalogue, families
from nessus_sched.sim.policies import default_settings
from nessus_sched.sim.refusals import Refusal
from nessus_sched.sim.templates import Template, find_template, templates
from nessus_sched.sim.wire import NotFound, Response, reply

_MASK = "********"
_SECRETS = ("password", "passphrase", "secret", "community", "private_key", "token")
_SSH_METHODS = ("certificate", "Kerberos", "password", "public key")
_WINDOWS_METHODS = ("Kerberos", "LM Hash", "NTLM Hash", "Password")
_ESCALATIONS = (
    "Nothing",
    ".k5login",
    "Checkpoint Gaia 'expert'",
    "Cisco 'enable'",
    "dzdo",
    "pbrun",
    "su",
    "su+sudo",
    "sudo",
)
AUDITS = {
    "Unix": ("CIS_Ubuntu_22.04_Server_L1.audit", "CIS_Debian_11_Server_L1.audit"),
    "Windows": ("CIS_MS_Windows_Server_2019_L1.audit", "CIS_MS_Windows_10_L1.audit"),
}


def template_list(call: Call) -> Response:
    _check_type(call)
    edition = call.nessus.options.licence
    offered = {} if Refusal.NO_TEMPLATES in call.nessus.refuses else templates()
    return reply({"templates": [row.as_json(edition) for row in offered.values()] or None})


def template_details(call: Call) -> Response:
    _check_type(call)
    uuid = call.params["uuid"]
    if uuid not in templates() or Refusal.NO_TEMPLATES in call.nessus.refuses:
        raise NotFound
    return reply(_editor(call, find_template(uuid), {}, []))


def object_details(call: Call) -> Response:
    """Of a scan or a policy; its credentials are listed, their secrets masked."""
    if _check_type(call) == "scan":
        scan = call.nessus.engine.get(call.id)
        template = find_template(scan.template_uuid)
        values = {**scan.settings, "name": scan.name, "text_targets": ",".join(scan.targets)}
        return reply(_editor(call, template, values, scan.credentials))
    policy = call.nessus.policies.get(call.id)
    values = {**policy.settings, "name": policy.name}
    return reply(_editor(call, policy.template, values, policy.credentials))


def plugin_of_family(call: Call) -> Response:
    plugin = catalogue().get(call.number("plugin_id"))
    if plugin is None:
        raise NotFound
    return reply({"plugindescription": plugin_description(plugin)})


def prepare_audit(call: Call) -> Response:
    audit = _audit_by_id(call.params["audit_id"])
    content = f'# {audit}\n<check_type:"Unix">\n</check_type>\n'.encode()
    document = Document(name=audit, open=lambda: [content], length=len(content))
    return reply({"token": call.nessus.exports.add(document, ready_at=call.now).token})


def _check_type(call: Call) -> str:
    if call.params["type"] not in ("scan", "policy"):
        raise NotFound
    return call.params["type"]


def _editor(
    call: Call, template: Template, values: dict[str, Any], credentials: list[SentCredential]
) -> dict[str, Any]:
    full = call.request.headers.get("x-api-version") == "2"
    return {
        "uuid": template.uuid,
        "title": template.title,
        "name": values.get("name", template.name),
        "is_agent": template.is_agent,
        "is_was": None,
        "dynamic_scan": template.dynamic_scan,
        "owner": call.nessus.accounts.username,
        "user_permissions": 128,
        "migrated": 0,
        "filter_attributes": [],
        "settings": _settings(values),
        "credentials": {"data": _credential_types(credentials)},
        "compliance": {"data": _compliance()},
        "plugins": {"families": _families() if full else None},
    }


def _settings(values: dict[str, Any]) -> dict[str, Any]:
    """Each part with its inputs; everything that is no basic setting is advanced."""
    basic = {"name": "", "description": "", "text_targets": "", "folder_id": "", **values}
    advanced = {name: value for name, value in default_settings().items() if name not in basic}
    parts = {"basic": basic, "discovery": {}, "assessment": {}, "report": {}, "advanced": advanced}
    return {name: _part(name.capitalize(), inputs) for name, inputs in parts.items()}


def _part(title: str, inputs: dict[str, Any]) -> dict[str, Any]:
    rows = [_input(name, default=value) for name, value in inputs.items()]
    return {"title": title, "inputs": rows, "groups": [], "sections": [], "modes": None}


def _input(name: str, *, default: Any = None, options: tuple[str, ...] = ()) -> dict[str, Any]:
    secret = any(word in name for word in _SECRETS)
    kind = "ui_radio" if options else ("password" if secret else "entry")
    return {
        "type": kind,
        "id": name,
        "name": name.replace("_", " ").capitalize(),
        "label": None,
        "default": _MASK if secret and default else default,
        "required": name in ("name", "username"),
        "options": [{"name": option, "inputs": None} for option in options] or None,
        "hint": None,
    }


def _credential_types(credentials: list[SentCredential]) -> list[dict[str, Any]]:
    fields: dict[str, list[dict[str, Any]]] = {
        "SSH": [
            _input("auth_method", default="public key", options=_SSH_METHODS),
            _input("username"),
            _input("password"),
            _input("elevate_privileges_with", default="Nothing", options=_ESCALATIONS),
        ],
        "Windows": [
            _input("auth_method", default="Password", options=_WINDOWS_METHODS),
            _input("username"),
            _input("password"),
            _input("domain"),
        ],
        "SNMPv3": [_input("username"), _input("auth_password"), _input("privacy_password")],
    }
    types = [
        {
            "name": name,
            "max": 1000,
            "inputs": inputs,
            "instances": [_instance(sent) for sent in credentials if sent.type == name],
            "settings": None,
        }
        for name, inputs in fields.items()
    ]
    return [{"name": "Host", "default_expand": 1, "types": types}]


def _instance(sent: SentCredential) -> dict[str, Any]:
    inputs = [_input(name, default=value) for name, value in sent.fields.items()]
    return {"id": str(sent.id), "summary": sent.get("username"), "inputs": inputs}


def _compliance() -> list[dict[str, Any]]:
    return [
        {
            "name": category,
            "offline_allowed": 0,
            "required_creds": "SSH" if category == "Unix" else "Windows",
            "audits": [
                {
                    "id": str(_audit_id(name)),
                    "name": name,
                    "type": "feed",
                    "free": 1,
                    "unlimited": 1,
                    "deprecated": 0,
                    "inputs": None,
                }
                for name in names
            ],
        }
        for category, names in AUDITS.items()
    ]


def _audit_id(name: str) -> int:
    names = [audit for audits in AUDITS.values() for audit in audits]
    return 1 + names.index(name)


def _audit_by_id(audit_id: str) -> str:
    for names in AUDITS.values():
        for name in names:
            if str(_audit_id(name)) == audit_id:
                return name
    raise NotFound


def _families() -> dict[str, dict[str, Any]]:
    return {
        name: {"count": len(plugins), "id": number, "locked": 0, "status": "enabled"}
        for number, (name, plugins) in enumerate(families().items(), start=1)
    }
