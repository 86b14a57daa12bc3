"""The editor's content for each template: inputs with defaults, modes, credential types.

Structure and values follow editor responses recorded in 2021; texts for people are made up.
Templates without a recording use that of the basic scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from nessus_sched.sim.findings.plugins import load_data

Node = Mapping[str, Any]
"""A part, group, section, input or option, as in `data/editor.json`."""

_BORROWED = {"advanced_dynamic": "advanced"}
SCAN_SETTINGS = frozenset(
    {
        *("name", "description", "text_targets", "file_targets", "target_groups", "alt_targets"),
        *("policy_id", "folder_id", "scanner_id", "enabled", "launch", "launch_now", "starttime"),
        *("rrules", "timezone", "emails", "filters", "filter_type", "agent_group_id", "acls"),
        *("scan_time_window", "live_results", "attach_report", "attached_report_type", "sms"),
        *("attached_report_maximum_size", "tag_targets", "agent_scan_launch_type", "use_dashboard"),
        *("target_network_uuid", "notification_filters"),
    }
)
"""Settings of scans that are not in the editor."""


@cache
def _data() -> Any:
    return load_data("editor.json")


def blueprint(template: str) -> Node:
    """By the template's name: `parts`, `credentials` (types by category), `compliance` and
    `families` (whether it has them)."""
    known: Mapping[str, Node] = _data()["templates"]
    return known.get(_BORROWED.get(template, template), known["basic"])


def credential_types() -> Mapping[str, Node]:
    """Inputs by type, for those whose inputs are known."""
    types: Mapping[str, Node] = _data()["credential_types"]
    return types


def audit_categories() -> list[Node]:
    """`name`, `required_creds` and `audits` (id, name, variables with defaults) of each."""
    categories: list[Node] = _data()["compliance"]
    return categories


def holds(template: str, category: str, credential_type: str) -> bool:
    """Whether the template has that type of credential."""
    return credential_type in blueprint(template)["credentials"].get(category, ())


def mode_of(template: str, part: str) -> Node | None:
    """The modes of a part: `id`, `default`, `options` by name; None if it has none."""
    found: Node | None = blueprint(template)["parts"].get(part, {}).get("modes")
    return found


@cache
def defaults(template: str) -> Mapping[str, Any]:
    """The defaults of all inputs and modes, as the editor shows them if nothing is changed."""
    found: dict[str, Any] = {}
    for part in blueprint(template)["parts"].values():
        if "modes" in part:
            found[part["modes"]["id"]] = part["modes"]["default"]
        for entry in _chosen_inputs(part):
            if "default" in entry:
                found[entry["id"]] = entry["default"]
    return found


@cache
def values_of(name: str) -> frozenset[str] | None:
    """The allowed values of a setting, None for any."""
    for template in _data()["templates"].values():
        for part in template["parts"].values():
            for entry in all_inputs(part):
                if entry["id"] == name:
                    return _values(entry)
    return None


@cache
def known_settings() -> frozenset[str]:
    """Every setting of any template, including those of older versions."""
    names = {*SCAN_SETTINGS, *load_data("policy_settings.json")}
    for template in _data()["templates"].values():
        for part in template["parts"].values():
            names |= {entry["id"] for entry in all_inputs(part)}
            names |= {part["modes"]["id"]} if "modes" in part else set()
    return frozenset(names)


def all_inputs(node: Node) -> Iterator[Node]:
    """All inputs of a part, at any depth."""
    for entry in node.get("inputs", ()):
        yield entry
        yield from all_inputs(entry)
        for option in entry.get("options", ()):
            if not isinstance(option, str):
                yield from all_inputs(option)
    for below in (*node.get("groups", ()), *node.get("sections", ())):
        yield from all_inputs(below)


def _chosen_inputs(node: Node) -> Iterator[Node]:
    """The inputs shown if nothing is changed: for options only the default's."""
    for entry in node.get("inputs", ()):
        yield entry
        yield from _chosen_inputs(entry)
        for option in entry.get("options", ()):
            if not isinstance(option, str) and option["name"] == entry.get("default"):
                yield from _chosen_inputs(option)
    for below in (*node.get("groups", ()), *node.get("sections", ())):
        yield from _chosen_inputs(below)


def _values(entry: Node) -> frozenset[str] | None:
    options = entry.get("options")
    if options:
        return frozenset(each if isinstance(each, str) else each["name"] for each in options)
    if entry["type"] in ("checkbox", "ui_checkbox", "ui_group"):
        return frozenset({"yes", "no"})
    return None
