"""The order of findings in the ledger, and places in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.results.query.model import SortKey
from nessus_sched.store.findings.sql import Clause, join
from nessus_sched.store.ledger.search.columns import Column

Place = tuple[Any, ...]
"""The values of an entry in an order; its last four are those of its primary key."""


@attrs.frozen
class Key:
    """Absent values come last in both directions."""

    sql: str
    descending: bool = False


WORST_FIRST: Final = (
    SortKey(field="effective_severity", descending=True),
    SortKey(field="cisa_kev", descending=True),
    SortKey(field="cvss_score", descending=True),
)
KEY: Final = (Key("e.plugin"), Key("e.machine"), Key("e.service"), Key("e.audit_check"))
"""Distinguishes entries, in the order of the indexes."""


def keys_of(sort: Sequence[SortKey], known: Mapping[str, Column]) -> tuple[Key, ...]:
    """By `sort`, and what is equal worst first: by severity after exceptions, then known to be
    exploited, then the highest CVSS score, then plugin and host."""
    wanted = (*sort, *WORST_FIRST)
    return (*(Key(known[key.field].sort, key.descending) for key in wanted), *KEY)


def order_by(keys: Sequence[Key]) -> str:
    return ", ".join(
        f"{number} {'DESC' if key.descending else 'ASC'} NULLS LAST"
        for number, key in enumerate(keys, 1)
    )


def after(keys: Sequence[Key], place: Place) -> Clause:
    """A clause for the entries after a place."""
    equal: list[Clause] = []
    ways: list[Clause] = []
    for key, value in zip(keys, place, strict=True):
        if value is not None:
            sign = "<" if key.descending else ">"
            later = Clause(f"({key.sql} {sign} ? OR {key.sql} IS NULL)", (value,))
            ways.append(join("AND", [*equal, later]))
        equal.append(Clause(f"{key.sql} IS ?", (value,)))
    return join("OR", ways)


def rank(place: Place) -> tuple[Any, ...]:
    """Sorts places of the default order."""
    severity, exploited, cvss, *key = place
    return (severity is None, -(severity or 0), *rank_of_plugin(exploited, cvss), *key)


def rank_of_plugin(exploited: int | None, cvss: float | None) -> tuple[Any, ...]:
    return -(exploited or 0), cvss is None, -(cvss or 0.0)
