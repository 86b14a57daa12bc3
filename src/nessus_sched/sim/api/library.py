"""The plugins that the scanner has, by family."""

from __future__ import annotations

from typing import Any

from nessus_sched.sim.api.calls import Call
from nessus_sched.sim.findings.plugins import Plugin, catalog
from nessus_sched.sim.findings.plugins import families as by_family
from nessus_sched.sim.messages import NotFound, Response, reply


def families(_call: Call) -> Response:
    rows = [
        {"id": number, "name": name, "count": len(plugins)}
        for number, (name, plugins) in enumerate(by_family().items(), start=1)
    ]
    return reply({"families": rows})


def family(call: Call) -> Response:
    for number, (name, plugins) in enumerate(by_family().items(), start=1):
        if number == call.id:
            rows = [{"id": plugin.id, "name": plugin.name} for plugin in plugins]
            return reply({"id": number, "name": name, "plugins": rows})
    raise NotFound


def plugin(call: Call) -> Response:
    found = catalog().get(call.id)
    if found is None:
        raise NotFound
    return reply(
        {
            "id": found.id,
            "name": found.name,
            "family_name": found.family,
            "attributes": _attributes(found),
        }
    )


def _attributes(plugin: Plugin) -> list[dict[str, Any]]:
    return [
        {"attribute_name": name, "attribute_value": text}
        for name, value in plugin.elements.items()
        for text in ([value] if isinstance(value, str) else value)
    ]
