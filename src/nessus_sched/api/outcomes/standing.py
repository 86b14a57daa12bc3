"""What the ledger knows about the findings of a page of stored scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.api.app import ReadApp
from nessus_sched.api.outcomes.finding import finding_document
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.results.ledger.questions import Spot
from nessus_sched.results.model import host_key
from nessus_sched.results.query.page import Page

_BRIEF: Final = ("state", "effective_severity", "exception")
_MORE: Final = (*_BRIEF, "exception_id", "first_seen", "last_seen")
_ABOUT: Final = ("host", "port", "protocol", "plugin_id")


def room_left(max_bytes: int, fields: Sequence[str]) -> int:
    """Bytes for the rows before `with_standing` adds to them."""
    return max_bytes if fields else max_bytes * 3 // 4


async def with_standing(
    app: ReadApp, page: Page, task_ids: Sequence[str], profile: str | None, fields: Sequence[str]
) -> Page:
    """The page of findings of these tasks, each with its state, exception, and first and last time
    seen, as far as the ledger has them; as it is if fields were asked for."""
    places = [place for place, row in enumerate(page.rows) if _is_finding(row)]
    if fields or not places:
        return page
    spots = [_spot(page.rows[place]) for place in places]
    now = app.now()
    try:
        entries = await app.ledger.standing(task_ids, spots, now)
    except StoreUnavailable:
        return page
    rows = list(page.rows)
    shown = _BRIEF if profile == "minimal" else _MORE
    for place, entry in zip(places, entries, strict=True):
        if entry is not None:
            known = finding_document(entry, now, app.config.ledger.stale_after)
            rows[place] = {
                **rows[place],
                **{name: known[name] for name in shown if name in known},
            }
    return attrs.evolve(page, rows=tuple(rows))


def _is_finding(row: Mapping[str, Any]) -> bool:
    return all(row.get(name) is not None for name in _ABOUT)


def _spot(row: Mapping[str, Any]) -> Spot:
    return Spot(
        host=host_key(row["host"]),
        plugin_id=row["plugin_id"],
        port=row["port"],
        protocol=row["protocol"],
        check=row.get("compliance_check_name"),
    )
