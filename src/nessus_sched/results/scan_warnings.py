"""Warnings about the results of a scan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from nessus_sched.core.asked import Setting


@attrs.frozen(kw_only=True)
class ScanWarning:
    """A stable code, a sentence, and its consequence or what to do. `differs` names the
    setting if the scan ran differently than requested."""

    code: str
    message: str
    advice: str
    differs: Setting | None = None

    def document(self) -> dict[str, Any]:
        found = {"code": self.code, "message": self.message, "advice": self.advice}
        return found | ({"differs": self.differs.value} if self.differs else {})


NO_PING: Final = "no_ping"
NO_PORT_SCANNER: Final = "no_port_scanner"
NARROW_PORT_RANGE: Final = "narrow_port_range"


_TELLING: Final = frozenset(
    {
        "ended_early", "targets_edited", "report_incomplete", "no_hosts_alive", "targets_absent",
        "stopped_early", "license_limit", "report_filtered", "plugin_texts_missing",
        NO_PING, NO_PORT_SCANNER, NARROW_PORT_RANGE,
    }
)  # fmt: skip


def cautions(summary: Mapping[str, Any] | None) -> list[str]:
    """The warnings in a summary without which an empty list of findings would mislead."""
    return [
        f"{each['message']} {each['advice']}"
        for each in (summary or {}).get("warnings", ())
        if "differs" in each or each["code"] in _TELLING
    ]
