"""Advanced settings of the server; only `global.max_scans` has an effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nessus_sched.sim.messages import ApiError
from nessus_sched.sim.seeded import dice, guid

MAX_SCANS = "global.max_scans"


class Preferences:
    """Settings by name; values are strings, as in all Nessus settings."""

    def __init__(self, *, max_scans: int) -> None:
        self.values = {
            MAX_SCANS: str(max_scans),
            "global.max_hosts": "100",
            "max_hosts": "100",
            "max_checks": "5",
            "max_sessions_per_user": "0",
            "xmlrpc_idle_session_timeout": "30",
            "xmlrpc_listen_port": "8834",
            "report_crashes": "yes",
        }

    def max_scans(self) -> int:
        """0 for no limit."""
        return int(self.values[MAX_SCANS])

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {"id": guid(dice("preference", name)), "name": name, "value": value, "type": "text"}
            for name, value in sorted(self.values.items())
        ]

    def modify(self, body: Mapping[str, Any]) -> int:
        """Apply `setting.N.action|name|value`; returns how many were changed."""
        ids = {row["id"]: row["name"] for row in self.as_json()}
        number = 0
        while (action := body.get(f"setting.{number}.action")) is not None:
            name = body.get(f"setting.{number}.name") or ids.get(body.get(f"setting.{number}.id"))
            self._apply(str(action), str(name or ""), body.get(f"setting.{number}.value"))
            number += 1
        return number

    def _apply(self, action: str, name: str, value: Any) -> None:
        if not name:
            raise ApiError(400, "Invalid 'name' field")
        if name == MAX_SCANS and (action == "remove" or not str(value).isdecimal()):
            raise ApiError(400, "Invalid 'value' field")
        if action == "remove":
            self.values.pop(name, None)
        else:
            self.values[name] = str(value)
