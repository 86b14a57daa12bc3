"""Parses input from a model, a person or a program into a valid `Query`.

The parser is lenient where the meaning is clear (operator aliases, quoted numbers, a list with
`=` instead of `in`) and strict where it is not: an unknown field, operator or value is an error
that says what is valid, because an empty result would mean "nothing found". All problems of a
query are reported at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any, Final, TypeVar

from nessus_sched.results.columns import Kind
from nessus_sched.results.model import NO_SEVERITY, UNKNOWN_SEVERITY
from nessus_sched.results.query.catalogs import STORED, Catalog, QueryField
from nessus_sched.results.query.model import (
    DEFAULT_PAGE_SIZE,
    DEFAULT_PROFILE,
    MAX_PAGE_SIZE,
    OPERATORS,
    WITH_LIST,
    WITHOUT_VALUE,
    BadQuery,
    Condition,
    GroupBy,
    Match,
    Op,
    Query,
    Scalar,
    SortKey,
)
from nessus_sched.results.query.text import operator_named, parse_filter, split_list
from nessus_sched.results.query.values import BadValue, looks_several, read_value, shown

T = TypeVar("T")

MAX_CONDITIONS: Final = 50
MAX_MEMBERS: Final = 500
"""Members of a list in a condition."""
MAX_SORT_KEYS: Final = 5
MAX_FIELDS: Final = 200
_MOST: Final[Mapping[str, tuple[int, str]]] = {
    "fields": (MAX_FIELDS, ""),
    "filters": (MAX_CONDITIONS, "; use 'in' for alternatives"),
    "sort": (MAX_SORT_KEYS, " fields"),
}

KEYS: Final = ("profile", "fields", "filters", "match", "sort", "page_size", "cursor", "group_by")
_HINTS: Final[Mapping[str, str]] = {
    "cvss": "cvss_score", "cvss2": "cvss_base_score", "cvss3": "cvss3_base_score",
    "epss": "epss_score", "exploit": "exploit_available", "family": "plugin_family",
    "fqdn": "host_fqdn", "hostname": "host", "ip": "host_ip", "kev": "cisa_kev",
    "mac": "host_mac_address", "name": "plugin_name", "os": "host_os",
    "output": "plugin_output", "plugin": "plugin_id", "risk": "severity",
    "service": "svc_name", "target": "host", "title": "plugin_name", "vpr": "vpr_score",
}  # fmt: skip
"""Names that people often guess, for suggestions in errors."""
_NOT_ASKABLE: Final = (
    "comes from the ledger and can only be shown here; to filter or sort by it use search_findings "
    "(`nessus-sched findings`), with task_id=ID for what that scan was the last to see"
)


def read_query(raw: Mapping[str, Any], catalog: Catalog = STORED) -> Query:
    """The query that `raw` describes, on the fields of `catalog`. Raises `BadQuery` with all
    problems.

    Keys, all optional:

    - `profile`: one of the catalog's; `fields`: a list of field names, shown instead of the
      profile's, or in addition if both are given
    - `filters`: a list of `{"field": "severity", "op": ">=", "value": "high"}` or of texts
      such as `"severity>=high"`; `match`: `all` (default) or `any`
    - `sort`: a list such as `["-severity", "host"]`, `-` for descending
    - `page_size`, `cursor`
    - `group_by`: a value of `GroupBy`, for counts instead of findings
    """
    given = {key: value for key, value in raw.items() if value is not None}
    problems = [_unknown("key", str(key), KEYS) + _valid(KEYS) for key in given if key not in KEYS]
    profile = _one(partial(_profile, catalog), given.get("profile"), "profile", problems)
    fields = _each(partial(_shown_field, catalog), given.get("fields"), "fields", problems)
    conditions = _each(partial(_condition, catalog), given.get("filters"), "filters", problems)
    match = _one(_match, given.get("match", Match.ALL), "match", problems)
    sort = _each(partial(_sort_key, catalog), given.get("sort"), "sort", problems)
    page_size = _one(_page_size, given.get("page_size"), "page_size", problems)
    cursor = _one(_cursor, given.get("cursor"), "cursor", problems)
    group_by = _one(_group_by, given.get("group_by"), "group_by", problems)
    if group_by is not None and sort:
        problems.append("sort: groups come worst first; leave out sort or group_by")
    if problems:
        raise BadQuery(*_with_field_list(catalog, problems))
    joinable = {name for names in catalog.joined.values() for name in names}
    everything = _shown_fields(catalog, profile, fields)
    return Query(
        fields=tuple(name for name in everything if name not in joinable),
        joined=tuple(name for name in everything if name in joinable),
        shown=everything,
        keep_absent=profile != "full",
        conditions=tuple(conditions),
        match=match or Match.ALL,
        sort=tuple(sort),
        page_size=page_size or DEFAULT_PAGE_SIZE,
        cursor=cursor,
        group_by=group_by,
        optional=tuple(name for name in catalog.optional if name not in fields),
    )


def named_fields(raw: Mapping[str, Any]) -> list[str]:
    """The names in the place of a field's, known or not, in filters, `sort` and `fields`."""
    names = [field_name(each) for each in _items(raw.get("fields"))]
    names += [field_name(_sorted_name(_sort_parts(each)[0])) for each in _items(raw.get("sort"))]
    for each in _items(raw.get("filters")):
        if isinstance(each, Mapping):
            names.append(field_name(each.get("field", "")))
        elif isinstance(each, str) and (typed := parse_filter(each)) is not None:
            names.append(field_name(typed.field))
    return list(dict.fromkeys(names))


