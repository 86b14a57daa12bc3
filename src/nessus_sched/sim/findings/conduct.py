"""Derives how a scan runs from its settings.

Only settings in the request apply: a scan without any does not ping and scans no ports.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

from nessus_sched.sim import blueprints
from nessus_sched.sim.findings.modes import MODES, Mode, find_mode
from nessus_sched.sim.findings.ports import PortRange, read_range

Settings = Mapping[str, Any]
MODE_PARTS = tuple(MODES)


@attrs.frozen(kw_only=True)
class Conduct:
    """`modes` are the chosen modes by part; `settings` the effective settings with modes
    expanded; `families` the status of each family that was set, `plugins` that of plugins."""

    settings: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    modes: Mapping[str, Mode] = attrs.field(factory=dict)
    families: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    plugins: Mapping[int, bool] = attrs.field(factory=dict, repr=False)
    netstat_ignores_range: bool = True
    unlisted_plugins_run: bool = True

    def on(self, setting: str) -> bool:
        return self.settings.get(setting) == "yes"

    def number(self, setting: str, default: int) -> int:
        text = self.settings.get(setting, "")
        return int(text) if text.isascii() and text.isdecimal() and int(text) > 0 else default

    @property
    def ping(self) -> bool:
        """Without ping every address counts as up."""
        return self.on("ping_the_remote_host")

    @property
    def ports(self) -> PortRange:
        return read_range(self.settings.get("portscan_range", "default"))

    @property
    def max_hosts(self) -> int:
        return self.number("max_hosts_per_scan", 100)

    @property
    def max_checks(self) -> int:
        return self.number("max_checks_per_host", 5)

    def runs(self, plugin_id: int, family: str) -> bool:
        """Whether the plugin is selected."""
        status = self.families.get(family)
        unlisted = self.unlisted_plugins_run if status == "mixed" else status != "disabled"
        return self.plugins.get(plugin_id, unlisted)

    def slowness(self, hosts: int) -> float:
        """The factor by which `hosts` hosts take longer than usual: with fewer concurrent hosts
        a scan needs more rounds."""
        usual = -(-hosts // _USUAL_HOSTS)
        return max(1.0, -(-hosts // self.max_hosts) / usual) if hosts else 1.0


_USUAL_HOSTS = 30


@attrs.frozen(kw_only=True)
class Rules:
    """The assumptions about settings; see `sim.assumptions`."""

    fills_defaults: bool = False
    mode_ids_work: bool = False
    netstat_ignores_range: bool = True
    unlisted_plugins_run: bool = True


def conduct_of(
    template: str, settings: Settings, plugins: Mapping[str, Any], rules: Rules
) -> Conduct:
    """How a scan with this template, these settings and these plugin families runs."""
    given = dict(settings)
    if rules.fills_defaults:
        given = {**blueprints.defaults(template), **given}
    modes = {
        part: mode
        for part in MODE_PARTS
        if (mode := chosen_mode(template, part, given, ids=rules.mode_ids_work)) is not None
    }
    flat = {name: str(value) for name, value in given.items() if offered(name, value)}
    for mode in modes.values():
        flat |= mode.values
    statuses, individual = _selection(plugins)
    return Conduct(
        settings=flat,
        modes=modes,
        families=statuses,
        plugins=individual,
        netstat_ignores_range=rules.netstat_ignores_range,
        unlisted_plugins_run=rules.unlisted_plugins_run,
    )


def chosen_mode(template: str, part: str, settings: Settings, *, ids: bool) -> Mode | None:
    """The chosen mode, or None if the template does not have it or none was requested."""
    choice = blueprints.mode_of(template, part)
    if choice is None or choice["id"] not in settings:
        return None
    return find_mode(
        part,
        str(settings[choice["id"]]),
        default=choice["default"],
        names=tuple(choice["options"]),
        ids=ids,
    )


def offered(name: str, value: object) -> bool:
    """Whether a setting may have that value; otherwise it stays unset."""
    if not isinstance(value, str | int):
        return False
    if name == "portscan_range":
        return PortRange.readable(str(value))
    values = blueprints.values_of(name)
    return values is None or str(value) in values


def _selection(plugins: Mapping[str, Any]) -> tuple[dict[str, str], dict[int, bool]]:
    """The status of families and of single plugins, from the `plugins` of a request."""
    families: dict[str, str] = {}
    individual: dict[int, bool] = {}
    for family, entry in plugins.items():
        if not isinstance(entry, Mapping):
            continue
        families[family] = str(entry.get("status", "enabled"))
        chosen = entry.get("individual")
        for plugin_id, status in chosen.items() if isinstance(chosen, Mapping) else ():
            if re.fullmatch(r"\d+", str(plugin_id)):
                individual[int(plugin_id)] = status == "enabled"
    return families, individual
