"""Which template a kind of scan is made from, and what a template can hold.

The tables are what editor answers of 2021 list per template (recorded from Tenable's cloud);
where a scanner's own editor can be read, that one decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nessus_sched.core.credentials import CredentialKind
from nessus_sched.core.task import ScanKind, ScanRequest

LOGIN_TYPES: Final[Mapping[CredentialKind, str]] = {
    CredentialKind.SSH_PASSWORD: "SSH",
    CredentialKind.SSH_KEY: "SSH",
    CredentialKind.WINDOWS: "Windows",
    CredentialKind.SNMPV3: "SNMPv3",
}
"""What Nessus calls each kind of credential, under its category Host."""

ADVANCED: Final = "advanced"
_TEMPLATES: Final[Mapping[ScanKind, str]] = {
    ScanKind.BASIC: "basic",
    ScanKind.TRUSTED: "basic",
    ScanKind.PRIVILEGED: ADVANCED,
    ScanKind.QUICK: "discovery",
    ScanKind.COMPLIANCE: "compliance",
}
_NETWORK: Final = frozenset({"SSH", "Windows"})
HOLDS: Final[Mapping[str, frozenset[str]]] = {
    "discovery": frozenset(),
    "webapp": frozenset(),
    **dict.fromkeys(("basic", "malware", "compliance", "pci", "scap"), _NETWORK),
    **dict.fromkeys((ADVANCED, "patch_audit"), _NETWORK | {"SNMPv3"}),
}
"""The login types that a template takes; a template that is not listed may take any."""

_SSH: Final = frozenset({"SSH"})
AUDIT_LOGINS: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(
        (
            "Adtran AOS", "Alcatel TiMOS", "Arista EOS", "BlueCoat ProxySG", "Brocade FabricOS",
            "Check Point GAiA", "Cisco ACI", "Cisco Firepower", "Cisco IOS", "Citrix XenServer",
            "Dell Force10 FTOS", "Extreme ExtremeXOS", "FireEye", "Fortigate FortiOS",
            "Generic SSH", "HP ProCurve", "Huawei VRP", "IBM iSeries", "Juniper Junos",
            "NetApp Data ONTAP", "SonicWALL SonicOS", "Unix", "Unix File Contents", "WatchGuard",
            "ZTE ROSNG",
        ),
        _SSH,
    ),
    "Windows": frozenset({"Windows"}),
    "Windows File Contents": frozenset({"Windows"}),
}  # fmt: skip
"""`required_creds` of the audit categories that one of our logins satisfies."""


def template_name(request: ScanRequest, login: CredentialKind | None) -> str | None:
    """The template for a request, None when it names a policy instead. A login that the
    usual template of the kind cannot hold (SNMPv3 on `basic`) moves it to `advanced`."""
    if request.kind is ScanKind.CUSTOM:
        return request.template if request.policy is None else None
    usual = _TEMPLATES[request.kind]
    if usual == "basic" and login is not None and LOGIN_TYPES[login] not in HOLDS[usual]:
        return ADVANCED
    return usual
