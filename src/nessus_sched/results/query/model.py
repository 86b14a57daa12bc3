"""Queries for findings: fields, conditions and order.

A `Query` from `query.input.read_query` is always valid; a store compiles it. Conditions apply
to the full row, whatever fields are shown.

The meaning of operators for every kind of field:

- Text comparison ignores case; `contains` matches a part of the text.
- A list (`cve`, `xref` ...) matches `=`, `contains` and `in` if one of its members does.
- `!=`, `not contains` and `not in` are the exact opposites of `=`, `contains` and `in`, so
  they also match if the field is absent.
- `host` matches any of a host's names and addresses, and networks or ranges of addresses
  (`host=192.0.2.0/24`, `host in 192.0.2.1-20, web.example.com`).
- `>`, `>=`, `<` and `<=` never match if the field is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeAlias

import attrs

from nessus_sched.results.catalog import FIELDS
from nessus_sched.results.columns import Kind

Scalar: TypeAlias = str | int | float | bool

MAX_PAGE_SIZE: Final = 1000
DEFAULT_PAGE_SIZE: Final = 50


class Op(StrEnum):
    """Operators as written in a filter."""

    EQUAL = "="
    UNEQUAL = "!="
    GREATER = ">"
    AT_LEAST = ">="
    LESS = "<"
    AT_MOST = "<="
    CONTAINS = "contains"
    NOT_CONTAINS = "not contains"
    IN = "in"
    NOT_IN = "not in"
    PRESENT = "present"
    ABSENT = "absent"


OPPOSITES: Final[Mapping[Op, Op]] = {
    Op.UNEQUAL: Op.EQUAL,
    Op.NOT_CONTAINS: Op.CONTAINS,
    Op.NOT_IN: Op.IN,
    Op.ABSENT: Op.PRESENT,
}
"""Operators that match exactly if another does not."""

WITHOUT_VALUE: Final = frozenset({Op.PRESENT, Op.ABSENT})
WITH_LIST: Final = frozenset({Op.IN, Op.NOT_IN})

_SAME: Final = (Op.EQUAL, Op.UNEQUAL)
_EXISTS: Final = (Op.PRESENT, Op.ABSENT)
_ORDERED: Final = (
    *_SAME, Op.GREATER, Op.AT_LEAST, Op.LESS, Op.AT_MOST, Op.IN, Op.NOT_IN, *_EXISTS
)  # fmt: skip
_TEXTUAL: Final = (*_SAME, Op.CONTAINS, Op.NOT_CONTAINS, Op.IN, Op.NOT_IN, *_EXISTS)

OPERATORS: Final[Mapping[Kind, tuple[Op, ...]]] = {
    Kind.TEXT: _TEXTUAL,
    Kind.LIST: _TEXTUAL,
    Kind.INTEGER: _ORDERED,
    Kind.NUMBER: _ORDERED,
    Kind.SEVERITY: _ORDERED,
    Kind.DATE: _ORDERED,
    Kind.TIME: _ORDERED,
    Kind.FLAG: (*_SAME, *_EXISTS),
}
"""The operators that apply to each kind of field."""


class Match(StrEnum):
    """Whether a finding must match all conditions or any of them."""

    ALL = "all"
    ANY = "any"


class GroupBy(StrEnum):
    """What to group findings by."""

    PLUGIN = "plugin"
    HOST = "host"
    SOLUTION = "solution"


OF_CHECKS: Final = ("compliance_check_name", "compliance_result")
"""Fields that a profile shows only for compliance checks."""
OPTIONAL: Final = (
    *OF_CHECKS, "compliance_policy_value", "compliance_actual_value", "host_fqdn", "cisa_kev",
)  # fmt: skip
"""Fields that a profile shows only if they have a value, or if they are true."""

_MINIMAL: Final = (
    "host", "port", "protocol", "severity", "plugin_id", "plugin_name", "cve", "cvss_score",
    "exploit_available", "cisa_kev", *OF_CHECKS,
)  # fmt: skip
_SUMMARY: Final = (*_MINIMAL, "host_fqdn", "cvss3_base_score", "synopsis")
_BRIEF: Final = (
    *_SUMMARY, "compliance_policy_value", "compliance_actual_value", "description", "solution"
)  # fmt: skip

PROFILES: Final[Mapping[str, tuple[str, ...]]] = {
    "minimal": _MINIMAL,
    "summary": _SUMMARY,
    "brief": _BRIEF,
    "full": tuple(FIELDS),
}
"""Named sets of fields."""

JOINED: Final = (
    "state", "effective_severity", "exception", "exception_id", "first_seen", "last_seen",
    "fixed_at", "age_days", "unverified", "stale",
)  # fmt: skip
"""What the ledger knows of a stored finding, by the names of the ledger's fields."""
_JOINED_SUMMARY: Final = (
    "state", "effective_severity", "exception", "exception_id", "first_seen", "last_seen",
    "fixed_at", "unverified",
)  # fmt: skip
JOINED_PROFILES: Final[Mapping[str, tuple[str, ...]]] = {
    "minimal": ("state", "effective_severity", "exception", "unverified"),
    "summary": _JOINED_SUMMARY,
    "brief": _JOINED_SUMMARY,
    "full": JOINED,
}
"""Those that each profile shows."""

DEFAULT_PROFILE: Final = "brief"


@attrs.frozen(kw_only=True)
class Condition:
    """`field op value`. The value has the type of the field's kind (severities 0 to 4 or
    `NO_SEVERITY`, dates ISO 8601, times epoch seconds); a tuple for `in` and `not in`, None
    for `present` and `absent`."""

    field: str
    op: Op
    value: Scalar | tuple[Scalar, ...] | None = None


@attrs.frozen(kw_only=True)
class SortKey:
    """Absent values come last in both directions."""

    field: str
    descending: bool = False


@attrs.frozen(kw_only=True)
class Query:
    """A page of findings to read.

    `sort` is empty for the default order: worst severity first, then highest CVSS score,
    plugin, host and port; this also breaks ties in any other order. Without `keep_absent`,
    absent fields are left out of the rows; `optional` fields always are. `cursor` is the
    `next_cursor` of the previous page. With `group_by` the page has groups of findings, and
    `fields` and `sort` are ignored. `joined` fields are not read with the others, but added to the
    rows afterwards (`query.joining`); `shown` are both, in the order in which they were asked for.
    """

    fields: tuple[str, ...] = PROFILES[DEFAULT_PROFILE]
    joined: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    keep_absent: bool = True
    optional: tuple[str, ...] = OPTIONAL
    conditions: tuple[Condition, ...] = ()
    match: Match = Match.ALL
    sort: tuple[SortKey, ...] = ()
    page_size: int = DEFAULT_PAGE_SIZE
    cursor: str | None = None
    group_by: GroupBy | None = None


class BadQuery(ValueError):
    """An invalid query; `problems` has a sentence for each mistake that says what is valid."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@attrs.frozen(kw_only=True)
class SearchScope:
    """The scans to search: imported at `since` or later and before `until` (epoch
    seconds), and of these tasks; None means no limit. `history` is for every scan
    that ever saw a finding, instead of the present state."""

    since: float | None = None
    until: float | None = None
    task_ids: tuple[str, ...] | None = None
    history: bool = False
