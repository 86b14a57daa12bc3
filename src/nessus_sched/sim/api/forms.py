"""The forms of the editor: parts of settings and types of credentials, in the recorded format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nessus_sched.sim.blueprints import Node, blueprint, credential_types
from nessus_sched.sim.findings.logins import SentCredential

Values = Mapping[str, Any]

_MASK = "********"
_SECRETS = ("password", "passphrase", "secret", "community", "private_key", "token")
_SCAN_INPUTS: Sequence[Node] = (
    {"id": "folder_id", "type": "folders"},
    {"id": "scanner_id", "type": "scanners"},
    {"id": "text_targets", "type": "textarea", "required": True},
    {"id": "file_targets", "type": "file"},
)
"""Inputs of a scan that a policy does not have."""


def setting_parts(template: str, values: Values, *, scan: bool) -> dict[str, Any]:
    parts = {name: _part(name, part, values) for name, part in blueprint(template)["parts"].items()}
    if scan:
        parts["basic"]["inputs"] += [_input(entry, values) for entry in _SCAN_INPUTS]
    return parts


def credential_data(plan: Node, credentials: Sequence[SentCredential]) -> list[dict[str, Any]]:
    """The credential types of a template by category, with the configured instances."""
    return [
        {
            "name": category,
            "types": [_credential_type(name, credentials) for name in names],
        }
        for category, names in plan["credentials"].items()
    ]


def _credential_type(name: str, credentials: Sequence[SentCredential]) -> dict[str, Any]:
    known = credential_types().get(name, {})
    return {
        "name": name,
        "max": known.get("max", 1),
        "inputs": [_input(entry, {}) for entry in known.get("inputs", ())],
        "instances": [_instance(sent) for sent in credentials if sent.type == name],
        "settings": None,
    }


def _instance(sent: SentCredential) -> dict[str, Any]:
    inputs = [
        _input({"id": name, "type": "password" if _secret(name) else "entry"}, {name: value})
        for name, value in sent.fields.items()
    ]
    return {"id": str(sent.id), "summary": sent.get("username"), "inputs": inputs}


def _part(name: str, part: Node, values: Values) -> dict[str, Any]:
    inputs = [_input(entry, values) for entry in part.get("inputs", ())]
    return {
        "title": name.capitalize(),
        "inputs": inputs or None,
        "groups": [_section(group, values) for group in part.get("groups", ())],
        "sections": [_section(section, values) for section in part.get("sections", ())],
        "modes": _modes(part, values),
    }


def _modes(part: Node, values: Values) -> dict[str, Any] | list[Any]:
    """The input for choosing a mode by name."""
    modes = part.get("modes")
    if modes is None:
        return []
    return {
        "id": modes["id"],
        "name": "mode",
        "type": "ui_radio",
        "default": values.get(modes["id"], modes["default"]),
        "options": [{"name": name, "desc": name} for name in modes["options"]],
    }


def _section(section: Node, values: Values) -> dict[str, Any]:
    inputs = [_input(entry, values) for entry in section.get("inputs", ())]
    shown: dict[str, Any] = {
        "title": _words(section["name"]),
        "name": section["name"],
        "inputs": inputs or None,
    }
    if "sections" in section:
        shown["sections"] = [_section(below, values) for below in section["sections"]]
    return shown


def _input(entry: Node, values: Values) -> dict[str, Any]:
    """An input, with the value of the scan or policy as its default, if set."""
    name = entry["id"]
    shown: dict[str, Any] = {"type": entry["type"], "id": name}
    shown["label" if entry["type"] == "checkbox" else "name"] = _words(name)
    if name in values:
        shown["default"] = _MASK if _secret(name) and values[name] else values[name]
    elif "default" in entry:
        shown["default"] = entry["default"]
    if entry.get("required"):
        shown["required"] = True
    if "options" in entry:
        shown["options"] = [_option(option, values) for option in entry["options"]]
    if "inputs" in entry:
        shown["inputs"] = [_input(below, values) for below in entry["inputs"]]
    return shown


def _option(option: Node | str, values: Values) -> str | dict[str, Any]:
    """An option: a word, or a choice with its own inputs."""
    if isinstance(option, str):
        return option
    inputs = [_input(entry, values) for entry in option.get("inputs", ())]
    shown: dict[str, Any] = {"name": option["name"], "inputs": inputs or None}
    for below in ("groups", "sections"):
        if below in option:
            shown[below] = [_section(section, values) for section in option[below]]
    return shown


def _secret(name: str) -> bool:
    return any(word in name for word in _SECRETS)


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()
