"""Named credentials of the operator: kinds, escalation, secrets that do not print."""

from __future__ import annotations

from enum import StrEnum

import attrs

from nessus_sched.core.secret import Secret


class CredentialKind(StrEnum):
    SSH_PASSWORD = "ssh_password"  # noqa: S105 - the name of a kind
    SSH_KEY = "ssh_key"
    WINDOWS = "windows"
    SNMPV3 = "snmpv3"


class EscalationMethod(StrEnum):
    """`elevate_privileges_with` of Nessus (NESSUS.md D), in our spelling."""

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
    """How a login becomes privileged: `su_user` is for su+sudo only."""

    method: EscalationMethod
    account: str = "root"
    password: Secret | None = None
    su_user: str | None = None


@attrs.frozen(kw_only=True)
class Credential:
    """What a scanner needs to log in to targets. Which fields count depends on `kind`."""

    name: str
    kind: CredentialKind
    username: str
    password: Secret | None = None
    private_key: Secret | None = None
    passphrase: Secret | None = None
    domain: str = ""
    auth_algorithm: str = "SHA1"
    auth_password: Secret | None = None
    privacy_algorithm: str = "AES"
    privacy_password: Secret | None = None
    escalation: Escalation | None = None
    privileged: bool = False
    """The login itself is root or an administrator; no escalation is needed."""
