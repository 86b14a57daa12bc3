"""Builds credentials for the Nessus API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from nessus_sched.core.credentials import (
    ALGORITHMS,
    Credential,
    CredentialKind,
    Escalation,
    EscalationMethod,
    plain_algorithm,
)
from nessus_sched.core.scanner import BadOrder
from nessus_sched.core.secret import Secret
from nessus_sched.core.templates import LOGIN_TYPES
from nessus_sched.nessus.editor import Login, every

Entry = dict[str, str]

_M = EscalationMethod
ELEVATION: Final[Mapping[EscalationMethod, str]] = {
    _M.SUDO: "sudo",
    _M.SU: "su",
    _M.SU_SUDO: "su+sudo",
    _M.PBRUN: "pbrun",
    _M.DZDO: "dzdo",
    _M.K5LOGIN: ".k5login",
    _M.ENABLE: "Cisco 'enable'",
    _M.EXPERT: "Checkpoint Gaia 'expert'",
}
_WITHOUT_ACCOUNT: Final = frozenset({_M.ENABLE, _M.EXPERT, _M.PBRUN})
_WITHOUT_PASSWORD: Final = frozenset({_M.K5LOGIN})


def secrets_of(credentials: Iterable[Credential]) -> tuple[Secret, ...]:
    """All secrets of the credentials, to mask them in error texts."""
    return tuple(secret for each in credentials for secret in _secrets(each) if secret)


def _secrets(credential: Credential) -> tuple[Secret | None, ...]:
    escalation = credential.escalation
    return (
        credential.password,
        credential.private_key,
        credential.passphrase,
        credential.auth_password,
        credential.privacy_password,
        escalation.password if escalation else None,
    )


def credentials_body(
    credentials: Iterable[Credential],
    *,
    key_files: Mapping[str, str],
    escalate: bool,
    logins: Mapping[str, Login] | None = None,
) -> Mapping[str, Any]:
    """The `credentials` of `POST /scans`; those of a type keep their order, in which the scanner
    tries them. `key_files` has the scanner's names for uploaded private keys by the credential's
    name, `escalate` says whether to gain privileges, `logins` what the template accepts. Raises
    `BadOrder` if a credential is incomplete, or the scanner does not support one of its
    algorithms."""
    by_type: dict[str, list[Entry]] = {}
    for credential in credentials:
        kind = LOGIN_TYPES[credential.kind]
        entry = _BUILDERS[credential.kind](credential, key_files.get(credential.name), escalate)
        if logins is not None and kind in logins:
            entry |= _spelled(entry, logins[kind])
        by_type.setdefault(kind, []).append(entry)
    return {"add": {"Host": by_type}}


def _spelled(entry: Entry, login: Login) -> Entry:
    """The SNMPv3 algorithms in the scanner's spelling."""
    found = {}
    offered = {each.id: each.options for each in every(login.inputs) if each.options}
    for name in ALGORITHMS.keys() & entry.keys() & offered.keys():
        plain = plain_algorithm(entry[name])
        near = [each for each in offered[name] if plain_algorithm(each) == plain]
        if not near:
            raise BadOrder(
                f"The scanner has no {name} {entry[name]!r}; it has: {', '.join(offered[name])}."
            )
        found[name] = near[0]
    return found


def _ssh_password(credential: Credential, key_file: str | None, escalate: bool) -> Entry:
    return {
        "auth_method": "password",
        "username": credential.username,
        "password": _reveal(credential, credential.password, "password"),
        "custom_password_prompt": "",
        **_elevation(credential, escalate),
    }


def _ssh_key(credential: Credential, key_file: str | None, escalate: bool) -> Entry:
    if key_file is None:
        raise BadOrder(f"Credential {credential.name!r} has no private key.")
    return {
        "auth_method": "public key",
        "username": credential.username,
        "private_key": key_file,
        "private_key_passphrase": _optional(credential.passphrase),
        **_elevation(credential, escalate),
    }


def _windows(credential: Credential, key_file: str | None, escalate: bool) -> Entry:
    return {
        "auth_method": "Password",
        "username": credential.username,
        "password": _reveal(credential, credential.password, "password"),
        "domain": credential.domain,
    }


def _snmpv3(credential: Credential, key_file: str | None, escalate: bool) -> Entry:
    entry = {"username": credential.username, "port": "161"}
    if not credential.auth_password:
        return {**entry, "security_level": "No authentication and no privacy"}
    entry["auth_algorithm"] = credential.auth_algorithm
    entry["auth_password"] = credential.auth_password.reveal()
    if not credential.privacy_password:
        return {**entry, "security_level": "Authentication without privacy"}
    entry["privacy_algorithm"] = credential.privacy_algorithm
    entry["privacy_password"] = credential.privacy_password.reveal()
    return {**entry, "security_level": "Authentication and privacy"}


def _elevation(credential: Credential, escalate: bool) -> Entry:
    escalation = credential.escalation
    if escalation is None or not escalate:
        return {"elevate_privileges_with": "Nothing", "target_priority_list": ""}
    return {
        "elevate_privileges_with": ELEVATION[escalation.method],
        "target_priority_list": "",
        **_account(credential, escalation),
    }


def _account(credential: Credential, escalation: Escalation) -> Entry:
    fields: Entry = {}
    if escalation.method not in _WITHOUT_ACCOUNT:
        fields["escalation_account"] = escalation.account
    if escalation.method not in _WITHOUT_PASSWORD:
        fields["escalation_password"] = _optional(escalation.password)
    if escalation.method is EscalationMethod.SU_SUDO:
        if not escalation.su_user:
            raise BadOrder(f"Credential {credential.name!r} has no su_user for su+sudo.")
        fields["su_user"] = escalation.su_user
    return fields


def _reveal(credential: Credential, secret: Secret | None, what: str) -> str:
    if not secret:
        raise BadOrder(f"Credential {credential.name!r} has no {what}.")
    return secret.reveal()


def _optional(secret: Secret | None) -> str:
    return secret.reveal() if secret else ""


_BUILDERS: Final[Mapping[CredentialKind, Callable[[Credential, str | None, bool], Entry]]] = {
    CredentialKind.SSH_PASSWORD: _ssh_password,
    CredentialKind.SSH_KEY: _ssh_key,
    CredentialKind.WINDOWS: _windows,
    CredentialKind.SNMPV3: _snmpv3,
}
