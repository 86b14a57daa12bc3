"""The HostProperties tags of a generated host."""

from __future__ import annotations

import json
import time

from nessus_sched.sim.findings.logins import Login
from nessus_sched.sim.findings.machines import Machine
from nessus_sched.sim.findings.report import Span


def ctime(at: float) -> str:
    """A time such as `Fri Nov  7 13:25:52 2025` in the scanner's local time, here UTC."""
    return time.asctime(time.gmtime(at))


def host_properties(machine: Machine, login: Login, policy: str, span: Span) -> dict[str, str]:
    """Tag names and values in file order. Tags written at the end of a host are missing until it
    is finished."""
    tags = _of_machine(machine, login, policy, span) if machine.up else {"policy-used": policy}
    if span.finished:
        tags["Credentialed_Scan"] = str(login.worked).lower()
    if login.worked:
        tags["local-checks-proto"] = login.protocol
        tags[f"{login.protocol}-login-used"] = login.user
    tags["host-ip"] = machine.ip
    if span.finished:
        tags["HOST_END_TIMESTAMP"] = str(int(span.end))
        tags["HOST_END"] = ctime(span.end)
    tags["HOST_START_TIMESTAMP"] = str(int(span.start))
    tags["HOST_START"] = ctime(span.start)
    return tags


def _of_machine(machine: Machine, login: Login, policy: str, span: Span) -> dict[str, str]:
    tags = {"cpe-0": f"{machine.cpe} -> {machine.os_name}"}
    if span.finished:
        results = "LastAuthenticatedResults" if login.worked else "LastUnauthenticatedResults"
        tags[results] = str(int(span.end))
    tags["policy-used"] = policy
    tags["os"] = machine.kind if machine.kind != "device" else "other"
    tags["operating-system"] = machine.os_name
    tags["operating-system-conf"] = "100" if login.worked else "95"
    tags["operating-system-method"] = "LinuxDistribution" if login.worked else "SinFP"
    tags["system-type"] = "embedded" if machine.kind == "device" else "general-purpose"
    tags["mac-address"] = machine.mac
    tags["host-fqdns"] = json.dumps([{"FQDN": machine.fqdn, "sources": ["get_host_fqdn()"]}])
    tags["host-fqdn"] = machine.fqdn
    tags["host-rdns"] = machine.fqdn
    if machine.kind == "windows":
        tags["netbios-name"] = machine.fqdn.partition(".")[0].upper()[:15]
    return tags
