"""Reports made up from a seeded chance, and what a query on them should answer.

The answers are worked out on plain rows, one finding after the other, and share nothing
with the code under test but the catalog of fields.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final

import attrs

from nessus_sched.results.catalog import FIELDS, Value
from nessus_sched.results.columns import Kind, columns
from nessus_sched.results.model import (
    SEVERITIES,
    ComplianceResult,
    Finding,
    HostEnd,
    HostReport,
    Plugin,
)
from nessus_sched.results.parser.reader import Event
from support.full_rows import flatten

# Few values, so that filters hit and sort keys tie; odd ones, so that quoting matters.
POOLS: Final[Mapping[Kind, Sequence[Any]]] = {
    Kind.TEXT: (
        None, "", "Apache", "apache HTTP Server", "Straße", "STRASSE", "100%_x", "a'b\"c",
        "İstanbul", "line\nbreak", "\u212a elvin", "漢字 😀", "true", "9.8",
    ),
    Kind.INTEGER: (None, 0, 1, 80, 443, -5, 2**40),
    Kind.SEVERITY: (None, 0, 1, 2, 3, 4),
    Kind.NUMBER: (None, 0.0, 0.1, 4.3, 9.8, 10.0),
    Kind.FLAG: (None, True, False),
    Kind.DATE: (None, "2019-12-31", "2024-02-29", "2024-03-01"),
    Kind.TIME: (None, 0.0, 1_700_000_000.0, 1_700_000_000.5),
    Kind.LIST: (
        (), ("CVE-2021-44228",), ("cve-2021-44228", "CVE-2020-1"), ("a,b", 'quo"te'), ("Straße",),
    ),
}  # fmt: skip

_HOSTS: Final = ("192.0.2.10", "192.0.2.9", "Web.example.com.", "2001:db8::1", "db.example.com")


def _filled(chance: random.Random, cls: type[Any], **given: Any) -> Any:
    values = {
        name: chance.choice(POOLS[about.kind])
        for name, about in columns(cls).items()
        if not about.derived and name not in given and chance.random() < 0.8
    }
    return cls(**values, **given)


@attrs.frozen(kw_only=True)
class MadeReport:
    hosts: tuple[HostReport, ...]
    findings: tuple[Finding, ...]

    @property
    def events(self) -> list[Event]:
        """As a parser gives them: a host, its findings, its end."""
        events: list[Event] = []
        for host in self.hosts:
            own = [finding for finding in self.findings if finding.host_index == host.index]
            # What a report says of a host after its findings is known at its end only.
            events += [HostReport(index=host.index, name=host.name), *own]
            events.append(HostEnd(host=host, findings=len(own)))
        return events

    @property
    def rows(self) -> list[dict[str, Value]]:
        """The full rows, in the default order."""
        rows = [flatten(self.hosts[finding.host_index], finding) for finding in self.findings]
        return sorted(rows, key=_default_order)


def make_report(chance: random.Random, *, findings: int | None = None) -> MadeReport:
    names = chance.sample(_HOSTS, k=chance.randint(1, len(_HOSTS)))
    hosts = [
        _filled(chance, HostReport, index=index, name=name, login=chance.choice(_LOGINS))
        for index, name in enumerate(names)
    ]
    plugins = [_filled(chance, Plugin) for _ in range(chance.randint(1, 5))]
    checks = [None, *(_filled(chance, ComplianceResult) for _ in range(2))]
    size = chance.randint(0, 14) if findings is None else findings
    places = sorted(chance.randrange(len(hosts)) for _ in range(size))
    return MadeReport(
        hosts=tuple(hosts),
        findings=tuple(
            _filled(
                chance,
                Finding,
                index=index,
                host_index=place,
                host=hosts[place].key,
                plugin=chance.choice(plugins),
                compliance=chance.choice(checks),
            )
            for index, place in enumerate(places)
        ),
    )


# -- what a query should answer


def _host_order(host: Any) -> tuple[int, int, str]:
    try:
        address = ip_address(host)
    except ValueError:
        return (9, 0, str(host).casefold())
    return (address.version, int(address), "")


def _default_order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    def falling(value: float | None) -> tuple[bool, float]:
        return (value is None, -(value or 0))

    def rising(value: int | None) -> tuple[bool, int]:
        return (value is None, value or 0)

    return (
        falling(row["severity"]),
        falling(row["cvss_score"]),
        rising(row["plugin_id"]),
        _host_order(row["host"]),
        rising(row["port"]),
        row["index"],
    )


def ordered(rows: Iterable[dict[str, Value]], sort: Sequence[str]) -> list[dict[str, Value]]:
    """`rows` (in the default order) sorted by keys such as `-port`, absent ones last."""
    result = list(rows)
    for key in reversed(sort):
        name = key.removeprefix("-")

        def value(row: Mapping[str, Any], name: str = name) -> Any:
            found = row[name]
            if name in {"host", "host_name", "host_ip"}:
                return _host_order(found)
            return found.casefold() if FIELDS[name].kind is Kind.TEXT else found

        given = [row for row in result if row[name] is not None]
        given.sort(key=value, reverse=key.startswith("-"))
        result = given + [row for row in result if row[name] is None]
    return result


_NAMES: Final = ("host", "host_ip", "host_fqdn", "host_netbios_name", "host_hostname")


_LOGINS: Final = ("full", "failed")
"""Given, so that the store judges none."""


def holds(row: Mapping[str, Any], condition: Mapping[str, Any]) -> bool:
    """Whether a full row fulfills `{"field", "op", "value"}`."""
    op = condition["op"]
    wanted: Any = condition.get("value")
    positive = {"!=": "=", "not in": "in", "not contains": "contains", "absent": "present"}
    if op in positive:
        return not holds(row, {**condition, "op": positive[op]})
    if condition["field"] == "host" and op in ("=", "in"):
        given = (row[name] for name in _NAMES if row[name] is not None)
        names = {name.casefold().rstrip(".") for name in given}
        many = wanted if op == "in" else [wanted]
        return any(str(each).strip().casefold().rstrip(".") in names for each in many)
    kind = FIELDS[condition["field"]].kind
    value = row[condition["field"]]
    members = value if kind is Kind.LIST else () if value is None else (value,)
    if op == "present":
        return len(members) > 0
    if op == "in":
        return any(_meets(member, "=", each, kind) for member in members for each in wanted)
    return any(_meets(member, op, wanted, kind) for member in members)


def _meets(value: Any, op: str, wanted: Any, kind: Kind) -> bool:
    if kind in {Kind.TEXT, Kind.LIST}:
        value, wanted = value.casefold(), str(wanted).casefold()
    if kind is Kind.SEVERITY and isinstance(wanted, str):
        wanted = SEVERITIES.index(wanted)
    match op:
        case "=":
            return bool(value == wanted)
        case ">":
            return bool(value > wanted)
        case ">=":
            return bool(value >= wanted)
        case "<":
            return bool(value < wanted)
        case "<=":
            return bool(value <= wanted)
        case "contains":
            return wanted in value
    raise AssertionError(op)


def matching(
    report: MadeReport, conditions: Sequence[Mapping[str, Any]], match: str = "all"
) -> list[dict[str, Value]]:
    every = all if match == "all" or not conditions else any
    return [row for row in report.rows if every(holds(row, each) for each in conditions)]


def sample_values(kind: Kind) -> list[Any]:
    """Values to compare a field of that kind with, as a caller writes them."""
    given: list[Any] = [value for value in POOLS[kind] if value not in (None, "", ())]
    if kind is Kind.LIST:
        return sorted({member for value in given for member in tuple(value)} | {"2021"})
    if kind is Kind.SEVERITY:
        return [*given, *SEVERITIES]
    if kind is Kind.TEXT:
        return [*given, "APACHE", "SS", "b"]
    return given


def made_condition(chance: random.Random, field: str, op: str) -> dict[str, Any]:
    values = sample_values(FIELDS[field].kind)
    condition = {"field": field, "op": op}
    if op in {"in", "not in"}:
        return {**condition, "value": chance.sample(values, k=min(2, len(values)))}
    return (
        condition if op in {"present", "absent"} else {**condition, "value": chance.choice(values)}
    )


def as_json(row: Mapping[str, Value]) -> dict[str, Any]:
    """The row as answers give it: lists for tuples, a word for the severity."""
    said: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in row.items()
    }
    if "severity" in said:
        severity = row["severity"]
        said["severity"] = SEVERITIES[severity] if isinstance(severity, int) else "unknown"
    return said
