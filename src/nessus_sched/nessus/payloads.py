"""The body of `POST /scans` for each kind of scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.core.scanner import BadOrder, ScanOrder
from nessus_sched.core.task import Discovery, ScanKind, ScanRequest

TEMPLATES: Final[Mapping[ScanKind, str]] = {
    ScanKind.BASIC: "basic",
    ScanKind.TRUSTED: "basic",
    ScanKind.PRIVILEGED: "advanced",
    ScanKind.QUICK: "discovery",
    ScanKind.COMPLIANCE: "compliance",
}
"""Template names; a custom scan brings its own."""

DISCOVERY_MODES: Final[Mapping[Discovery, str]] = {
    Discovery.HOSTS: "host_enumeration",
    Discovery.OS: "os_identification",
    Discovery.PORTS: "portscan_common",
}
"""`discovery_mode` as it appears in the preferences of exported reports."""

RESERVED: Final = frozenset(
    {
        *("name", "description", "folder_id", "policy_id", "scanner_id", "acls"),
        *("text_targets", "file_targets", "target_groups", "tag_targets", "alt_targets"),
        *("target_network_uuid", "agent_group_id", "agent_scan_launch_type"),
        *("enabled", "launch", "launch_now", "starttime", "rrules", "timezone"),
        *("emails", "sms", "filters", "filter_type", "attach_report", "live_results"),
    }
)
"""Settings that decide what is scanned, when, by whom or for whom: never a submitter's."""

NEEDS_CREDENTIAL: Final = frozenset({ScanKind.TRUSTED, ScanKind.PRIVILEGED, ScanKind.COMPLIANCE})


@attrs.frozen(kw_only=True)
class Base:
    """What a scan is built upon: a template, or a policy made from one."""

    template_uuid: str
    policy_id: int | None = None


def template_name(request: ScanRequest) -> str | None:
    """The name of the template to use, None when a policy is named instead. Raises
    `BadOrder` for a custom scan with neither."""
    if request.kind is not ScanKind.CUSTOM:
        return TEMPLATES[request.kind]
    if request.template is None and request.policy is None:
        raise BadOrder("A custom scan needs a template or a policy.")
    return request.template if request.policy is None else None


def check(order: ScanOrder) -> None:
    """Raises `BadOrder` for an order that must not be sent."""
    kind = order.request.kind
    if not order.targets:
        raise BadOrder("A scan needs targets.")
    if not order.name.endswith(order.marker):
        raise BadOrder("The name of a scan must end with its marker.")
    if order.credential is None and kind in NEEDS_CREDENTIAL:
        raise BadOrder(f"A {kind} scan needs a credential.")
    if kind is ScanKind.COMPLIANCE and not order.request.audit:
        raise BadOrder("A compliance scan needs an audit.")
    forbidden = sorted(RESERVED & {*order.request.settings, *order.settings})
    if forbidden:
        raise BadOrder(f"These settings are not to be set: {', '.join(forbidden)}.")


def scan_body(
    order: ScanOrder,
    base: Base,
    *,
    folder_id: int,
    credentials: Mapping[str, Any] | None = None,
    audits: Mapping[str, Any] | None = None,
) -> Mapping[str, Any]:
    """Settings of the order first, ours last, so that nothing overrides a target."""
    settings: dict[str, Any] = {**_by_kind(order.request), **order.request.settings}
    settings |= order.settings
    settings |= {
        "name": order.name,
        "description": order.request.description,
        "text_targets": ",".join(order.targets),
        "folder_id": folder_id,
        "launch": "ON_DEMAND",
        "enabled": False,
    }
    if base.policy_id is not None:
        settings["policy_id"] = base.policy_id
    body: dict[str, Any] = {"uuid": base.template_uuid, "settings": settings}
    if credentials is not None:
        body["credentials"] = credentials
    if audits is not None:
        body["audits"] = audits
    return body


def uploaded_audit(file: str, category: str) -> Mapping[str, Any]:
    """The `audits` of a body for an uploaded `.audit` file."""
    return {"custom": {"add": [{"file": file, "category": category, "variables": {}}]}}


def builtin_audit(audit_id: str) -> Mapping[str, Any]:
    """The `audits` of a body for one that the scanner brings along."""
    return {"feed": {"add": [{"id": audit_id, "variables": {}}]}}


def same_targets(ordered: Sequence[str], shown: str) -> bool:
    """Whether the scanner took the targets as they were ordered."""
    return set(shown.replace(",", " ").lower().split()) == {text.lower() for text in ordered}


def _by_kind(request: ScanRequest) -> Mapping[str, str]:
    if request.kind is not ScanKind.QUICK:
        return {}
    return {"discovery_mode": DISCOVERY_MODES[request.discovery or Discovery.PORTS]}
