"""Compiles a query's conditions and order to SQL (tables: see `schema`).

Conditions are grouped by dimension and become `host_row IN (SELECT ...)`, so that the same SQL
works for findings and for the tallies of a dimension. Values are always parameters; only names
from the catalog become part of the SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.results.catalog import FIELDS
from nessus_sched.results.columns import Kind
from nessus_sched.results.model import NO_SEVERITY, host_key
from nessus_sched.results.presence import is_many
from nessus_sched.results.query.model import OPPOSITES, Condition, Match, Op, SortKey
from nessus_sched.store.findings.schema import (
    STORED_SEVERITIES,
    TABLE_OF,
    Table,
)

_COMPARISONS: Final = frozenset({Op.GREATER, Op.AT_LEAST, Op.LESS, Op.AT_MOST})
_TEXTUAL: Final = frozenset({Kind.TEXT, Kind.LIST})
_HOSTS_BY_ORDER: Final = frozenset({"host", "host_name", "host_ip"})
AUDIT_FILE: Final = """CASE
  WHEN substr(compliance_audit_file, 33, 1) = '-' AND length(compliance_audit_file) > 33
    AND substr(compliance_audit_file, 1, 32) NOT GLOB '*[^0-9a-f]*'
  THEN substr(compliance_audit_file, 34) ELSE compliance_audit_file END"""
"""The audit file of a check, as `core.seal.without_upload` has it: earlier releases stored the name
of the upload."""


HOST_NAMES: Final[Mapping[str, Sequence[str]]] = {
    "host": ("host", "host_ip", "host_fqdn", "host_netbios_name", "host_hostname"),
    "host_ip": ("host_ip",),
}
"""The columns that may contain a queried host's name."""


_FLAT: Final = 100
"""Clauses that are combined without a tree."""


@attrs.frozen
class Clause:
    """SQL and the values of its placeholders."""

    sql: str
    values: tuple[Any, ...] = ()


def join(word: str, clauses: Sequence[Clause]) -> Clause:
    """Combines the clauses with `AND` or `OR`. Many become a balanced tree: SQLite takes no
    expression that is more than a thousand levels deep, and each further clause is one."""
    if len(clauses) > _FLAT:
        middle = len(clauses) // 2
        return join(word, [join(word, clauses[:middle]), join(word, clauses[middle:])])
    return Clause(
        "(" + f" {word} ".join(clause.sql for clause in clauses) + ")",
        tuple(value for clause in clauses for value in clause.values),
    )


# -- one condition


def predicate(condition: Condition) -> Clause:
    """The condition on its field's column; not true may be false or null."""
    opposite = OPPOSITES.get(condition.op)
    if opposite is not None:
        positive = predicate(attrs.evolve(condition, op=opposite))
        return Clause(f"({positive.sql}) IS NOT TRUE", positive.values)
    if condition.field in HOST_NAMES and condition.op in (Op.EQUAL, Op.IN):
        return _names_host(condition)
    column = f'"{condition.field}"'
    if condition.op is Op.PRESENT:
        return Clause(f"{column} IS NOT NULL")
    kind = FIELDS[condition.field].kind
    if kind is Kind.LIST:
        member = compare("fold(value)", condition, kind)
        return Clause(
            f"EXISTS (SELECT 1 FROM json_each({column}) WHERE {member.sql})", member.values
        )
    return compare(f"fold({column})" if kind is Kind.TEXT else column, condition, kind)


def _names_host(condition: Condition) -> Clause:
    """Matches a host by one of the names, or an address in one of the networks."""
    wanted = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    names = [host_key(str(each)).casefold() for each in wanted if not is_many(str(each))]
    networks = [str(each).strip() for each in wanted if is_many(str(each))]
    clauses = []
    for column in HOST_NAMES[condition.field]:
        if names:
            marks = ", ".join("?" * len(names))
            clauses.append(Clause(f"rtrim(fold({column}), '.') IN ({marks})", tuple(names)))
        clauses += [Clause(f"in_network({column}, ?)", (network,)) for network in networks]
    return join("OR", clauses)


def compare(value: str, condition: Condition, kind: Kind) -> Clause:
    wanted = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    if kind in _TEXTUAL:
        wanted = tuple(str(text).casefold() for text in wanted)
    if condition.op is Op.IN:
        return Clause(f"{value} IN ({', '.join('?' * len(wanted))})", wanted)
    if condition.op is Op.CONTAINS:
        return Clause(f"instr({value}, ?) > 0", wanted)
    assert condition.op is Op.EQUAL or condition.op in _COMPARISONS
    return Clause(f"{value} {condition.op.value} ?", wanted)


def severities_of(condition: Condition) -> frozenset[int]:
    """The stored severities that match a condition on `severity`."""
    opposite = OPPOSITES.get(condition.op)
    if opposite is not None:
        return frozenset(STORED_SEVERITIES) - severities_of(attrs.evolve(condition, op=opposite))
    given = [severity for severity in STORED_SEVERITIES if severity != NO_SEVERITY]
    if condition.op is Op.PRESENT:
        return frozenset(given)
    test = _SEVERITY_TESTS[condition.op]
    ordered = condition.op in _COMPARISONS
    return frozenset(
        severity
        for severity in (given if ordered else STORED_SEVERITIES)
        if test(severity, condition.value)
    )


_SEVERITY_TESTS: Final[Mapping[Op, Callable[[int, Any], bool]]] = {
    Op.EQUAL: lambda severity, value: bool(severity == value),
    Op.GREATER: lambda severity, value: bool(severity > value),
    Op.AT_LEAST: lambda severity, value: bool(severity >= value),
    Op.LESS: lambda severity, value: bool(severity < value),
    Op.AT_MOST: lambda severity, value: bool(severity <= value),
    Op.IN: lambda severity, value: severity in value,
}


