"""Parses request bodies for scans and policies: settings, credentials, audits, plugins.

What real scanners do with invalid bodies is partly unknown; `sim.assumptions` lists those
questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nessus_sched.sim import blueprints
from nessus_sched.sim.api.calls import Call
from nessus_sched.sim.fields import bad_field, list_field, object_field, text_field
from nessus_sched.sim.findings.compliance import Audit
from nessus_sched.sim.findings.conduct import MODE_PARTS, chosen_mode, offered
from nessus_sched.sim.findings.logins import SentCredential
from nessus_sched.sim.messages import NotFound
from nessus_sched.sim.scans import merge_credentials
from nessus_sched.sim.templates import Template

_STRUCTURED = frozenset(
    {"acls", "filters", "agent_group_id", "emails", "tag_targets", "target_groups", "folder_id"}
)
"""Settings that may be lists or objects, or null."""


def settings_of(call: Call, template: Template) -> dict[str, Any]:
    """The settings that apply; raises `ApiError` 400 for those that are refused."""
    given = object_field(call.body, "settings")
    kept = {}
    for name, value in given.items():
        if isinstance(value, list | dict) and name not in _STRUCTURED:
            raise bad_field(name)
        if _known(call, name) and _sensible(call, name, value):
            kept[name] = value
    ids = call.nessus.options.assumes("mode_ids_work")
    for part in MODE_PARTS:
        choice = blueprints.mode_of(template.name, part)
        if choice and choice["id"] in kept and not chosen_mode(template.name, part, kept, ids=ids):
            if call.nessus.options.assumes("unknown_modes_refused"):
                raise bad_field(choice["id"])
            del kept[choice["id"]]
    return kept


def credentials_of(
    call: Call, template: Template, existing: Sequence[SentCredential]
) -> list[SentCredential]:
    """The existing credentials with the changes in the body. Those that the template does not
    support are dropped or refused with 400."""
    change = object_field(call.body, "credentials")
    added = object_field(change, "add")
    held: dict[str, dict[str, Any]] = {}
    for category in added:
        for name, instances in object_field(added, category).items():
            if blueprints.holds(template.name, category, name):
                held.setdefault(category, {})[name] = _at_most(call, name, instances)
            elif call.nessus.options.assumes("misplaced_credentials_refused"):
                raise bad_field("credentials")
    return merge_credentials(existing, {**change, "add": held}, call.nessus.credential_ids)


def _at_most(call: Call, type_name: str, instances: Any) -> Any:
    """As many instances as a scan may have of a credential type, or all where that is unknown."""
    most = blueprints.credential_types().get(type_name, {}).get("max", -1)
    if most < 0 or not isinstance(instances, list) or len(instances) <= most:
        return instances
    if call.nessus.options.assumes("surplus_credentials_refused"):
        raise bad_field("credentials")
    return instances[:most]


def audits_of(call: Call, existing: Sequence[Audit]) -> list[Audit]:
    """Audits: uploaded ones by file and category, those from the feed by id."""
    change = object_field(call.body, "audits")
    custom, feed = object_field(change, "custom"), object_field(change, "feed")
    added = [*map(_custom_audit, _objects(custom, "add")), *map(_feed_audit, _objects(feed, "add"))]
    gone = {str(name) for section in (custom, feed) for name in list_field(section, "delete")}
    return [audit for audit in (*existing, *added) if audit.file not in gone]


def plugins_of(call: Call, template: Template, existing: Mapping[str, Any]) -> dict[str, Any]:
    """Families, if the template has them; without the right header they may be ignored."""
    given = object_field(call.body, "plugins")
    version_2 = call.request.headers.get("x-api-version") == "2"
    ignored = call.nessus.options.assumes("plugins_need_version_2") and not version_2
    if ignored or not blueprints.blueprint(template.name)["families"]:
        return dict(existing)
    return {**existing, **given}


def check_compliance(
    call: Call, template: Template, audits: Sequence[Audit], credentials: Sequence[SentCredential]
) -> None:
    """Raises `ApiError` for a compliance scan that cannot find anything, if that is refused."""
    assumes = call.nessus.options.assumes
    if template.name == "compliance" and not audits and assumes("compliance_needs_audit"):
        raise NotFound
    if not assumes("audit_needs_credential"):
        return
    offered_types = {sent.type for sent in credentials}
    required = {each["name"]: set(each["required_creds"]) for each in blueprints.audit_categories()}
    for audit in audits:
        if audit.category in required and not required[audit.category] & offered_types:
            raise bad_field("credentials")


def _known(call: Call, name: str) -> bool:
    known = name in blueprints.known_settings()
    if not known and call.nessus.options.assumes("unknown_settings_refused"):
        raise bad_field(name)
    return known


def _sensible(call: Call, name: str, value: object) -> bool:
    """Whether a setting has one of the editor's values; settings not in the editor always do."""
    sensible = blueprints.values_of(name) is None or offered(name, value)
    if name == "portscan_range":
        sensible = offered(name, value)
    if not sensible and call.nessus.options.assumes("bad_values_refused"):
        raise bad_field(name)
    return sensible


def _objects(section: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    entries = list_field(section, name)
    if not all(isinstance(entry, dict) for entry in entries):
        raise bad_field("audits")
    return entries


def _custom_audit(entry: Mapping[str, Any]) -> Audit:
    """The file is named directly or among the variables."""
    variables = object_field(entry, "variables")
    file = text_field(entry, "file", variables.get("file"))
    return Audit(file, text_field(entry, "category"))


def _feed_audit(entry: Mapping[str, Any]) -> Audit:
    audit_id = text_field(entry, "id")
    for category in blueprints.audit_categories():
        if any(audit["id"] == audit_id for audit in category["audits"]):
            return Audit(audit_id, category["name"])
    raise NotFound