def _one(read: Callable[[Any], T | None], raw: Any, where: str, problems: list[str]) -> T | None:
    try:
        return read(raw)
    except BadValue as wrong:
        problems.append(f"{where}: {wrong}")
        return None


def _each(read: Callable[[Any], T], raw: Any, where: str, problems: list[str]) -> list[T]:
    found: list[T] = []
    items = _items(raw)
    most, advice = _MOST[where]
    if len(items) > most:
        problems.append(f"{where}: at most {most}{advice}")
        return found
    for place, item in enumerate(items):
        label = f"{where}[{place}]"
        value = _one(read, item, label, problems)
        if value is not None:
            found.append(value)
    return found


def _items(raw: Any) -> Sequence[Any]:
    """The input as a list; a single item becomes a list of one."""
    if raw is None:
        return ()
    return raw if isinstance(raw, list | tuple) else (raw,)


def field_name(raw: Any) -> str:
    """A field's name as people write it."""
    return str(raw).strip().lower().replace("-", "_")


def _field(catalog: Catalog, raw: Any) -> QueryField:
    name = field_name(raw)
    if _is_joined(catalog, name):
        raise BadValue(f"{name} {_NOT_ASKABLE}")
    if name not in catalog.fields:
        raise BadValue(_unknown("field", str(raw), catalog.known))
    return catalog.fields[name]


def _is_joined(catalog: Catalog, name: str) -> bool:
    return any(name in names for names in catalog.joined.values())


def _sort_field(catalog: Catalog, raw: Any) -> QueryField:
    field = _field(catalog, raw)
    if field.name in catalog.filters_only:
        raise BadValue(f"{field.name} is for filters only")
    return field


def _shown_field(catalog: Catalog, raw: Any) -> str:
    name = field_name(raw)
    return name if _is_joined(catalog, name) else _sort_field(catalog, raw).name


def _profile(catalog: Catalog, raw: Any) -> str | None:
    if raw is None:
        return None
    name = str(raw).strip().lower()
    profiles = catalog.profiles
    if name not in profiles:
        raise BadValue(_unknown("profile", str(raw), tuple(profiles)) + _valid(profiles))
    return name


def _shown_fields(catalog: Catalog, profile: str | None, extra: list[str]) -> tuple[str, ...]:
    if profile is None and extra:
        return tuple(dict.fromkeys(extra))
    name = profile or DEFAULT_PROFILE
    return tuple(dict.fromkeys((*catalog.profiles[name], *catalog.joined.get(name, ()), *extra)))


def _match(raw: Any) -> Match:
    try:
        return Match(str(raw).strip().lower())
    except ValueError:
        raise BadValue(_unknown("match", str(raw), tuple(Match)) + _valid(Match)) from None


def _group_by(raw: Any) -> GroupBy | None:
    if raw is None:
        return None
    try:
        return GroupBy(str(raw).strip().lower())
    except ValueError:
        raise BadValue(_unknown("group", str(raw), tuple(GroupBy)) + _valid(GroupBy)) from None


def _page_size(raw: Any) -> int | None:
    if raw is None:
        return None
    digits = str(raw).strip()
    if not digits.isdecimal() or not 1 <= int(digits[:9]) <= MAX_PAGE_SIZE:
        raise BadValue(f"takes a whole number from 1 to {MAX_PAGE_SIZE}, not {shown(raw)}")
    return int(digits)


def _cursor(raw: Any) -> str | None:
    if raw is None or raw == "":
        return None
    if not isinstance(raw, str):
        raise BadValue("takes the next_cursor of the previous page unchanged")
    return raw


def _sort_parts(raw: Any) -> tuple[str, str]:
    if isinstance(raw, Mapping):
        text = f"{raw.get('field', '')} {raw.get('order', raw.get('direction', 'asc'))}"
    else:
        text = str(raw)
    name, _, order = text.strip().partition(" ")
    return name, order


def _sorted_name(name: str) -> str:
    return name.removeprefix("-").removeprefix("+")