# -- all conditions


@attrs.frozen(kw_only=True)
class ScanRow:
    """A stored scan. `counts` are its findings in the order of `STORED_SEVERITIES`."""

    scan: int
    task_id: str
    imported_at: float
    first_row: int
    last_row: int
    counts: tuple[int, ...]

    @property
    def rows(self) -> tuple[int, int]:
        return self.first_row, self.last_row


@attrs.frozen(kw_only=True)
class Selection:
    """The findings that a query's conditions select in one scan.

    `severities` are those that can match. `where` is a clause on the findings, None if every
    finding with one of these severities matches; `by_part` are its conditions by dimension;
    `alternatives`: any of them is enough.
    """

    severities: frozenset[int]
    where: Clause | None = None
    by_part: Mapping[Table, Clause] = attrs.field(factory=dict)
    alternatives: bool = False

    @property
    def parts(self) -> frozenset[Table]:
        """The dimensions with conditions, apart from the severity."""
        return frozenset(self.by_part)


_EVERY_SEVERITY: Final = frozenset(STORED_SEVERITIES)


def select(
    scan: ScanRow, conditions: Iterable[Condition], match: Match, plugins: Clause | None = None
) -> Selection:
    """`plugins` selects the plugins that match the conditions on plugins, if already known."""
    grouped: dict[Table, list[Clause]] = {}
    severities: list[frozenset[int]] = []
    for condition in conditions:
        if condition.field == "severity":
            severities.append(severities_of(condition))
        else:
            grouped.setdefault(TABLE_OF[condition.field], []).append(predicate(condition))
    word = "AND" if match is Match.ALL else "OR"
    by_part = {
        table: _in_part(table, join(word, clauses), scan) for table, clauses in grouped.items()
    }
    if plugins is not None:
        by_part[Table.PLUGINS] = plugins
    return (_all if match is Match.ALL else _any)(severities, by_part)


def _all(severities: list[frozenset[int]], by_part: Mapping[Table, Clause]) -> Selection:
    return Selection(
        severities=_EVERY_SEVERITY.intersection(*severities),
        where=join("AND", [*by_part.values()]) if by_part else None,
        by_part=by_part,
    )


def _any(severities: list[frozenset[int]], by_part: Mapping[Table, Clause]) -> Selection:
    union = frozenset[int]().union(*severities)
    if not by_part:
        return Selection(severities=union if severities else _EVERY_SEVERITY)
    clauses = [*by_part.values(), *([in_severities(union)] if severities else [])]
    return Selection(
        severities=_EVERY_SEVERITY,
        where=join("OR", clauses),
        by_part=by_part,
        alternatives=len(clauses) > 1,
    )


def in_severities(severities: frozenset[int]) -> Clause:
    return Clause(f"severity IN ({', '.join(map(str, sorted(severities)))})")


def _in_part(table: Table, clause: Clause, scan: ScanRow) -> Clause:
    if table is Table.FINDINGS:
        return clause
    column = table.reference
    if table is Table.PLUGINS:
        within = Clause(
            f"{column} IN (SELECT {column} FROM plugin_tally WHERE scan = ?)", (scan.scan,)
        )
    else:
        within = Clause(f"{column} BETWEEN ? AND ?", scan.rows)
    chosen = join("AND", [within, clause])
    return Clause(f"{column} IN (SELECT {column} FROM {table} WHERE {chosen.sql})", chosen.values)


# -- order


def order_expression(field: str) -> str:
    """The sort expression of a field: texts without case, addresses by number, an unknown
    severity as null."""
    if field == "severity":
        return f"nullif(severity, {NO_SEVERITY})"
    if field in _HOSTS_BY_ORDER:
        return f"host_order({field})"
    column = f'"{field}"'
    return f"fold({column})" if FIELDS[field].kind is Kind.TEXT else column


def effective_order(sort: Sequence[SortKey]) -> tuple[SortKey, ...]:
    """The sort keys, except those implied by `finding_row`, which rises as severity falls."""
    if sort and sort[0] == SortKey(field="severity", descending=True) and len(sort) == 1:
        return ()
    return tuple(sort)


def order_by(sort: Sequence[SortKey]) -> str:
    keys = [
        f"{order_expression(key.field)} {'DESC' if key.descending else 'ASC'} NULLS LAST"
        for key in sort
    ]
    return ", ".join([*keys, "finding_row"])


def after(sort: Sequence[SortKey], keys: Sequence[Any], row: int) -> Clause:
    """A clause for the findings after `row`, whose sort values are `keys`, in this order."""
    equal: list[Clause] = []
    ways: list[Clause] = []
    for key, value in zip(sort, keys, strict=True):
        expression = order_expression(key.field)
        if value is not None:
            sign = "<" if key.descending else ">"
            later = Clause(f"({expression} {sign} ? OR {expression} IS NULL)", (value,))
            ways.append(join("AND", [*equal, later]))
        equal.append(Clause(f"{expression} IS ?", (value,)))
    ways.append(join("AND", [*equal, Clause("finding_row > ?", (row,))]))
    return join("OR", ways)


def join_parts(fields: Iterable[str]) -> str:
    """The joins that these fields need in addition to `findings`, which stays outermost."""
    tables = dict.fromkeys(TABLE_OF[field] for field in fields)
    return "".join(
        f" CROSS JOIN {table} USING ({table.reference})"
        for table in tables
        if table is not Table.FINDINGS
    )
