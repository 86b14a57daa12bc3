"""Findings of generated machines: which plugins fire on what, and the report of a run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain

from nessus_sched.sim.chance import share
from nessus_sched.sim.findings.compliance import compliance_items
from nessus_sched.sim.findings.logins import Login, log_in, login_items
from nessus_sched.sim.findings.machines import Machine, Service
from nessus_sched.sim.findings.nessusxml import Host, write_document
from nessus_sched.sim.findings.plugins import Item, Plugin, catalogue
from nessus_sched.sim.findings.properties import host_properties
from nessus_sched.sim.findings.report import (
    HostProgress,
    HostSummary,
    ScanOrder,
    Span,
    Tally,
    summarize,
)
from nessus_sched.sim.options import SimOptions

SCAN_INFORMATION = 19506
_PING = 10180
_OPEN_PORT = 11219
_SYSTEM = frozenset({11936, 54615, 45590})
_FILLER = 22964
_FEED_AGE = 86400
"""Seconds from the publication of the plugins to a scan with them."""
_DEVICES = {"linux": "general-purpose", "windows": "general-purpose", "device": "embedded"}


class GeneratedReport:
    """What a run finds on simulated machines; made anew each time it is asked for."""

    length: int | None = None

    def __init__(self, order: ScanOrder, machines: Sequence[Machine], options: SimOptions) -> None:
        self._order = order
        self._machines = machines
        self._options = options

    @cached_property
    def hosts(self) -> Sequence[HostSummary]:
        return [self._summary(machine) for machine in self._machines]

    def items(self, index: int, span: Span) -> Iterable[Item]:
        yield from self._found(self._machines[index], span)
        yield from self._filler(index)

    def properties(self, index: int, span: Span) -> Mapping[str, str]:
        machine = self._machines[index]
        return host_properties(machine, self._login(machine), self._order.policy, span)

    def document(self, progress: Sequence[HostProgress]) -> Iterable[bytes]:
        return write_document(
            scan_name=self._order.scan_name,
            policy=self._order.policy,
            targets=self._order.targets,
            hosts=self._hosts(progress),
        )

    def _hosts(self, progress: Sequence[HostProgress]) -> Iterator[Host]:
        for index, host in enumerate(progress):
            known = self.hosts[index].part(host.share).plugin_ids()
            span = host.span
            if known:
                machine = self._machines[index]
                items = (item for item in self._found(machine, span) if item.plugin.id in known)
                filler = self._filler(index) if span.finished else ()
                properties = self.properties(index, span)
                yield Host(machine.target, properties, chain(items, filler))

    def _summary(self, machine: Machine) -> HostSummary:
        filler = Tally(catalogue()[_FILLER], 0, self._options.filler_findings)
        return summarize(
            machine.target,
            self._found(machine, Span(0.0, 0.0)),
            more=(filler,) if filler.count else (),
        )

    def _login(self, machine: Machine) -> Login:
        return log_in(machine, self._order.credentials, self._options)

    def _found(self, machine: Machine, span: Span) -> Iterator[Item]:
        order = self._order
        if order.template == "discovery":
            login = Login(state="none")
            yield from _discovered(machine, str(order.settings.get("discovery_mode", "")))
        else:
            login = self._login(machine)
            yield from _matches(self._options.seed, machine, login)
            yield from login_items(machine, login)
            yield from compliance_items(self._options.seed, machine, login, order.audits)
        yield _scan_information(order, login, span)

    def _filler(self, index: int) -> Iterator[Item]:
        plugin = catalogue()[_FILLER]
        line = f"Filler on {self._machines[index].target}. "
        size = self._options.filler_bytes
        output = (line * (size // len(line) + 1))[:size]
        for number in range(self._options.filler_findings):
            port = 10_000 + number % 50_000
            yield Item(plugin=plugin, port=port, service="unknown", severity=0, output=output)


def _matches(seed: int, machine: Machine, login: Login) -> Iterator[Item]:
    for plugin in catalogue().values():
        if plugin.on == "code" or (plugin.os is not None and plugin.os != machine.kind):
            continue
        if plugin.local and not login.worked:
            continue
        for service in _places(plugin, machine):
            port = service.port if service else 0
            if share(seed, machine.ip, plugin.id, port) < plugin.chance:
                yield _item(plugin, machine, service)


def _places(plugin: Plugin, machine: Machine) -> Iterator[Service | None]:
    """The services that the plugin looks at; None for the host as a whole."""
    if plugin.on == "host":
        yield None
        return
    for service in machine.services:
        every_tcp = plugin.on in ("open", "tcp") and service.protocol == "tcp"
        if every_tcp or plugin.on in service.speaks:
            yield service


def _discovered(machine: Machine, mode: str) -> Iterator[Item]:
    """Host discovery finds live hosts; its other modes the system or the open ports too."""
    plugins = catalogue()
    yield _item(plugins[_PING], machine, None)
    mode = mode.lower()
    if "os" in mode.split():
        yield from (_item(plugins[plugin_id], machine, None) for plugin_id in sorted(_SYSTEM))
    if "port" in mode or "custom" in mode:
        for service in _places(plugins[_OPEN_PORT], machine):
            yield _item(plugins[_OPEN_PORT], machine, service)


def _item(plugin: Plugin, machine: Machine, service: Service | None) -> Item:
    words = {
        "ip": machine.ip,
        "fqdn": machine.fqdn,
        "os": machine.os_name,
        "cpe": machine.cpe,
        "device": _DEVICES[machine.kind],
        "port": service.port if service else 0,
        "service": service.name if service else "",
        "product": service.product if service else "",
    }
    return Item(
        plugin=plugin,
        port=service.port if service else 0,
        protocol=service.protocol if service else "tcp",
        service=service.name if service else "general",
        severity=plugin.severity,
        output=plugin.output.format(**words),
    )


def _scan_information(order: ScanOrder, login: Login, span: Span) -> Item:
    started = time.strftime("%Y/%m/%d %H:%M UTC", time.gmtime(span.start))
    feed = time.strftime("%Y%m%d%H%M", time.gmtime(span.start - _FEED_AGE))
    output = f"""Information about this scan :

Nessus version : 10.8.3
Nessus build : 20010
Plugin feed version : {feed}
Scanner edition used : Nessus
Scanner OS : LINUX
Scan type : Normal
Scan name : {order.scan_name}
Scan policy used : {order.policy}
Scanner IP : 192.0.2.1
Port scanner(s) : nessus_syn_scanner
Port range : default
Ping RTT : 1.024 ms
Thorough tests : no
Experimental tests : no
Paranoia level : 1
Report verbosity : 1
Safe checks : yes
Optimize the test : yes
Credentialed checks : {login.credentialed}
Patch management checks : None
Display superseded patches : yes (supersedence plugin launched)
CGI scanning : disabled
Web application tests : disabled
Max hosts : 100
Max checks : 5
Recv timeout : 5
Backports : None
Allow post-scan editing : Yes
Scan Start Date : {started}
Scan duration : {int(span.end - span.start)} sec
"""
    return Item(plugin=catalogue()[SCAN_INFORMATION], severity=0, output=output)
