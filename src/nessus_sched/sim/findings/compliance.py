"""Compliance results for a scan with audit files, depending on the login."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import attrs

from nessus_sched.sim.findings.logins import Login
from nessus_sched.sim.findings.machines import Machine
from nessus_sched.sim.findings.plugins import Item, catalog
from nessus_sched.sim.seeded import share

PLUGINS = {"linux": 21157, "windows": 21156}


@attrs.frozen
class Audit:
    """`file` is the name of an upload or the id of an audit in the feed; `category` as `Unix`."""

    file: str
    category: str


CATEGORIES = {"linux": "Unix", "windows": "Windows"}
_SEVERITY = {"PASSED": 0, "WARNING": 2, "ERROR": 2, "FAILED": 3}

# (name, policy value, a value that fails it, solution)
_CHECKS = {
    "linux": (
        ("1.1.1.1 Ensure mounting of cramfs is disabled", "install /bin/true", "none", "modprobe"),
        ("1.4.1 Ensure bootloader password is set", "set superusers", "not set", "grub.cfg"),
        ("1.5.3 Ensure address space layout randomization is enabled", "2", "0", "sysctl"),
        ("2.1.1 Ensure time synchronization is in use", "active", "inactive", "chrony"),
        ("2.2.7 Ensure NFS is not installed", "not installed", "installed", "apt purge"),
        ("3.2.1 Ensure packet redirect sending is disabled", "0", "1", "sysctl"),
        ("3.5.1 Ensure a firewall is installed", "installed", "not installed", "ufw"),
        ("4.1.1 Ensure auditing is enabled", "enabled", "disabled", "auditd"),
        ("5.2.4 Ensure SSH access is limited", "AllowGroups", "none", "sshd_config"),
        ("5.2.7 Ensure SSH root login is disabled", "no", "yes", "sshd_config"),
        ("5.4.1 Ensure password creation requirements are configured", "14", "8", "pwquality"),
        ("6.1.2 Ensure permissions on /etc/passwd are configured", "0644", "0666", "chmod"),
    ),
    "windows": (
        ("1.1.1 Ensure 'Enforce password history' is set", "24", "0", "group policy"),
        ("1.1.4 Ensure 'Minimum password length' is set", "14", "7", "group policy"),
        ("1.2.1 Ensure 'Account lockout duration' is set", "15", "0", "group policy"),
        ("2.3.1.1 Ensure 'Administrator account status' is 'Disabled'", "0", "1", "group policy"),
        ("2.3.8.1 Ensure 'Digitally sign communications' is 'Enabled'", "1", "0", "group policy"),
        ("9.1.1 Ensure 'Windows Firewall: Domain' is 'On'", "1", "0", "firewall profile"),
        ("17.1.1 Ensure 'Audit Credential Validation' is set", "3", "0", "audit policy"),
        ("18.3.1 Ensure 'SMB v1 server' is 'Disabled'", "0", "1", "registry"),
        ("18.9.4 Ensure 'Turn off AutoPlay' is 'Enabled'", "255", "145", "group policy"),
        ("19.1.3 Ensure 'Enable screen saver' is 'Enabled'", "1", "0", "group policy"),
    ),
}


def compliance_items(
    seed: int, machine: Machine, login: Login, audits: tuple[Audit, ...]
) -> Iterator[Item]:
    """One item per check and audit for the machine's kind; none without a working login."""
    plugin_id = PLUGINS.get(machine.kind)
    if plugin_id is None or not login.worked:
        return
    for audit in (each.file for each in audits if each.category == CATEGORIES[machine.kind]):
        for name, wanted, bad, how in _CHECKS[machine.kind]:
            result = _result(seed, machine, login, name)
            actual = {"PASSED": wanted, "FAILED": bad}.get(result, "")
            yield Item(
                plugin=catalog()[plugin_id],
                severity=_SEVERITY[result],
                compliance=_elements(audit, name, result, wanted, actual, how),
            )


def _result(seed: int, machine: Machine, login: Login, name: str) -> str:
    roll = share(seed, "compliance", machine.ip, name)
    if login.state == "partial" and roll < 0.3:
        return "ERROR"  # could not be read with the privileges of this login
    if roll < 0.55:
        return "PASSED"
    return "FAILED" if roll < 0.9 else "WARNING"


def _elements(
    audit: str, name: str, result: str, wanted: str, actual: str, how: str
) -> tuple[tuple[str, str], ...]:
    number, _, title = name.partition(" ")
    # By what the check says, as with a real scanner: the file may have another name in each scan.
    check_id = hashlib.sha256(name.encode()).hexdigest()
    return (
        ("compliance-check-name", name),
        ("compliance-check-id", check_id),
        ("compliance-result", result),
        ("compliance-actual-value", actual),
        ("compliance-policy-value", wanted),
        ("compliance-info", f"{title}: a setting that is left open makes an attack easier."),
        ("compliance-solution", f"Set the recommended value ({how})."),
        ("compliance-see-also", "https://example.com/benchmark"),
        ("compliance-reference", f"CSCv8|4.1,CIS|{number},800-53|CM-6"),
        ("compliance-source", number),
        ("compliance-audit-file", audit),
        ("compliance-functional-id", check_id[:10]),
        ("compliance-benchmark-name", "Simulated Benchmark"),
        ("compliance-benchmark-version", "1.0.0"),
        ("compliance-benchmark-profile", "Level 1"),
    )
