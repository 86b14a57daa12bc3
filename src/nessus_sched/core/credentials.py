"""Named credentials of the operator: kinds, escalation, secrets that do not print."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import attrs

from nessus_sched.core.fields import field
from nessus_sched.core.secret import Secret

ALGORITHMS: Final[Mapping[str, tuple[str, ...]]] = {
    "auth_algorithm": ("MD5", "SHA1", "SHA-224", "SHA-256", "SHA-384", "SHA-512"),
    "privacy_algorithm": ("DES", "AES", "AES-192", "AES-192C", "AES-256", "AES-256C"),
}
"""Of SNMPv3, by field; Nessus before 10.8 has MD5, SHA1, DES and AES only."""


def plain_algorithm(name: str) -> str:
    """An algorithm's name for comparison: `SHA-1` and `sha1` are one."""
    return name.replace("-", "").lower()


DEFAULT_ACCOUNT: Final = "root"


class CredentialKind(StrEnum):
    SSH_PASSWORD = "ssh_password"  # noqa: S105 - the name of a kind
    SSH_KEY = "ssh_key"
    WINDOWS = "windows"
    SNMPV3 = "snmpv3"


class EscalationMethod(StrEnum):
    """`elevate_privileges_with` of Nessus, in our spelling."""

    SUDO = "sudo"
    SU = "su"
    SU_SUDO = "su+sudo"
    PBRUN = "pbrun"
    DZDO = "dzdo"
    K5LOGIN = "k5login"
    ENABLE = "enable"
    EXPERT = "expert"


@attrs.frozen(kw_only=True)
class Escalation:
    """How a login becomes privileged."""

    method: EscalationMethod = field("The method to use.")
    account: str = field("The account to switch to.", default=DEFAULT_ACCOUNT, min_length=1)
    password: Secret | None = field(
        "Password of that account, or the one that `sudo` asks for.", default=None
    )
    su_user: str | None = field("For `su+sudo`: the account for `su`.", default=None)


@attrs.frozen(kw_only=True)
class Credential:
    """What a scanner needs to log in to targets. Which fields apply depends on `kind`."""

    name: str = field(
        "Name that submitters use.",
        pattern=r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?",
        max_length=64,
    )
    kind: CredentialKind = field("Kind of login.")
    username: str = field("User on the targets.", min_length=1, max_length=256)
    password: Secret | None = field("For `ssh_password` and `windows`.", default=None)
    private_key: Secret | None = field(
        "For `ssh_key`: the private key in PEM format.", default=None
    )
    passphrase: Secret | None = field("For `ssh_key`: passphrase of the key, if any.", default=None)
    domain: str = field("For `windows`.", default="", max_length=256)
    auth_algorithm: str = field(
        "For `snmpv3`: MD5, SHA1, and from Nessus 10.8 SHA-224, SHA-256, SHA-384 or SHA-512.",
        default="SHA1",
        pattern=r"[A-Za-z0-9-]+",
    )
    auth_password: Secret | None = field("For `snmpv3`.", default=None)
    privacy_algorithm: str = field(
        "For `snmpv3`: DES, AES, and from Nessus 10.8 AES-192, AES-192C, AES-256 or AES-256C.",
        default="AES",
        pattern=r"[A-Za-z0-9-]+",
    )
    privacy_password: Secret | None = field("For `snmpv3`.", default=None)
    escalation: Escalation | None = field("For SSH: how the login becomes root.", default=None)
    privileged: bool = field(
        "The login itself is root or an administrator; no escalation is needed.", default=False
    )
