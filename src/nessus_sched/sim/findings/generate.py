"""Generates findings: which plugins fire on a machine, and the report of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain

from nessus_sched.sim.findings.compliance import compliance_items
from nessus_sched.sim.findings.drift import Drift
from nessus_sched.sim.findings.information import scan_information
from nessus_sched.sim.findings.logins import Login, log_in, login_items
from nessus_sched.sim.findings.machines import Machine, Service
from nessus_sched.sim.findings.nessusxml import Host, write_document
from nessus_sched.sim.findings.plugins import Item, Plugin, catalog
from nessus_sched.sim.findings.properties import host_properties
from nessus_sched.sim.findings.report import (
    HostProgress,
    HostSummary,
    ScanOrder,
    Span,
    Tally,
    summarize,
)
from nessus_sched.sim.findings.sight import Sight, look
from nessus_sched.sim.options import SimOptions

_PING = 10180
_SYSTEM = frozenset({11936, 54615, 45590})
_FILLER = 22964
_DEVICES = {"linux": "general-purpose", "windows": "general-purpose", "device": "embedded"}


class GeneratedReport:
    """The findings of a run on simulated machines, regenerated on each access."""

    length: int | None = None

    def __init__(
        self,
        order: ScanOrder,
        machines: Sequence[Machine],
        options: SimOptions,
        drift: Drift | None = None,
    ) -> None:
        self._order = order
        self._machines = machines
        self._options = options
        self._drift = drift or Drift(options.seed)

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
            order=self._order,
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
        filler = Tally(catalog()[_FILLER], 0, self._options.filler_findings)
        return summarize(
            machine.target,
            self._found(machine, Span(0.0, 0.0)),
            more=(filler,) if filler.count else (),
        )

    def _login(self, machine: Machine) -> Login:
        if not machine.up or self._order.template == "discovery":
            return Login(state="none")
        return log_in(machine, self._order.credentials, self._options)

    def _found(self, machine: Machine, span: Span) -> Iterator[Item]:
        login = self._login(machine)
        sight = look(machine, self._order.conduct, login)
        runs = self._order.conduct.runs
        found = self._findings(machine, sight, login) if machine.up else ()
        fixed = self._options.patched
        yield from (
            item
            for item in found
            if runs(item.plugin.id, item.plugin.family) and item.plugin.id not in fixed
        )
        yield scan_information(self._order, sight, login, span)

    def _findings(self, machine: Machine, sight: Sight, login: Login) -> Iterator[Item]:
        """Findings in report order: host detection, ports, then the rest."""
        order, seed = self._order, self._options.seed
        if order.conduct.ping:
            yield _item(catalog()[_PING], machine, None)
        for plugin_id, service in sight.found:
            yield _item(catalog()[plugin_id], machine, service)
        if order.template == "discovery":
            mode = order.conduct.modes.get("discovery")
            if mode is not None and mode.id == "os_identification":
                yield from (_item(catalog()[each], machine, None) for each in sorted(_SYSTEM))
            return
        yield from _matches(self._drift, machine, sight, login)
        yield from login_items(machine, login)
        yield from compliance_items(seed, machine, login, order.audits)

    def _filler(self, index: int) -> Iterator[Item]:
        plugin = catalog()[_FILLER]
        line = f"Filler on {self._machines[index].target}. "
        size = self._options.filler_bytes
        output = (line * (size // len(line) + 1))[:size]
        for number in range(self._options.filler_findings):
            port = 10_000 + number % 50_000
            yield Item(plugin=plugin, port=port, service="unknown", severity=0, output=output)


def _matches(drift: Drift, machine: Machine, sight: Sight, login: Login) -> Iterator[Item]:
    for plugin in catalog().values():
        if plugin.on == "code" or (plugin.os is not None and plugin.os != machine.kind):
            continue
        if plugin.local and not login.worked:
            continue
        for service in _places(plugin, sight):
            port = service.port if service else 0
            if drift.finding(machine.ip, plugin.id, port) < plugin.chance:
                yield _item(plugin, machine, service)


def _places(plugin: Plugin, sight: Sight) -> Iterator[Service | None]:
    """The services that the plugin checks; None for the host as a whole."""
    if plugin.on == "host":
        yield None
        return
    for service in sight.services:
        every_tcp = plugin.on == "tcp" and service.protocol == "tcp"
        if every_tcp or plugin.on in service.speaks:
            yield service


def _item(plugin: Plugin, machine: Machine, service: Service | None) -> Item:
    words = {
        "ip": machine.ip,
        "fqdn": machine.fqdn,
        "os": machine.os_name,
        "cpe": machine.cpe,
        "device": _DEVICES[machine.kind],
        "port": service.port if service else 0,
        "protocol": service.protocol if service else "",
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
