"""The result of a scan's credentials on each machine, and the plugins that report it.

The plugins are the real ones, with their real meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from nessus_sched.sim.findings.machines import Machine, Service
from nessus_sched.sim.findings.plugins import Item, catalog
from nessus_sched.sim.options import SimOptions


@attrs.frozen(kw_only=True)
class SentCredential:
    """One credential of a scan, as sent in `credentials.add`."""

    id: int
    category: str
    type: str
    fields: Mapping[str, Any] = attrs.field(repr=False)

    def get(self, name: str) -> str:
        return str(self.fields.get(name) or "")

    @property
    def escalates(self) -> bool:
        return self.get("elevate_privileges_with") not in ("", "Nothing")


@attrs.frozen(kw_only=True)
class Login:
    """The result of logging in to one machine.

    `state` is `none` (nothing offered or nowhere to log in), `failed`, `partial` or
    `full`; `plugins` are the ids that report it.
    """

    state: str
    plugins: tuple[int, ...] = ()
    user: str = ""
    protocol: str = ""
    service: Service | None = None

    @property
    def worked(self) -> bool:
        return self.state in ("partial", "full")

    @property
    def credentialed(self) -> str:
        """The value of `Credentialed checks :` in plugin 19506, which has no 'partial'."""
        if not self.worked:
            return "no"
        return f"yes, as '{self.user}' via {self.protocol}"


_TYPE_FOR = {"linux": "SSH", "windows": "Windows", "device": "SSH"}
_VALID = 141118
_NO_ISSUES = 110095
_INSUFFICIENT = 110385
_INTERMITTENT = 117885
_FAILURE = 104410
_NOT_PROVIDED = 110723
_PATCHES_NOT_AVAILABLE = 117886
_PATCHES_AVAILABLE = 117887
_PATCHES_FAILED = 21745
_NOT_ADMIN = 24786
_NO_REGISTRY = 26917
_NEEDS_ESCALATION = 102094
_ESCALATED = 102095


def log_in(machine: Machine, credentials: Iterable[SentCredential], options: SimOptions) -> Login:
    """The first working credential is used, as in Nessus."""
    service = machine.login_service
    if service is None:
        return Login(state="none", plugins=(_PATCHES_NOT_AVAILABLE,))
    wanted = _TYPE_FOR[machine.kind]
    offered = [sent for sent in credentials if sent.type == wanted]
    if not offered:
        windows = (_NOT_ADMIN, _NO_REGISTRY) if wanted == "Windows" else ()
        plugins = (_NOT_PROVIDED, _PATCHES_NOT_AVAILABLE, *windows)
        return Login(state="none", plugins=plugins, service=service)
    protocol = "ssh" if wanted == "SSH" else "smb"
    for credential in offered:
        if not _refused(credential, options):
            state, plugins = _privilege(credential, options)
            user = _reported_user(credential)
            return Login(
                state=state, plugins=plugins, user=user, protocol=protocol, service=service
            )
    plugins = (_FAILURE, _PATCHES_FAILED)
    return Login(state="failed", plugins=plugins, protocol=protocol, service=service)


def _reported_user(credential: SentCredential) -> str:
    """On Windows with the domain, as in `'HOST\\user' via SMB` of a real report."""
    domain, user = credential.get("domain"), credential.get("username")
    return f"{domain}\\{user}" if domain else user


def _refused(credential: SentCredential, options: SimOptions) -> bool:
    secrets = (credential.get("password"), credential.get("private_key_passphrase"))
    return any(secret in options.wrong_passwords for secret in secrets if secret)


def _privilege(credential: SentCredential, options: SimOptions) -> tuple[str, tuple[int, ...]]:
    user = credential.get("username")
    logged_in = (_VALID, _PATCHES_AVAILABLE)
    escalation_refused = credential.get("escalation_password") in options.wrong_passwords
    if credential.escalates and escalation_refused:
        return "partial", (*logged_in, _INSUFFICIENT, _NEEDS_ESCALATION)
    if user in options.unprivileged_users and not credential.escalates:
        weak = _NEEDS_ESCALATION if credential.type == "SSH" else _NOT_ADMIN
        return "partial", (*logged_in, _INSUFFICIENT, weak)
    if user in options.intermittent_users:
        return "partial", (*logged_in, _INTERMITTENT)
    if credential.escalates:
        return "full", (*logged_in, _NO_ISSUES, _ESCALATED)
    return "full", (*logged_in, _NO_ISSUES)


_ON_THE_SERVICE = frozenset({_VALID, _FAILURE, _NOT_PROVIDED, _NO_ISSUES, _INSUFFICIENT})
_OUTPUTS = {
    _VALID: "Nessus was able to log in to the remote host via the following :\n\n"
    "User:        '{user}'\nPort:        {port}\nProto:       {proto}\nMethod:      password",
    _NO_ISSUES: "Nessus was able to log in to the remote host with no privilege or access\n"
    "problems via the following :\n\nUser:        '{user}'\nPort:        {port}\n"
    "Proto:       {proto}",
    _INSUFFICIENT: "Nessus was able to log into the remote host, however this credential\n"
    "did not have sufficient privileges for all planned checks :\n\nUser:        '{user}'\n"
    "Port:        {port}\nProto:       {proto}",
    _INTERMITTENT: "Nessus was able to log in as '{user}', and then failed at least once.",
    _FAILURE: "Nessus was unable to log into the following host for which\n"
    "credentials have been provided :\n\n  Protocol      : {proto}\n  Port          : {port}\n"
    "  Failure details :\n\n  - No supplied credential sets succeeded.",
    _NOT_PROVIDED: "{proto} was detected on port {port} but no credentials were provided.\n"
    "{proto} local checks were not enabled.",
    _PATCHES_AVAILABLE: "OS Security Patch Assessment is available.\n\nAccount  : {user}\n"
    "Protocol : {proto}",
    _PATCHES_NOT_AVAILABLE: "The following issues were reported :\n\n  - No credentials were"
    " provided, or the host is not supported for local checks.",
    _PATCHES_FAILED: "The following service errors were logged :\n\n  - Protocol    : {proto}\n"
    "    Message     : Unable to login to remote host with supplied credential sets.",
    _ESCALATED: "Login account : {user}\nCommands were run with privilege escalation as root.",
    _NEEDS_ESCALATION: "Login account : {user}\nCommands failed due to privilege escalation"
    " failure.",
    _NOT_ADMIN: "It was not possible to connect to '\\\\{name}\\ADMIN$' with the supplied"
    " credentials.",
    _NO_REGISTRY: "Could not connect to the registry because:\nCould not connect to \\winreg",
}


def login_items(machine: Machine, login: Login) -> Sequence[Item]:
    """The ReportItems that report the result of the login."""
    port = login.service.port if login.service else 0
    name = login.service.name if login.service else "general"
    words = {
        "user": login.user,
        "port": port,
        "proto": (login.protocol or name).upper(),
        "name": machine.fqdn,
    }
    items = []
    for plugin_id in login.plugins:
        at_port = plugin_id in _ON_THE_SERVICE
        items.append(
            Item(
                plugin=catalog()[plugin_id],
                port=port if at_port else 0,
                service=name if at_port else "general",
                severity=0,
                output=_OUTPUTS[plugin_id].format(**words),
            )
        )
    return items
