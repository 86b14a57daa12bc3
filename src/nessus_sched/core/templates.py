"""Which template a kind of scan is made from, and what a template can hold.

The tables are what editor answers of 2021 list per template (recorded from Tenable's cloud);
where a scanner's own editor can be read, that one decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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

ONLY_ONE: Final = frozenset({"SNMPv3"})
"""Login types that a scan takes only once: their `max` in the editor is 1; for the others
it is -1, no limit."""

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


def template_name(request: ScanRequest, logins: Iterable[CredentialKind] = ()) -> str | None:
    """The template for a request with these kinds of credentials, None if it names a policy
    instead. A credential that the usual template of the kind does not take (SNMPv3 on `basic`)
    makes it `advanced`."""
    if request.kind is ScanKind.CUSTOM:
        return request.template if request.policy is None else None
    usual = _TEMPLATES[request.kind]
    types = {LOGIN_TYPES[each] for each in logins}
    return ADVANCED if usual == "basic" and not types <= HOLDS[usual] else usual
