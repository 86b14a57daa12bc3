"""Scan and policy templates by name and uuid, depending on the license."""

from __future__ import annotations

from functools import cache
from typing import Any

import attrs

from nessus_sched.sim.findings.plugins import load_data
from nessus_sched.sim.messages import ApiError
from nessus_sched.sim.options import Edition

ICON = "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4="


@attrs.frozen(kw_only=True)
class Template:
    name: str
    title: str
    uuid: str
    category: str | None
    order: int
    desc: str
    manager_only: bool
    subscription_only: bool
    dynamic_scan: bool
    is_agent: bool
    unsupported: bool

    def as_json(self, edition: Edition) -> dict[str, Any]:
        """A row of the template list; `license_fulfilled` is 0 or 1, as recorded."""
        locked = self.name in edition.locked_templates
        row = attrs.asdict(self)
        row["subscription_only"] = locked and not self.manager_only
        row["license_fulfilled"] = int(not locked)
        row["icon"] = ICON
        row["is_was"] = None
        row["more_info"] = None
        return row


@cache
def templates() -> dict[str, Template]:
    """By uuid."""
    return {row["uuid"]: Template(**row) for row in load_data("templates.json")}


def find_template(uuid: object) -> Template:
    try:
        return templates()[str(uuid)]
    except KeyError:
        raise ApiError(400, "Invalid 'uuid' field") from None
