"""The plugin catalog: real plugin ids and titles with our own texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import attrs

Elements = Mapping[str, str | list[str]]


@attrs.frozen(kw_only=True)
class Plugin:
    """`elements` are the child elements of a ReportItem by name; a list repeats one.

    `on` is the service that it checks: `host`, `tcp` (every TCP service), a service such as
    `ssh`, or `code` for plugins placed by the simulator's code. `chance` is the share of those
    it fires on; `local`: it needs a login.
    """

    id: int
    name: str
    family: str
    severity: int
    on: str
    chance: float = 1.0
    os: str | None = None
    local: bool = False
    elements: Elements = attrs.field(factory=dict, repr=False)
    output: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class Item:
    """One ReportItem. `compliance` are its `cm:` elements, in order."""

    plugin: Plugin
    port: int = 0
    protocol: str = "tcp"
    service: str = "general"
    severity: int
    output: str = attrs.field(default="", repr=False)
    compliance: tuple[tuple[str, str], ...] = ()


def load_data(name: str) -> Any:
    """One of the JSON files in `sim/data`."""
    return json.loads(resources.files("nessus_sched.sim").joinpath("data", name).read_bytes())


@cache
def catalog() -> Mapping[int, Plugin]:
    """By plugin id, ascending."""
    return {entry["id"]: Plugin(**entry) for entry in load_data("plugins.json")}


def families() -> dict[str, list[Plugin]]:
    """By family name, sorted."""
    grouped: dict[str, list[Plugin]] = {}
    for plugin in sorted(catalog().values(), key=lambda plugin: (plugin.family, plugin.id)):
        grouped.setdefault(plugin.family, []).append(plugin)
    return grouped
