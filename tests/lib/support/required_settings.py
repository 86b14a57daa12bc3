"""Which settings a scan must be sent, by an editor answer: told independently of the client.

The client walks a typed tree from the top; this empties a heap of raw nodes in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOT_OURS_TO_SEND = {"name", "description", "text_targets", "folder_id"}


def required_settings(
    answer: Mapping[str, Any], chosen: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Names and values: the default of each input that shows once the options in `chosen`,
    or else the default ones, are taken."""
    taken, found = dict(chosen or {}), dict[str, Any]()
    heap: list[Any] = [answer["settings"]]
    while heap:
        node = heap.pop()
        if isinstance(node, list):
            heap += node
        elif isinstance(node, dict):
            shown = answer["uuid"] not in node.get("excluded_template_uuids", ())
            name, value = str(node.get("id")), node.get("default")
            if shown and "type" in node:
                value = taken.get(name, value)
                if value is not None and node["type"] not in ("file", "password"):
                    found[name] = value
            for key, below in node.items():
                if key == "modes":
                    heap += [below] if isinstance(below, dict) else []
                elif key == "options":
                    heap += [o for o in below if isinstance(o, dict) and o.get("name") == value]
                else:
                    heap.append(below)
    return {name: value for name, value in found.items() if name not in NOT_OURS_TO_SEND}
