"""What the ledger knows about the findings of stored scans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from nessus_sched.api.app import ReadApp
from nessus_sched.api.operations import Call
from nessus_sched.api.outcomes.finding import finding_document
from nessus_sched.api.outcomes.ledger import may_see
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.text import pluralize
from nessus_sched.results.ledger.questions import Entry, Spot
from nessus_sched.results.model import host_key
from nessus_sched.results.query.joining import arranged, is_finding
from nessus_sched.results.query.model import Query
from nessus_sched.results.query.page import Page


def room_left(max_bytes: int, query: Query) -> int:
    """Bytes for the rows before `with_standing` adds to them."""
    return max_bytes * 3 // 4 if query.joined and query.group_by is None else max_bytes


async def with_standing(
    app: ReadApp, call: Call, page: Page, query: Query, task_id: str | None = None
) -> Page:
    """The page of an `identified` query with the ledger's fields that it asks for, as far as the
    ledger has them of hosts that the caller may see. Rows are of the scan of `task_id`, or say of
    which themselves."""
    known: list[Mapping[str, Any] | None] = [None] * len(page.rows)
    places = [place for place, row in enumerate(page.rows) if is_finding(row)]
    if not query.joined or not places:
        return page
    now = app.now()
    try:
        ledger = app.ledger
        spots = [_spot(page.rows[place], task_id) for place in places]
        entries = await ledger.standing(spots, now)
    except StoreUnavailable as error:
        return arranged(page, query, known, f"Without what the ledger knows: {error}.")
    may_show = cache(lambda host, ip: may_see(app, call, host, ip))
    for place, entry in zip(places, entries, strict=True):
        if entry is not None and may_show(entry.host, entry.ip):
            known[place] = finding_document(entry, now, app.config.ledger.stale_after)
    return arranged(page, query, known, *_behind(ledger.waiting, entries))


def _behind(waiting: int, entries: Sequence[Entry | None]) -> Iterable[str]:
    if waiting and None in entries:
        yield (
            f"{pluralize(waiting, 'finished scan')} not entered in the ledger yet: states and "
            "times may be missing."
        )


def _spot(row: Mapping[str, Any], task_id: str | None) -> Spot:
    return Spot(
        task_id=task_id or row["task_id"],
        host=host_key(row["host"]),
        plugin_id=row["plugin_id"],
        port=row["port"],
        protocol=row["protocol"],
        check=row.get("compliance_check_name"),
    )
