"""What schedules did in a period, from the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import attrs

from nessus_sched.results.pack.times import iso

_PREFIX: Final = "schedule_"
_FIRINGS: Final = {"fired": "fired", "skipped": "skipped", "failed": "failed"}
LISTED: Final = 1000
"""Firings that did not submit a task, and changes, that are listed for each schedule."""


@attrs.define(kw_only=True)
class ScheduleRecord:
    """`when` and `request` are the latest known; `removed` if it was deleted in the period."""

    schedule_id: str
    name: str
    when: str | None = None
    request: Mapping[str, Any] | None = None
    counts: Counter[str] = attrs.field(factory=Counter)
    missed: list[Mapping[str, Any]] = attrs.field(factory=list)
    changes: list[Mapping[str, Any]] = attrs.field(factory=list)
    removed: bool = False
    left_out: int = 0

    def document(self) -> dict[str, Any]:
        return {
            "schedule_id": self.schedule_id,
            "name": self.name,
            "when": self.when,
            "request": self.request,
            "fired": self.counts["fired"],
            "skipped": self.counts["skipped"],
            "failed": self.counts["failed"],
            "second_tries": self.counts["tried_again"],
            "run_on_request": self.counts["run_now"],
            "without_task": self.missed,
            "changes": self.changes,
            "left_out": self.left_out,
            "removed": self.removed,
        }


class Schedules:
    """Follows the schedules through the journal."""

    def __init__(self) -> None:
        self._records: dict[str, ScheduleRecord] = {}

    def read(self, entry: Mapping[str, Any], *, inside: bool) -> None:
        """An entry before the end of the period; `inside`: it is in the period."""
        detail = entry.get("detail", {})
        if not entry["event"].startswith(_PREFIX) or "schedule_id" not in detail:
            return
        change = entry["event"].removeprefix(_PREFIX)
        record = self._records.get(detail["schedule_id"])
        if record is None:
            record = ScheduleRecord(schedule_id=detail["schedule_id"], name=detail["schedule"])
            self._records[record.schedule_id] = record
        record.name = detail["schedule"]
        record.when = detail.get("when", record.when)
        record.request = detail.get("request", record.request)
        if change == "removed" and not inside:
            del self._records[record.schedule_id]
            return
        if inside:
            record.removed = change == "removed"
            _count(record, change, entry, detail)

    def documents(self) -> list[dict[str, Any]]:
        """In the order of their ids."""
        return [self._records[name].document() for name in sorted(self._records)]


def _count(
    record: ScheduleRecord, change: str, entry: Mapping[str, Any], detail: Mapping[str, Any]
) -> None:
    record.counts[change] += 1
    if change in ("fired", "tried_again", "run_now"):
        return
    lines = record.missed if change in _FIRINGS else record.changes
    if len(lines) >= LISTED:
        record.left_out += 1
    elif change in _FIRINGS:
        lines.append(
            {"due": iso(detail["nominal"]), "outcome": change, "why": entry.get("cause", "")}
        )
    else:
        lines.append({"at": iso(entry["at"]), "change": change, "by": entry.get("actor", "system")})
