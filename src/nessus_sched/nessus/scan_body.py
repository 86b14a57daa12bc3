"""Builds the body of `POST /scans` for each kind of scan. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.core.asked import PORT_SCANNERS, Asked, Scalar, SentLogin, asked_for
from nessus_sched.core.profile import RESERVED
from nessus_sched.core.scanner import BadOrder, ScanOrder
from nessus_sched.core.task import Discovery, ScanKind
from nessus_sched.core.templates import AUDIT_LOGINS, LOGIN_TYPES
from nessus_sched.nessus import editor
from nessus_sched.nessus.editor import EditorTemplate
from nessus_sched.nessus.single_plugins import ALWAYS_NEEDED, SinglePlugins, check_families

DISCOVERY_MODES: Final[Mapping[Discovery, str]] = {
    Discovery.HOSTS: "Host enumeration",
    Discovery.OS: "OS Identification",
    Discovery.PORTS: "Port scan (common ports)",
}
"""Names of `discovery_mode` in the template `discovery`."""

NEEDS_CREDENTIAL: Final = frozenset({ScanKind.TRUSTED, ScanKind.PRIVILEGED, ScanKind.COMPLIANCE})


@attrs.frozen(kw_only=True)
class ScanBase:
    """What a scan is based on: a template, with its editor's data, or a policy."""

    template_uuid: str
    name: str = ""
    """Name of the template; empty for a policy."""
    template: EditorTemplate | None = None
    policy_id: int | None = None
    scanner_id: int | None = None
    """Id of a Nessus Manager's own scanner; others may be linked to it."""


def check(order: ScanOrder) -> None:
    """Raises `BadOrder` for an order that must not be sent."""
    request = order.request
    if not order.targets:
        raise BadOrder("A scan needs targets.")
    if not order.name.endswith(order.marker):
        raise BadOrder("The name of a scan must end with its marker.")
    if request.kind is ScanKind.CUSTOM and request.template is None and request.policy is None:
        raise BadOrder("A custom scan needs a template or a policy.")
    if not order.credentials and request.kind in NEEDS_CREDENTIAL:
        raise BadOrder(f"A {request.kind} scan needs a credential.")
    if request.kind is ScanKind.COMPLIANCE and not request.audit:
        raise BadOrder("A compliance scan needs an audit.")
    forbidden = sorted(RESERVED & {*request.settings, *order.profile, *order.settings})
    if forbidden:
        raise BadOrder(f"These settings cannot be set: {', '.join(forbidden)}.")
    if request.policy is not None and (order.profile or order.settings or order.credentials):
        raise BadOrder(
            f"The policy {request.policy!r} brings its own settings and credentials; change them "
            "in the policy, or scan by template."
        )


def check_template(order: ScanOrder, template: EditorTemplate) -> None:
    """Raises `BadOrder` for a credential or mode that the scanner's template does not support."""
    if template.logins is not None:
        for kind, count in _login_types(order).items():
            _check_login_type(kind, count, template.logins)
    if order.request.verify is not None:
        check_families(order.request.verify, template)
    for name, value in {**order.profile, **order.settings}.items():
        mode = template.mode(name)
        if mode is not None and mode.options and editor.mode_name(mode, value) is None:
            raise BadOrder(f"The template has no {name} {value!r}; it has: {_list(mode.options)}.")


def _check_login_type(kind: str, count: int, logins: Mapping[str, editor.Login]) -> None:
    if kind not in logins:
        takes = ", ".join(sorted(logins)) or "none"
        raise BadOrder(
            f"The scanner's template accepts no {kind} credential (it accepts: {takes}); "
            "use another kind of scan or a custom scan with the template advanced."
        )
    most = logins[kind].most
    if most is not None and count > most:
        raise BadOrder(
            f"The scanner accepts at most {most} {kind} credentials in one scan, not {count}: "
            "submit several scans."
        )


def _login_types(order: ScanOrder) -> Mapping[str, int]:
    """How many credentials the order has, by their type in Nessus."""
    return Counter(LOGIN_TYPES[each.kind] for each in order.credentials)


def settings_for(order: ScanOrder, template: EditorTemplate) -> tuple[dict[str, Scalar], list[str]]:
    """All settings except ours, with notes for people. In order of increasing precedence:
    defaults, kind of scan, the operator's profile, the submitter's choice."""
    profile, notes = _supported(order.profile, template)
    wanted = {**profile, **order.settings}
    own = _apply_kind(order, wanted, template)
    chosen: dict[str, Scalar] = {**own, **wanted}
    found: dict[str, Scalar] = {}
    for tab in template.tabs:
        if tab.mode is not None:
            found[tab.mode.id] = _mode(tab, chosen)
        found |= dict(editor.values(tab.inputs, chosen))
    for kind in _login_types(order):
        login = (template.logins or {}).get(kind)
        found |= dict(editor.values(login.settings, chosen)) if login else {}
    # Modes were added above in the template's spelling.
    found |= {name: value for name, value in chosen.items() if template.mode(name) is None}
    return found, notes


