"""Compiles the conditions of a search of the ledger to SQL.

Conditions on plugins are looked up first, which gives the plugins to look for; those on hosts
become a clause on `machines`. So a search reads by the index that leads to the fewest entries.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

from nessus_sched.core.targets.labels import LABELS, Labels
from nessus_sched.core.targets.ranges import merged
from nessus_sched.results.columns import Kind
from nessus_sched.results.identity import plain_name
from nessus_sched.results.ledger.fields import LEDGER_FIELDS, OPEN_WORD
from nessus_sched.results.ledger.search import LedgerSearch, Seen
from nessus_sched.results.ledger.states import State
from nessus_sched.results.presence import TargetList, is_many
from nessus_sched.results.query.model import OPPOSITES, BadQuery, Condition, Match, Op
from nessus_sched.store.findings.schema import STORED_SEVERITIES
from nessus_sched.store.findings.sql import Clause, compare, join, severities_of
from nessus_sched.store.ledger.addresses import within
from nessus_sched.store.ledger.regions import machines_of
from nessus_sched.store.ledger.search.columns import Column, Table, columns

OPEN: Final = frozenset({State.NEW, State.ACTIVE, State.RESURFACED})
ALL_STATES: Final = frozenset(State)
ALL_SEVERITIES: Final = frozenset(STORED_SEVERITIES)
_NAMES: Final = ("m.name", "m.ip", "m.fqdn", "m.netbios", "m.identity")
_NOTHING: Final = Clause("e.state < 0")
"""Matches no entry. A constant would make SQLite refuse the index that a statement names."""
MAY_SEE: Final = "may_see"
"""The SQL function for `Seen.name`."""


@attrs.frozen(kw_only=True)
class Conditions:
    """The entries that match: of these states and severities, of `plugins` (None for any), on
    machines `m` for which `machines` holds, and for which `rest` holds, on `e`."""

    states: frozenset[State]
    severities: frozenset[int] = ALL_SEVERITIES
    plugins: tuple[int, ...] | None = None
    machines: Clause | None = None
    rest: Clause | None = None

    @property
    def all_open(self) -> bool:
        return bool(self.states) and self.states <= OPEN

    @property
    def plain(self) -> bool:
        """Whether all open findings of the machines match, but for their severities."""
        return self.states == OPEN and self.plugins is None and self.rest is None


def compiled(connection: sqlite3.Connection, search: LedgerSearch) -> Conditions:
    """Raises `BadQuery` for a schedule without scans."""
    query = search.query
    known = columns(search.now, search.stale_after)
    sorted_out = _sort_out(query.conditions, known, search)
    if query.match is Match.ALL:
        found = _all(connection, sorted_out)
    else:
        found = _any(connection, sorted_out)
    clauses = [*visible(search), *([found.machines] if found.machines else [])]
    if search.labelled is not None:
        clauses.append(Clause(f"m.{machines_of(connection, None, search.labelled)}"))
    return attrs.evolve(found, machines=join("AND", clauses)) if clauses else found


def visible(search: LedgerSearch) -> list[Clause]:
    """Clauses on the machines that the caller may see."""
    return [] if search.seen is None else [_seen(search.seen)]


@attrs.frozen
class _SortedOut:
    """Conditions by what they are about. `states` is None where none says anything about it."""

    states: list[frozenset[State]] | None
    severities: list[frozenset[int]]
    plugins: list[Clause]
    machines: list[Clause]
    entries: list[Clause]


def _sort_out(
    conditions: Sequence[Condition], known: Mapping[str, Column], search: LedgerSearch
) -> _SortedOut:
    found = _SortedOut(None, [], [], [], [])
    lists = {
        Table.DEFINITIONS: found.plugins,
        Table.MACHINES: found.machines,
        Table.ENTRIES: found.entries,
    }
    for condition in conditions:
        if condition.field == "state":
            found = attrs.evolve(found, states=[*(found.states or []), _states(condition)])
        elif condition.field == "severity":
            found.severities.append(severities_of(condition))
        elif condition.field == "schedule":
            found.entries.append(_of_schedule(condition, search.scheduled))
        else:
            _check_label(condition, search.labels)
            column = known[condition.field]
            lists[column.table].append(_predicate(condition, column))
        if condition.field == "fixed_at" and found.states is None:
            found = attrs.evolve(found, states=[])
    return found


def _all(connection: sqlite3.Connection, found: _SortedOut) -> Conditions:
    states = OPEN if found.states is None else ALL_STATES.intersection(*found.states)
    return Conditions(
        states=states,
        severities=ALL_SEVERITIES.intersection(*found.severities),
        plugins=_plugins(connection, join("AND", found.plugins)) if found.plugins else None,
        machines=join("AND", found.machines) if found.machines else None,
        rest=join("AND", found.entries) if found.entries else None,
    )


def _any(connection: sqlite3.Connection, found: _SortedOut) -> Conditions:
    """Where all conditions are about the same, they lead to it as those that must all match."""
    states = frozenset[State]().union(*found.states or [])
    severities = frozenset[int]().union(*found.severities)
    plugins = _plugins(connection, join("OR", found.plugins)) if found.plugins else None
    machines = join("OR", found.machines) if found.machines else None
    by_default = ALL_STATES if found.states is not None else OPEN
    ways = [
        *([_among("e.state", states)] if found.states else []),
        *([_among("e.severity", severities)] if found.severities else []),
        *([] if plugins is None else [of_plugins(plugins)]),
        *([] if machines is None else [on_machines(machines)]),
        *found.entries,
    ]
    if len(ways) > 1 or not (plugins is not None or machines):
        return Conditions(states=by_default, rest=join("OR", ways) if ways else None)
    return Conditions(states=by_default, plugins=plugins, machines=machines)


def _among(sql: str, numbers: frozenset[State] | frozenset[int]) -> Clause:
    if not numbers:
        return _NOTHING
    return Clause(f"{sql} IN ({', '.join(f'{number:d}' for number in sorted(numbers))})")


def _plugins(connection: sqlite3.Connection, where: Clause) -> tuple[int, ...]:
    rows = connection.execute(
        f"SELECT d.plugin FROM definitions d WHERE {where.sql} ORDER BY 1", where.values
    )
    return tuple(plugin for (plugin,) in rows)


# -- clauses on entries


def of_plugins(plugins: Sequence[int]) -> Clause:
    return Clause("e.plugin IN (SELECT value FROM json_each(?))", (json.dumps(plugins),))


def on_machines(where: Clause) -> Clause:
    return Clause(
        f"EXISTS (SELECT 1 FROM machines m WHERE m.machine = e.machine AND {where.sql})",
        where.values,
    )


def in_states(states: frozenset[State]) -> Clause:
    if states == ALL_STATES:
        return Clause("1")
    if not states <= OPEN or not states:
        return _among("e.state", states)
    as_indexed = Clause(f"e.state < {State.FIXED:d}")  # in the words of the partial indexes
    return as_indexed if states == OPEN else join("AND", [as_indexed, _among("e.state", states)])


def in_severities(severities: frozenset[int]) -> Clause:
    return Clause("1") if severities == ALL_SEVERITIES else _among("e.severity", severities)


# -- single conditions


def _states(condition: Condition) -> frozenset[State]:
    opposite = OPPOSITES.get(condition.op)
    if opposite is not None:
        return ALL_STATES - _states(attrs.evolve(condition, op=opposite))
    return frozenset(
        state
        for state in State
        if _word_matches(condition, state.word)
        or (state in OPEN and _word_matches(condition, OPEN_WORD))
    )


def _word_matches(condition: Condition, word: str) -> bool:
    """For conditions that are no opposites."""
    tests: Mapping[Op, Callable[[], bool]] = {
        Op.PRESENT: lambda: True,
        Op.IN: lambda: word in _texts(condition),
        Op.EQUAL: lambda: word in _texts(condition),
        Op.CONTAINS: lambda: _texts(condition)[0] in word,
    }
    return tests[condition.op]()


def _texts(condition: Condition) -> list[str]:
    many = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    return [str(each).casefold() for each in many]


def _of_schedule(condition: Condition, scheduled: Mapping[str, Sequence[str]]) -> Clause:
    """Entries whose deciding scan is one of a schedule that matches."""
    opposite = OPPOSITES.get(condition.op)
    if opposite is not None:
        inner = _of_schedule(attrs.evolve(condition, op=opposite), scheduled)
        return Clause(f"NOT {inner.sql}", inner.values)
    if condition.op in (Op.EQUAL, Op.IN):
        missing = [name for name in _texts(condition) if name not in scheduled]
        if missing:
            raise BadQuery(
                f"schedule: no scan of a schedule {missing[0][:60]!r} is stored"
                + (f" (of these: {', '.join(sorted(scheduled)[:20])})" if scheduled else "")
            )
    tasks = [task for name in scheduled if _word_matches(condition, name)
             for task in scheduled[name]]  # fmt: skip
    return Clause(
        "e.last_run IN (SELECT r.run FROM runs r WHERE r.task_id IN"
        " (SELECT value FROM json_each(?)))",
        (json.dumps(tasks),),
    )


def _check_label(condition: Condition, labels: Labels) -> None:
    """Raises `BadQuery` for a label that no host can have."""
    whole = OPPOSITES.get(condition.op, condition.op) in (Op.EQUAL, Op.IN)
    if condition.field not in LABELS or not whole:
        return
    known = labels.values(condition.field)
    folded = {each.casefold() for each in known}
    missing = [each for each in _texts(condition) if each not in folded]
    if missing:
        raise BadQuery(
            f"{condition.field}: no label {missing[0][:60]!r} is configured"
            + (f" (of these: {', '.join(known[:20])})" if known else "")
        )


def _predicate(condition: Condition, column: Column) -> Clause:
    opposite = OPPOSITES.get(condition.op)
    if opposite is not None:
        positive = _predicate(attrs.evolve(condition, op=opposite), column)
        return Clause(f"({positive.sql}) IS NOT TRUE", positive.values)
    kind = LEDGER_FIELDS[condition.field].kind
    if condition.field in ("host", "host_ip") and condition.op in (Op.EQUAL, Op.IN):
        return named(condition)
    if condition.field == "effective_severity":
        return _among(column.sql, severities_of(condition))
    if condition.field == "cve":
        return _of_cve(condition)
    if condition.op is Op.PRESENT:
        if condition.field == "compliance_check_name":
            return Clause("e.audit_check <> 0")
        return Clause(f"{column.sql} IS NOT NULL")
    value = f"fold({column.sql})" if kind is Kind.TEXT else column.sql
    return compare(value, condition, kind)


def named(condition: Condition) -> Clause:
    """Machines with one of these names or addresses, or an address in one of the networks."""
    wanted = _texts(condition)
    names = sorted({plain_name(each) for each in wanted if not is_many(each)})
    clauses = []
    if names:
        fields = _NAMES if condition.field == "host" else ("m.ip",)
        clauses = [
            Clause(f"{name} IN (SELECT value FROM json_each(?))", (json.dumps(names),))
            for name in fields
        ]
    ranges = merged(each for text in filter(is_many, wanted) for each in TargetList(text).ranges)
    return join("OR", [*clauses, *([Clause(within("m.address", ranges))] if ranges else [])])


def _of_cve(condition: Condition) -> Clause:
    """By the CVEs that a plugin names now or named once."""
    if condition.op is Op.PRESENT:
        member = Clause("1")
    elif condition.op is Op.CONTAINS:
        member = Clause("instr(c.cve, ?) > 0", (str(condition.value).upper(),))
    else:
        names = json.dumps([each.upper() for each in _texts(condition)])
        member = Clause("c.cve IN (SELECT value FROM json_each(?))", (names,))
    return Clause(
        f"d.plugin IN (SELECT c.plugin FROM definition_cves c WHERE {member.sql})", member.values
    )


def _seen(seen: Seen) -> Clause:
    """Machines that a caller may see, by address and by the name under which it was scanned."""
    unaddressed = Clause(f"(m.address IS NULL AND (m.ip IS NULL OR {MAY_SEE}(m.ip)))")
    addressed = join("OR", [unaddressed, Clause(within("m.address", seen.ranges))])
    named_so = Clause(f"(m.name = m.ip OR {MAY_SEE}(m.name))")
    return join("AND", [addressed, named_so])