def _sort_key(catalog: Catalog, raw: Any) -> SortKey:
    name, order = _sort_parts(raw)
    order = order.strip().lower() or "asc"
    if order not in {"asc", "desc", "ascending", "descending"}:
        raise BadValue(f"unknown order {shown(order)}; write 'field', '-field' or 'field desc'")
    descending = order.startswith("desc") != name.startswith("-")
    field = _sort_field(catalog, _sorted_name(name))
    if field.kind is Kind.LIST:
        raise BadValue(f"{field.name} is a list and has no order; sort by another field")
    return SortKey(field=field.name, descending=descending)


def _condition(catalog: Catalog, raw: Any) -> Condition:
    field, op, value = _parts(catalog, raw)
    if value is None and op in {Op.EQUAL, Op.UNEQUAL} and isinstance(raw, Mapping):
        op = Op.ABSENT if op is Op.EQUAL else Op.PRESENT
    if isinstance(value, list | tuple):
        op = {Op.EQUAL: Op.IN, Op.UNEQUAL: Op.NOT_IN}.get(op, op)
    if op not in OPERATORS[field.kind]:
        raise BadValue(
            f"{op.value!r} does not apply to {field.name} ({field.kind})"
            + _valid(OPERATORS[field.kind])
        )
    if op in WITHOUT_VALUE:
        return Condition(field=field.name, op=_existence(op, value))
    if op in WITH_LIST:
        return Condition(field=field.name, op=op, value=_members(field, value))
    if value is None:
        raise BadValue(f"{field.name} {op.value} needs a value")
    if op in {Op.CONTAINS, Op.NOT_CONTAINS} and looks_several(field, value):
        raise BadValue(f"{field.name} {op.value} takes a part of a name; for a network write =")
    read = read_value(field, value)
    if field.kind is Kind.SEVERITY and read == NO_SEVERITY and op not in {Op.EQUAL, Op.UNEQUAL}:
        raise BadValue(f"an unknown severity has no order; write {field.name}={UNKNOWN_SEVERITY}")
    return Condition(field=field.name, op=op, value=read)


def _parts(catalog: Catalog, raw: Any) -> tuple[QueryField, Op, Any]:
    if isinstance(raw, str):
        typed = parse_filter(raw)
        if typed is None:
            raise BadValue(
                f"{shown(raw)} is not a filter; for example: 'severity>=high'" + _OPS_LIST
            )
        return _field(catalog, typed.field), typed.op, typed.value
    if not isinstance(raw, Mapping) or "field" not in raw:
        raise BadValue('write {"field": "severity", "op": ">=", "value": "high"}')
    strange = [str(key) for key in raw if key not in {"field", "op", "value"}]
    if strange:
        raise BadValue(f"unknown key {strange[0]!r}; a filter has field, op and value")
    word = str(raw.get("op", "="))
    op = operator_named(word)
    if op is None:
        raise BadValue(_unknown("operator", word, tuple(Op)) + _OPS_LIST)
    return _field(catalog, raw["field"]), op, raw.get("value")


def _existence(op: Op, value: Any) -> Op:
    """`present` with the value false means `absent`, and vice versa."""
    if value is None or value is True:
        return op
    if value is False:
        return Op.ABSENT if op is Op.PRESENT else Op.PRESENT
    raise BadValue(f"{op.value!r} takes no value")


def _members(field: QueryField, raw: Any) -> tuple[Scalar, ...]:
    members = split_list(raw) if isinstance(raw, str) else list(_items(raw))
    if not 1 <= len(members) <= MAX_MEMBERS:
        raise BadValue(f"{field.name} takes a list of 1 to {MAX_MEMBERS} values here")
    return tuple(read_value(field, member) for member in members)


_UNKNOWN_FIELD: Final = "unknown field "


def _unknown(what: str, given: str, valid: tuple[str, ...]) -> str:
    wanted = given.strip().lower().replace("-", "_")
    close = [_HINTS[wanted]] if what == "field" and wanted in _HINTS else []
    close += get_close_matches(wanted, valid, n=3, cutoff=0.7)
    close += [name for name in valid if len(wanted) >= 3 and wanted in name][:3]
    choice = list(dict.fromkeys(close))[:3]
    hint = f"; did you mean {' or '.join(map(repr, choice))}?" if choice else ""
    return f"unknown {what} {given[:60]!r}{hint}"


def _valid(names: Iterable[str]) -> str:
    return f" (valid: {', '.join(names)})"


_OPS_LIST: Final = _valid(op.value for op in Op)


def _with_field_list(catalog: Catalog, problems: list[str]) -> list[str]:
    """Appends the usual fields once, after all problems; all fields would fill a screen."""
    if any(_UNKNOWN_FIELD in problem for problem in problems):
        usual = ", ".join(catalog.profiles["summary"])
        return [*problems, f"Usual fields: {usual}; 'full' shows all"]
    return problems
