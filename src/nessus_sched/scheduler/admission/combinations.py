"""Whether the parts of a request go together: template, credential, audit, profile, settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nessus_sched.config.schema import Config
from nessus_sched.core.credentials import Credential
from nessus_sched.core.profile import NO_PROFILE, ScanProfile
from nessus_sched.core.task import Discovery, ScanKind, ScanRequest
from nessus_sched.core.templates import AUDIT_LOGINS, HOLDS, LOGIN_TYPES, ONLY_ONE, template_name
from nessus_sched.core.text import did_you_mean
from nessus_sched.scheduler.errors import RequestError

PING_DETAILS: Final = frozenset(
    {
        *("ping_the_remote_host", "fast_network_discovery", "arp_ping", "tcp_ping", "icmp_ping"),
        *("tcp_ping_dest_ports", "icmp_ping_retries", "icmp_unreach_means_host_down", "udp_ping"),
        *("portscan_range", "unscanned_closed", "syn_scanner", "tcp_scanner", "udp_scanner"),
        *("syn_firewall_detection", "tcp_firewall_detection", "scan_network_printers"),
        *("scan_netware_hosts", "scan_ot_devices", "discovery_mode"),
    }
)
"""What a discovery mode decides."""


def profile_of(request: ScanRequest, config: Config) -> ScanProfile | None:
    """The profile that a request names, or the default of its kind; a scan by policy has
    none. Raises `RequestError` for a name that is not configured."""
    known = {profile.name: profile for profile in config.scan_profiles}
    if request.profile == NO_PROFILE or (request.policy is not None and request.profile is None):
        return None
    if request.profile is None:
        return next((p for p in known.values() if request.kind in p.default_for), None)
    if request.profile not in known:
        names = sorted(known)
        raise RequestError(
            f"no scan profile {request.profile!r}{did_you_mean(request.profile, names)}; known: "
            f"{', '.join([*names[:20], NO_PROFILE])}",
            hint="leave it out for the usual settings; the operator configures scan_profiles",
            code="unknown_profile",
        )
    return known[request.profile]


def check_combination(request: ScanRequest, config: Config) -> None:
    """Raises `RequestError` for what the scanner would refuse, or would silently ignore."""
    named = set(request.credentials)
    credentials = [each for each in config.credentials if each.name in named]
    profile = profile_of(request, config)
    if request.policy is not None:
        _check_policy(request, profile)
        return
    if credentials:
        _check_template(request, credentials)
        _check_only_one(credentials)
        _check_audit(request, config, credentials)
    _check_discovery(request, profile)


def _check_policy(request: ScanRequest, profile: ScanProfile | None) -> None:
    given = [
        word
        for word, present in (
            ("settings", request.settings),
            ("a profile", profile),
            ("a credential", request.credentials),
        )
        if present
    ]
    if given:
        raise RequestError(
            f"a scan by policy takes no {' and no '.join(w.removeprefix('a ') for w in given)}: "
            "the policy brings its own",
            hint="change the policy on the scanner, or name a template instead of a policy",
            code="policy_and_settings",
        )


def _check_template(request: ScanRequest, credentials: Sequence[Credential]) -> None:
    name = template_name(request, (each.kind for each in credentials))
    if name is None or name not in HOLDS:
        return
    for credential in credentials:
        login = LOGIN_TYPES[credential.kind]
        if login not in HOLDS[name]:
            wanted = {LOGIN_TYPES[each.kind] for each in credentials}
            able = sorted(other for other, types in HOLDS.items() if wanted <= types)
            raise RequestError(
                f"the template {name!r} takes no {login} credential such as {credential.name!r}",
                hint="leave the credential out, or use submit_custom_scan with the template "
                f"{' or '.join(able)}",
                code="credential_and_template",
            )


def _check_only_one(credentials: Sequence[Credential]) -> None:
    for login in sorted(ONLY_ONE):
        names = [each.name for each in credentials if LOGIN_TYPES[each.kind] == login]
        if len(names) > 1:
            raise RequestError(
                f"a scan takes only one {login} credential, not {len(names)}: "
                f"{', '.join(map(repr, names))}",
                hint="name one of them, and submit another scan for the others",
                code="too_many_credentials",
            )


def _check_audit(request: ScanRequest, config: Config, credentials: Sequence[Credential]) -> None:
    audit = next((a for a in config.audits if a.name == request.audit), None)
    if audit is None or audit.file is None:
        return
    needed = AUDIT_LOGINS.get(audit.category)
    given = [f"{each.name!r} is {LOGIN_TYPES[each.kind]}" for each in credentials]
    if needed is not None and not needed & {LOGIN_TYPES[each.kind] for each in credentials}:
        fit = sorted(c.name for c in config.credentials if LOGIN_TYPES[c.kind] in needed)
        raise RequestError(
            f"audit {audit.name!r} ({audit.category}) needs a login of type "
            f"{' or '.join(sorted(needed))}, and credential {', '.join(given)}",
            hint=f"name one of: {', '.join(fit) or 'none configured'}",
            code="credential_and_audit",
        )


def _check_discovery(request: ScanRequest, profile: ScanProfile | None) -> None:
    """A quick scan for operating systems is a preset, which has no details."""
    if request.kind is not ScanKind.QUICK or request.discovery is not Discovery.OS:
        return
    named = {*request.settings, *(profile.words() if profile else ()),
             *(profile.settings if profile else ())}  # fmt: skip
    if details := sorted(PING_DETAILS & named):
        raise RequestError(
            f"discovery `os` decides {', '.join(details)} itself",
            hint="use discovery `hosts` or `ports`, the profile `none`, or submit_scan",
            code="discovery_and_settings",
        )
