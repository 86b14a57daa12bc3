"""What a scan sees of a machine: ports found by its port scanners, and the services that its
plugins then check."""

from __future__ import annotations

import attrs

from nessus_sched.sim.findings import ports
from nessus_sched.sim.findings.conduct import Conduct
from nessus_sched.sim.findings.logins import Login
from nessus_sched.sim.findings.machines import Machine, Service

_NAMES = {
    ports.SYN_SCANNER: "nessus_syn_scanner",
    ports.TCP_SCANNER: "nessus_tcp_scanner",
    ports.UDP_SCANNER: "nessus_udp_scanner",
    ports.NETSTAT_SSH: "netstat",
    ports.NETSTAT_WMI: "wmi_netstat",
    ports.SNMP_SCANNER: "snmp_scanner",
}
_FAMILY = "Port scanners"


@attrs.frozen(kw_only=True)
class Sight:
    """`found` are the open ports with the plugin that found each; `scanners` the port scanner
    plugins that ran."""

    services: tuple[Service, ...] = ()
    found: tuple[tuple[int, Service], ...] = ()
    scanners: tuple[int, ...] = ()

    @property
    def scanner_names(self) -> tuple[str, ...]:
        """The names as listed in plugin 19506."""
        return tuple(_NAMES[plugin_id] for plugin_id in self.scanners)


def look(machine: Machine, conduct: Conduct, login: Login) -> Sight:
    """What the scan sees; nothing on a machine that does not exist."""
    local = _enumerator(machine, conduct, login)
    network = _network_scanners(conduct, enumerated=local is not None)
    scanners = (*network, *((local,) if local else ()))
    found = tuple(
        (plugin_id, service)
        for service in machine.services
        if (plugin_id := _finder(service, conduct, scanners)) is not None
    )
    open_ports = {service for _, service in found}
    closed = conduct.on("unscanned_closed")
    seen = tuple(
        service
        for service in machine.services
        if service in open_ports or (service.port in ports.DEFAULT_SERVICES and not closed)
    )
    return Sight(services=seen, found=found, scanners=scanners)


def _enumerator(machine: Machine, conduct: Conduct, login: Login) -> int | None:
    """The plugin that lists ports from inside. It needs a working login; SNMP only needs a device
    that answers."""
    speaks_snmp = any("snmp" in service.speaks for service in machine.services)
    candidates = (
        (ports.NETSTAT_SSH, "ssh_netstat_scanner", login.worked and login.protocol == "ssh"),
        (ports.NETSTAT_WMI, "wmi_netstat_scanner", login.worked and login.protocol == "smb"),
        (ports.SNMP_SCANNER, "snmp_scanner", speaks_snmp),
    )
    for plugin_id, setting, possible in candidates:
        if possible and conduct.on(setting) and conduct.runs(plugin_id, _FAMILY):
            return plugin_id
    return None


def _network_scanners(conduct: Conduct, *, enumerated: bool) -> tuple[int, ...]:
    if enumerated and conduct.on("only_portscan_if_enum_failed"):
        return ()
    wanted = (
        (ports.SYN_SCANNER, "syn_scanner"),
        (ports.TCP_SCANNER, "tcp_scanner"),
        (ports.UDP_SCANNER, "udp_scanner"),
    )
    return tuple(
        plugin_id
        for plugin_id, setting in wanted
        if conduct.on(setting) and conduct.runs(plugin_id, _FAMILY)
    )


def _finder(service: Service, conduct: Conduct, scanners: tuple[int, ...]) -> int | None:
    """The first scanner that finds the service."""
    in_range = conduct.ports.covers(service.port)
    for plugin_id in scanners:
        if plugin_id in (ports.SYN_SCANNER, ports.TCP_SCANNER):
            finds = in_range and service.protocol == "tcp"
        elif plugin_id == ports.UDP_SCANNER:
            finds = in_range and service.protocol == "udp"
        else:
            finds = in_range or conduct.netstat_ignores_range
        if finds:
            return plugin_id
    return None