def scan_body(
    order: ScanOrder,
    base: ScanBase,
    settings: Mapping[str, Scalar],
    *,
    folder_id: int,
    credentials: Mapping[str, Any] | None = None,
    audits: Mapping[str, Any] | None = None,
    single: SinglePlugins | None = None,
) -> Mapping[str, Any]:
    """The request body. Our own settings override `settings`, so that none can change a target."""
    ours: dict[str, Any] = {
        "name": order.name,
        "description": order.request.description,
        "text_targets": ",".join(order.targets),
        "folder_id": folder_id,
        "launch": "ON_DEMAND",
        "enabled": False,
    }
    if base.policy_id is not None:
        ours["policy_id"] = base.policy_id
    if base.scanner_id is not None:
        ours["scanner_id"] = base.scanner_id
    body: dict[str, Any] = {"uuid": base.template_uuid, "settings": {**settings, **ours}}
    families: dict[str, Any] = {
        name: {"status": status}
        for name, status in _families(order, base).items()
        if status in {"enabled", "disabled"}
    }
    plugins = {**families, **(single.families if single is not None else {})}
    if plugins:
        body["plugins"] = plugins
    if credentials is not None:
        body["credentials"] = credentials
    if audits is not None:
        body["audits"] = audits
    return body


def asked(
    order: ScanOrder,
    base: ScanBase,
    settings: Mapping[str, Scalar],
    notes: Sequence[str],
    single: SinglePlugins,
) -> Asked:
    """The settings to compare the scan's report with."""
    template = base.template
    problem = template.problem if template is not None else ""
    off = [name for name, word in _families(order, base).items() if word == "disabled"]
    return asked_for(
        settings,
        template=base.name,
        template_uuid=None if base.policy_id is not None else base.template_uuid,
        policy=order.request.policy,
        stand_in=bool(problem),
        families_off=tuple(sorted(off)) if template is not None and template.families else None,
        families_part=tuple(sorted(single.families)),
        logins=tuple(
            SentLogin(name=each.name, type=LOGIN_TYPES[each.kind], username=each.username)
            for each in order.credentials
        ),
        notes=(*([problem] if problem else ()), *notes, *single.notes),
    )


def _families(order: ScanOrder, base: ScanBase) -> Mapping[str, str]:
    """The template's plugin families with the status that the order requests."""
    found = base.template.families if base.template is not None else {}
    wanted = order.families
    if order.request.verify is not None:
        wanted = ALWAYS_NEEDED | order.request.verify.plugins.keys()
    if not wanted:
        return found
    return {name: status if name in wanted else "disabled" for name, status in found.items()}


def uploaded_audit(file: str, category: str) -> Mapping[str, Any]:
    """The `audits` of a body for an uploaded `.audit` file, whose editor entry has no id."""
    return {"custom": {"add": [{"file": file, "category": category}]}}


def builtin_audit(audit: editor.Audit, given: Mapping[str, str]) -> Mapping[str, Any]:
    """The `audits` of a body for an audit that ships with the scanner, with all its variables:
    defaults overridden by `given`. Raises `BadOrder` if a value is missing."""
    variables = {**dict(editor.values(audit.variables, given)), **given}
    missing = sorted(each for each in audit.required if variables.get(each, "") == "")
    if missing:
        raise BadOrder(
            f"The audit {audit.name!r} needs values for {', '.join(missing)}: set them as "
            "`variables` of the audit in the configuration."
        )
    return {"feed": {"add": [{"id": audit.id, "variables": variables}]}}


def check_audit_login(order: ScanOrder, base: ScanBase, category: str) -> None:
    """Raises `BadOrder` if the audit's category needs a kind of login that the order lacks."""
    known = base.template.audit_logins if base.template is not None else {}
    needed = known.get(category) or AUDIT_LOGINS.get(category)
    given = _login_types(order).keys()
    if needed and not needed & given:
        raise BadOrder(
            f"An audit of the category {category!r} needs a login of type "
            f"{' or '.join(sorted(needed))}, not {' or '.join(sorted(given))}."
        )


def same_targets(ordered: Sequence[str], shown: str) -> bool:
    """Whether the scanner shows exactly the ordered targets."""
    return set(shown.replace(",", " ").lower().split()) == {text.lower() for text in ordered}


def _supported(
    profile: Mapping[str, str], template: EditorTemplate
) -> tuple[Mapping[str, str], list[str]]:
    """The profile without settings that this template lacks, and a note about those."""
    if template.problem:
        return profile, []
    lacking = sorted(profile.keys() - template.names)
    note = f"The template has no {', '.join(lacking)}, so that part of the profile has no effect."
    supported = {name: value for name, value in profile.items() if name not in lacking}
    return supported, [note] if lacking else []


def _apply_kind(
    order: ScanOrder, wanted: Mapping[str, Scalar], template: EditorTemplate
) -> dict[str, Scalar]:
    """Settings for a quick scan: a discovery mode or, if the submitter chose details, just those,
    without port scanners if only hosts are wanted."""
    if order.request.kind is not ScanKind.QUICK:
        return {}
    depth = order.request.discovery or Discovery.PORTS
    found: dict[str, Scalar] = {"log_live_hosts": "yes"}
    tab = next((p for p in template.tabs if p.mode and p.mode.id == "discovery_mode"), None)
    details = tab is not None and bool(tab.names & wanted.keys())
    if not details:
        return {**found, "discovery_mode": DISCOVERY_MODES[depth]}
    if depth is Discovery.HOSTS:
        found |= {name: "no" for name in PORT_SCANNERS if tab is not None and name in tab.names}
    return found


def _mode(tab: editor.Tab, chosen: Mapping[str, Scalar]) -> str:
    """The chosen mode; otherwise `Custom` if any input of the tab was chosen, because a preset
    would override it; otherwise the default."""
    assert tab.mode is not None
    wanted = chosen.get(tab.mode.id)
    if wanted is not None:
        return editor.mode_name(tab.mode, str(wanted)) or str(wanted)
    if tab.names & chosen.keys() and editor.CUSTOM in tab.mode.options:
        return editor.CUSTOM
    return editor.default_mode(tab.mode)


def _list(words: Sequence[str]) -> str:
    return ", ".join(map(repr, words))
