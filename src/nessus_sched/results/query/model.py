"""What can be asked of findings: which fields, which conditions, in which order.

A `Query` is valid by construction when `query_input.read_query` made it; a store compiles
it. Conditions look at the full row, whatever fields are shown.

What the operators mean, for every kind of field:

- Texts are compared without regard to case; `contains` looks for a part of the text.
- A list (`cve`, `xref` ...) fulfills `=`, `contains` and `in` when one of its members does.
- `!=`, `not contains` and `not in` are the exact opposites of `=`, `contains` and `in`,
  so they also hold where the field is absent.
- A host (`host`) is found by any of its names and addresses, and by a network or range of
  addresses (`host=192.0.2.0/24`, `host in 192.0.2.1-20, web.example.com`).
- `>`, `>=`, `<` and `<=` never hold where the field is absent.
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
    """Operators, as they are written in a filter."""

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
"""Operators that hold exactly where another does not."""

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
"""The operators that a field of a kind knows."""


class Match(StrEnum):
    """Whether a finding must fulfill all conditions or any of them."""

    ALL = "all"
    ANY = "any"


class GroupBy(StrEnum):
    """What findings have in common that are counted together."""

    PLUGIN = "plugin"
    HOST = "host"
    SOLUTION = "solution"


OF_CHECKS: Final = ("compliance_check_name", "compliance_result")
"""Fields that a profile shows only of compliance checks."""

_MINIMAL: Final = (
    "host", "port", "severity", "plugin_id", "plugin_name", "cve", "cvss_score",
    "exploit_available", *OF_CHECKS,
)  # fmt: skip
_SUMMARY: Final = (*_MINIMAL, "cvss3_base_score", "synopsis")
_BRIEF: Final = (*_SUMMARY, "description", "solution")

PROFILES: Final[Mapping[str, tuple[str, ...]]] = {
    "minimal": _MINIMAL,
    "summary": _SUMMARY,
    "brief": _BRIEF,
    "full": tuple(FIELDS),
}
"""Named choices of fields."""

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
    plugin, host and port; it also breaks the ties of every other order. `keep_absent`
    False leaves absent fields out of the rows, and so it is for `optional` ones. `cursor` is
    the `next_cursor` of the page before. With `group_by` the page has groups of findings, and
    `fields` and `sort` say nothing.
    """

    fields: tuple[str, ...] = PROFILES[DEFAULT_PROFILE]
    keep_absent: bool = True
    optional: tuple[str, ...] = OF_CHECKS
    conditions: tuple[Condition, ...] = ()
    match: Match = Match.ALL
    sort: tuple[SortKey, ...] = ()
    page_size: int = DEFAULT_PAGE_SIZE
    cursor: str | None = None
    group_by: GroupBy | None = None


class BadQuery(ValueError):
    """A query that cannot be answered; `problems` says everything that is wrong with it,
    each as a sentence that names what is valid."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
