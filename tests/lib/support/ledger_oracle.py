"""Answers searches of a ledger by looking at every finding, with nothing but its tables.

Shares nothing with the search: conditions are judged here in Python, on whole rows.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any, Final

import attrs

Row = dict[str, Any]
DAY: Final = 86_400
WORDS: Final = ("info", "low", "medium", "high", "critical")
STATES: Final = ("new", "active", "resurfaced", "fixed")
REASONS: Final = {
    1: "unknown", 2: "report_incomplete", 3: "host_not_scanned", 4: "host_down",
    5: "host_changed", 6: "host_unfinished", 7: "check_not_run", 8: "plugin_not_run",
    9: "settings_weaker", 10: "login_failed", 11: "port_not_scanned",
}  # fmt: skip
CVES: Final = ("CVE-2021-44228", "CVE-2014-0160", "CVE-2024-0001", "CVE-2024-00011")
FAMILIES: Final = ("Windows", "Web Servers", None)
SOLUTIONS: Final = ("Update OpenSSL.", "Disable it.", "Straße " * 30, None)
CHECKS: Final = ((1, "1", "Password length"), (2, "2", "password AGE"))
SCHEDULES: Final = {
    "weekly": tuple(f"t-{network}{number}" for network in range(3) for number in (0, 2, 4)),
    "nightly": ("t-01", "t-13", "t-25"),
    "never": (),
}


def enrich(connection: sqlite3.Connection, chance: random.Random, now: float) -> None:
    """Gives the plugins, hosts and findings of a ledger more variety, and some exceptions."""
    for (plugin,) in connection.execute("SELECT plugin FROM definitions").fetchall():
        cves = chance.sample(CVES, chance.choice([0, 0, 1, 2]))
        connection.execute(
            "UPDATE definitions SET cves = ?, cvss = ?, exploited = ?, family = ?, solution = ?,"
            " published = ? WHERE plugin = ?",
            (
                json.dumps(cves) if cves else None, chance.choice([None, 5.0, 7.5, 9.8]),
                chance.random() < 0.3, chance.choice(FAMILIES), chance.choice(SOLUTIONS),
                chance.choice([None, "2020-01-31", "2023-11-02"]), plugin,
            ),
        )  # fmt: skip
        connection.executemany(
            "INSERT OR IGNORE INTO definition_cves VALUES (?, ?)", [(cve, plugin) for cve in cves]
        )
    for (machine,) in connection.execute("SELECT machine FROM machines").fetchall():
        connection.execute(
            "UPDATE machines SET fqdn = ?, netbios = ?, scanner = ? WHERE machine = ?",
            (
                chance.choice([None, f"web{machine}.example.com", "shared.example.com"]),
                chance.choice([None, f"web{machine}"]), chance.choice(["East", "west", None]),
                machine,
            ),
        )  # fmt: skip
    for service in (443, 65_536 + 445):  # the same on more ports
        connection.execute(
            "INSERT OR IGNORE INTO entries SELECT machine, plugin, ?, audit_check, state, reason,"
            " severity, first_severity, first_seen, last_seen, since, unverified_since, changed,"
            " resurfaced, cause, first_run, last_run, view FROM entries",
            (service,),
        )
    connection.executemany("INSERT OR IGNORE INTO audit_checks VALUES (?, ?, ?)", CHECKS)
    for check, *_ in CHECKS:  # and as compliance checks
        connection.execute(
            "INSERT OR IGNORE INTO entries SELECT machine, plugin, service, ?, state, reason,"
            " severity, first_severity, first_seen, last_seen, since, unverified_since, changed,"
            " resurfaced, cause, first_run, last_run, view FROM entries"
            " WHERE audit_check = 0 AND service = 443",
            (check,),
        )
    keys = connection.execute(
        "SELECT plugin, machine, service, audit_check FROM entries"
    ).fetchall()
    connection.execute("DELETE FROM exceptions")
    connection.execute("DELETE FROM excepted")
    kinds = ("accepted", "false_positive", "severity", "severity")
    for number, kind in enumerate(kinds):
        severity = chance.choice([0, 1, 3, 4]) if kind == "severity" else None
        expires = now + chance.choice([-1.0, 10.0, 1e6])
        connection.execute(
            "INSERT INTO exceptions VALUES (?, ?, ?, ?, ?)",
            (number, f"x-{number}", kind, severity, expires),
        )
    for key in keys:
        connection.execute(
            "UPDATE entries SET severity = ?"
            " WHERE plugin = ? AND machine = ? AND service = ? AND audit_check = ?",
            (chance.choice([-1, 0, 1, 2, 3, 3, 4]), *key),
        )
        if chance.random() < 0.3:
            connection.execute(
                "INSERT INTO excepted SELECT machine, plugin, service, audit_check, ? FROM entries"
                " WHERE plugin = ? AND machine = ? AND service = ? AND audit_check = ?"
                " AND state < 3",
                (chance.randrange(len(kinds)), *key),
            )
    _tally(connection)


def _tally(connection: sqlite3.Connection) -> None:
    found: dict[int, Counter[int]] = {}
    rows = connection.execute("SELECT machine, severity FROM entries WHERE state < 3")
    for machine, severity in rows:
        found.setdefault(machine, Counter())[severity] += 1
    for (machine,) in connection.execute("SELECT machine FROM machines").fetchall():
        counts = found.get(machine, Counter())
        connection.execute(
            "UPDATE machines SET critical = ?, high = ?, medium = ?, low = ?, info = ?,"
            " unknown = ? WHERE machine = ?",
            (*(counts[severity] for severity in (4, 3, 2, 1, 0, -1)), machine),
        )


# -- all there is


def rows_of(connection: sqlite3.Connection, now: float, stale_after: float) -> list[Row]:
    """Every finding with the values of all fields; severities are numbers, -1 is unknown."""
    connection.row_factory = sqlite3.Row
    tables = {
        name: {
            row[key]: dict(row)
            for row in connection.execute(f"SELECT * FROM {name}")  # noqa: S608 - a name below
        }
        for name, key in (
            ("machines", "machine"), ("definitions", "plugin"), ("audit_checks", "audit_check"),
            ("protocols", "protocol"), ("runs", "run"), ("exceptions", "number"),
        )
    }  # fmt: skip
    covered = {
        (row["plugin"], row["machine"], row["service"], row["audit_check"]): row["number"]
        for row in connection.execute("SELECT * FROM excepted")
    }
    cves: dict[int, set[str]] = {}
    for row in connection.execute("SELECT * FROM definition_cves"):
        cves.setdefault(row["plugin"], set()).add(row["cve"])
    entries = [dict(row) for row in connection.execute("SELECT * FROM entries")]
    connection.row_factory = None
    return [_row(entry, tables, covered, cves, now, stale_after) for entry in entries]


def _row(
    entry: Row,
    tables: Mapping[str, Mapping[int, Row]],
    covered: Mapping[Any, int],
    cves: Mapping[int, set[str]],
    now: float,
    stale_after: float,
) -> Row:
    machine = tables["machines"][entry["machine"]]
    plugin = tables["definitions"][entry["plugin"]]
    key = (entry["plugin"], entry["machine"], entry["service"], entry["audit_check"])
    exception = tables["exceptions"].get(covered.get(key, -1))
    if exception is not None and exception["expires"] <= now:
        exception = None
    recast = None if exception is None else exception["severity"]
    task_id = tables["runs"][entry["last_run"]]["task_id"]
    is_open = entry["state"] < 3
    end = int(now) if is_open else entry["since"]
    return {
        "key": key,
        "names": {machine[name] for name in ("name", "ip", "fqdn", "netbios", "identity")},
        "host": machine["name"],
        "host_ip": machine["ip"],
        "host_fqdn": machine["fqdn"],
        "host_netbios_name": machine["netbios"],
        "scanner_instance": machine["scanner"],
        **_labels(machine),
        "plugin_id": entry["plugin"],
        "plugin_name": plugin["name"],
        "plugin_family": plugin["family"],
        "plugin_publication_date": plugin["published"],
        "cve": json.loads(plugin["cves"] or "[]"),
        "cves": cves.get(entry["plugin"], set()),
        "cvss_score": plugin["cvss"],
        "cisa_kev": bool(plugin["exploited"]),
        "solution": plugin["solution"],
        "port": entry["service"] % 65536,
        "protocol": tables["protocols"][entry["service"] // 65536]["name"],
        "compliance_check_name": tables["audit_checks"].get(entry["audit_check"], {}).get("name"),
        "severity": entry["severity"],
        "effective_severity": entry["severity"] if recast is None else recast,
        "state": STATES[entry["state"]],
        "first_seen": entry["first_seen"],
        "last_seen": entry["last_seen"],
        "fixed_at": None if is_open else entry["since"],
        "age_days": max(0, (end - entry["first_seen"]) // DAY),
        "times_resurfaced": entry["resurfaced"],
        "unverified": REASONS.get(entry["reason"]),
        "stale": is_open and now - entry["last_seen"] > stale_after,
        "exception": None if exception is None else exception["kind"],
        "exception_id": None if exception is None else exception["exception_id"],
        "schedule": next((name for name, ids in SCHEDULES.items() if task_id in ids), None),
        "task_id": task_id,
    }


LABELS: Final[tuple[dict[str, Any], ...]] = (
    {"networks": ("192.0.2.0/24", "198.51.100.0/25"), "owner": "web team", "site": "Berlin"},
    {"networks": ("192.0.2.2",), "owner": "db"},
    {"hosts": ("shared.example.com", "*.n2.example.com"), "site": "lab", "criticality": "high"},
)
"""As configured; the last that matches a host counts."""


def _labels(machine: Row) -> dict[str, str | None]:
    found: dict[str, str | None] = {"owner": None, "site": None, "criticality": None}
    for item in LABELS:
        where = machine["ip"] or machine["name"]
        try:
            inside = any(ip_address(where) in ip_network(each) for each in item.get("networks", ()))
        except ValueError:
            inside = False
        named = any(
            name == each or (each.startswith("*.") and name.endswith(each[1:]))
            for name in (machine["name"], machine["fqdn"]) if name
            for each in item.get("hosts", ())
        )  # fmt: skip
        if inside or named:
            found |= {name: str(item[name]) for name in found if name in item}
    return found


# -- questions

_ORDERED: Final = {
    "cvss_score": (5.0, 7.5, 9.8), "age_days": (0, 1, 3, 5), "port": (0, 22, 443, 445),
    "plugin_id": (1001, 2001, 3002, 19506), "times_resurfaced": (0, 1),
    "plugin_publication_date": ("2020-01-31", "2021-05-05", "2023-11-02"),
}  # fmt: skip
_TEXTS: Final = {
    "plugin_family": ("windows", "Web Servers"), "state": (*STATES, "open"),
    "unverified": ("host_down", "login_failed", "plugin_not_run"),
    "exception": ("accepted", "false_positive", "severity"), "exception_id": ("x-0", "x-3"),
    "protocol": ("tcp", "udp"), "scanner_instance": ("east", "WEST"), "task_id": ("t-02", "t-13"),
    "host": ("192.0.2.1", "192.0.2.2", "shared.example.com", "WEB2", "192.0.2.0/30",
             "192.0.2.2-192.0.2.3", "198.51.100.0/24", "2001:db8::/32"),
    "cve": ("cve-2021-44228", "CVE-2024-0001"), "schedule": ("weekly", "Nightly"),
    "solution": ("Disable it.", "update openssl."), "owner": ("Web team", "db"),
    "site": ("berlin", "lab"), "criticality": ("high",),
    "compliance_check_name": ("Password age", "password length"),
}  # fmt: skip
_PARTS: Final = {
    "cve": ("2024-0001", "44228"), "host": ("192.0.2", "EXAMPLE"), "solution": ("STRASSE", "ssl"),
    "plugin_name": ("1", "plugin"), "schedule": ("ly",), "owner": ("TEAM", "d"),
}  # fmt: skip
_FLAGS: Final = ("cisa_kev", "stale")
_SORTS: Final = (
    "severity", "effective_severity", "cvss_score", "first_seen", "host", "plugin_id", "port",
    "age_days", "solution", "state", "exception", "last_seen", "plugin_family", "stale",
    "compliance_check_name", "scanner_instance",
)  # fmt: skip


def condition(chance: random.Random, times: Sequence[int]) -> dict[str, Any]:
    match chance.randrange(7):
        case 0:
            name = chance.choice(("severity", "effective_severity"))
            op = chance.choice(("=", "!=", ">", ">=", "<", "<=", "in", "not in"))
            words = [chance.choice(WORDS) for _ in range(2)]
            return {"field": name, "op": op, "value": words if "in" in op else words[0]}
        case 1:
            name = chance.choice(list(_ORDERED))
            op = chance.choice(("=", "!=", ">", ">=", "<", "<=", "in", "present", "absent"))
            values = [chance.choice(_ORDERED[name]) for _ in range(2)]
        case 2 | 3:
            name = chance.choice(list(_TEXTS))
            op = chance.choice(("=", "=", "in", "!=", "not in", "present", "absent"))
            values = [chance.choice(_TEXTS[name]) for _ in range(2)]
        case 4:
            name, op = chance.choice(list(_PARTS)), chance.choice(("contains", "not contains"))
            values = [chance.choice(_PARTS[name])]
        case 5:
            name, op = chance.choice(("first_seen", "last_seen", "fixed_at")), chance.choice("<>")
            values = [datetime.fromtimestamp(chance.choice(times), UTC).isoformat()]
        case _:
            name, op, values = chance.choice(_FLAGS), chance.choice(("=", "!=")), [True]
    if op in ("present", "absent"):
        return {"field": name, "op": op}
    return {"field": name, "op": op, "value": values if op in ("in", "not in") else values[0]}


def question(chance: random.Random, times: Sequence[int]) -> dict[str, Any]:
    """As `read_query` takes it."""
    asked: dict[str, Any] = {
        "filters": [condition(chance, times) for _ in range(chance.choice([0, 1, 1, 2, 3]))],
        "match": chance.choice(["all", "all", "all", "any"]),
        "page_size": chance.choice([7, 40, 500]),
        "profile": chance.choice(["minimal", "summary", "brief", "full"]),
    }
    if chance.random() < 0.2:
        asked["group_by"] = chance.choice(["plugin", "host", "solution"])
    elif chance.random() < 0.3:
        fields = chance.sample(_SORTS, chance.choice([1, 2]))
        asked["sort"] = [chance.choice(["", "-"]) + name for name in fields]
    return asked


# -- answers


def matching(rows: Sequence[Row], asked: Mapping[str, Any]) -> list[Row]:
    filters = asked["filters"]
    about_state = any(each["field"] in ("state", "fixed_at") for each in filters)
    every = all if asked["match"] == "all" else any
    return [
        row
        for row in rows
        if (about_state or row["state"] != "fixed")
        and (not filters or every(_holds(row, each) for each in filters))
    ]


def _holds(row: Row, filter_: Mapping[str, Any]) -> bool:
    name, op, value = filter_["field"], filter_["op"], filter_.get("value")
    if op in ("!=", "not in", "not contains", "absent"):
        positive = {"!=": "=", "not in": "in", "not contains": "contains", "absent": "present"}
        return not _holds(row, {**filter_, "op": positive[op]})
    if op == "present":
        return bool(row["cves"]) if name == "cve" else row[name] not in (None, -1)
    wanted = value if isinstance(value, list) else [value]
    if name == "host":
        return any(_is_host(row, each, part=op == "contains") for each in wanted)
    if name == "cve":
        test = (lambda cve, part: part in cve) if op == "contains" else (lambda a, b: a == b)
        return any(test(cve, str(each).upper()) for cve in row["cves"] for each in wanted)
    return any(_compares(row, name, op, each) for each in wanted)


def _compares(row: Row, name: str, op: str, wanted: Any) -> bool:
    mine = row[name]
    if name in ("severity", "effective_severity"):
        wanted = WORDS.index(wanted)
        if mine == -1:
            return False
    elif name in ("first_seen", "last_seen", "fixed_at"):
        wanted = datetime.fromisoformat(wanted).timestamp()
    if mine is None:
        return False
    if isinstance(wanted, str):
        mine, wanted = str(mine).casefold(), wanted.casefold()
        if (name, wanted) == ("state", "open"):
            return op in ("=", "in") and mine != "fixed"
        if op == "contains":
            return wanted in mine or (name == "state" and wanted in "open" and mine != "fixed")
    tests: dict[str, Callable[[Any, Any], bool]] = {
        "=": lambda a, b: a == b, "in": lambda a, b: a == b, ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
    }  # fmt: skip
    return bool(tests[op](mine, wanted))


def _is_host(row: Row, wanted: Any, *, part: bool) -> bool:
    if part:
        return wanted.casefold() in row["host"].casefold()
    if "/" in wanted or "-" in wanted:
        address = next((a for a in (row["host_ip"], row["host"]) if _number(a) is not None), None)
        if address is None:
            return False
        if "/" in wanted:
            return ip_address(address) in ip_network(wanted)
        first, last = map(_number, wanted.split("-"))
        return first <= _number(address) <= last  # type: ignore[operator]
    return wanted.casefold() in row["names"]


def _number(name: str | None) -> int | None:
    try:
        return None if name is None else int(ip_address(name))
    except ValueError:
        return None


def in_order(rows: Sequence[Row], sort: Sequence[str]) -> list[tuple[int, ...]]:
    """The keys of the rows as they are to be listed."""
    keys = (*sort, "-effective_severity", "-cisa_kev", "-cvss_score")
    found = sorted(rows, key=lambda row: row["key"])
    for each in reversed(keys):
        found = _sorted(found, each.removeprefix("-"), down=each.startswith("-"))
    return [row["key"] for row in found]


def _sorted(rows: Sequence[Row], name: str, *, down: bool) -> list[Row]:
    """Equal ones stay as they are, and absent ones come last."""
    present = [row for row in rows if _order(row, name) is not None]
    present.sort(key=lambda row: _order(row, name), reverse=down)
    return [*present, *(row for row in rows if _order(row, name) is None)]


def _order(row: Row, name: str) -> Any:
    value = row[name]
    if name in ("severity", "effective_severity"):
        return None if value == -1 else value
    if name == "state":
        return STATES.index(value)
    if name == "host":
        number = _number(value)
        return (1, 0, value) if number is None else (0, number, "")
    return value.casefold() if isinstance(value, str) else value


def is_check(row: Row) -> bool:
    return bool(row["key"][3] != 0)


def results(rows: Sequence[Row]) -> dict[str, int]:
    """Checks by result: those that did not pass are open."""
    found = Counter("PASSED" if row["state"] == "fixed" else "FAILED" for row in rows
                    if is_check(row))  # fmt: skip
    return dict(found)


def counts(rows: Sequence[Row], *, checks: bool = False) -> dict[str, int]:
    found = Counter(row["severity"] for row in rows if checks or not is_check(row))
    names = {4: "critical", 3: "high", 2: "medium", 1: "low", 0: "info", -1: "unknown"}
    return {word: found[number] for number, word in names.items() if found[number]}


def groups(rows: Sequence[Row], by: str) -> list[dict[str, Any]]:
    """What must be in the group's rows, in order."""
    name = {"plugin": "plugin_id", "host": "host", "solution": "solution"}[by]
    together: dict[Any, list[Row]] = {}
    for row in rows:
        key = row["key"][1] if by == "host" else row[name]
        together.setdefault(key, []).append(row)
    found = []
    for several in together.values():
        every = counts(several, checks=True)
        of_checks = results(several)
        found.append(
            {
                name: several[0][name],
                "findings": len(several),
                "severity": next(iter(every)),
                "severities": counts(several),
                "every": every,
                **({"compliance_counts": of_checks} if of_checks else {}),
                "cisa_kev": any(row["cisa_kev"] for row in several),
                "first_seen": min(row["first_seen"] for row in several),
                "excepted": sum(row["exception"] is not None for row in several),
                **_distinct(several, by),
            }
        )
    order = ("critical", "high", "medium", "low", "info", "unknown")
    ordered = sorted(
        found,
        key=lambda group: (
            order.index(group["severity"]), not group["cisa_kev"],
            [-group["every"].get(word, 0) for word in order], group[name] is None,
            group[name] if by == "plugin" else str(group[name]),
        ),
    )  # fmt: skip
    return [{key: value for key, value in group.items() if key != "every"} for group in ordered]


def _distinct(rows: Sequence[Row], by: str) -> dict[str, int]:
    found = {}
    if by != "host":
        found["hosts"] = len({row["key"][1] for row in rows})
    if by != "plugin":
        found["plugins"] = len({row["plugin_id"] for row in rows})
    return found


@attrs.frozen
class Answer:
    """`keys` are None for groups."""

    total: int
    severities: dict[str, int]
    checks: dict[str, int]
    excepted: dict[str, int]
    keys: list[tuple[int, ...]] | None
    groups: list[dict[str, Any]] | None


def answer(rows: Sequence[Row], asked: Mapping[str, Any]) -> Answer:
    found = matching(rows, asked)
    excepted = counts([row for row in found if row["exception"] is not None])
    if "group_by" in asked:
        grouped = groups(found, asked["group_by"])
        return Answer(len(found), counts(found), results(found), excepted, None, grouped)
    keys = in_order(found, asked.get("sort", ()))
    return Answer(len(found), counts(found), results(found), excepted, keys, None)
