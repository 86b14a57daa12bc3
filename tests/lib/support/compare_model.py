"""Random networks and scans of them, as reports, and what is true of them.

Shares nothing with the code under test: a scan is played through check by check, and
whether an absence could be known is found out by putting the weakness back and scanning
again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any, Final
from xml.sax.saxutils import quoteattr

import attrs

LOW: Final = (0, 22, 80, 443, 445)
DEFAULT_PORTS: Final = frozenset({22, 80, 443, 445, 3389, 8080, 8834, 9100})
"""What the model's scanner takes for `default`; the report does not say it."""
PORTS: Final = (*LOW, 3389, 8080, 8834, 9100, 50000, 61000)
RANGES: Final[Mapping[str, frozenset[int]]] = {
    "default": DEFAULT_PORTS,
    "1-65535": frozenset(range(1, 65536)),
    "1-1024": frozenset(range(1, 1025)),
    "22,80,443": frozenset({22, 80, 443}),
    "T:1-65535,U:161": frozenset(range(1, 65536)),
}
EVIDENCE: Final = frozenset({10180, 19506, 104410, 110095, 110385, 110723, 117885, 141118})


@attrs.frozen
class Check:
    """A plugin. `inside` takes a login, `root` one with all rights; `kind` is what the
    report calls it, which says less."""

    id: int
    kind: str
    inside: bool = False
    root: bool = False
    thorough: bool = False
    marked: bool = False
    paranoia: int = 0


CHECKS: Final = (
    Check(1001, "remote"),
    Check(1002, "remote"),
    Check(1003, "remote", thorough=True),
    Check(1004, "remote", thorough=True, marked=True),
    Check(1005, "remote", paranoia=2),
    Check(2001, "local", inside=True),
    Check(2002, "local", inside=True, root=True),
    Check(2003, "local"),
    Check(3001, "combined", inside=True),
    Check(3002, "combined"),
    Check(3003, "combined", inside=True, root=True),
    Check(3004, "combined", inside=True, thorough=True),
)


@attrs.frozen
class Weakness:
    check: Check
    port: int


@attrs.frozen
class Machine:
    number: int
    serial: int
    """Another one at the same address has another serial number."""
    weaknesses: frozenset[Weakness]
    alive: bool = True

    @property
    def address(self) -> str:
        return f"192.0.2.{self.number}"

    @property
    def name(self) -> str:
        return f"host{self.number}-{self.serial}.example.com"


@attrs.frozen(kw_only=True)
class Scan:
    """How a scan goes. `login` by host: none, failed, full, unprivileged, intermittent."""

    targets: frozenset[int]
    by_name: frozenset[int]
    login: Mapping[int, str]
    ports: str
    scanners: tuple[str, ...]
    ping: bool
    thorough: bool
    paranoia: int
    plugins: frozenset[int]
    lists_plugins: bool
    unfinished: frozenset[int]
    least_severity: int
    cut_at: float | None
    luck: int

    def lucky(self, *about: object) -> bool:
        return random.Random(repr((self.luck, about))).random() < 0.5


def shows(scan: Scan, machine: Machine, weakness: Weakness) -> bool:
    """Whether the report of that scan has that weakness, if the machine has it."""
    check, login = weakness.check, scan.login[machine.number]
    entered = login in ("full", "unprivileged", "intermittent")
    if not machine.alive or machine.number not in scan.targets or check.id not in scan.plugins:
        return False
    if machine.number in scan.unfinished and scan.lucky("end", machine.number, weakness):
        return False
    if (check.thorough and not scan.thorough) or check.paranoia > scan.paranoia:
        return False
    if check.inside and not entered:
        return False
    if check.root and login == "unprivileged":
        return False
    if check.inside and login == "intermittent" and scan.lucky("login", machine.number, weakness):
        return False
    if not weakness.port or ("netstat" in scan.scanners and entered):
        return True
    return "nessus_syn_scanner" in scan.scanners and weakness.port in RANGES[scan.ports]


def certain(then: Scan, was: Machine, now: Scan, machine: Machine, weakness: Weakness) -> bool:
    """Whether the later report would have it, whatever its check is like: a reader of the
    reports knows the kind of a check and that the earlier scan showed it, and no more."""
    return all(
        shows(now, machine, attrs.evolve(weakness, check=check))
        for check in _alike(weakness.check)
        if shows(then, was, attrs.evolve(weakness, check=check))
    )


def _alike(check: Check) -> Iterator[Check]:
    logins = [(False, False)]
    if check.kind != "remote":
        logins += [(True, False), (True, True)]
    for inside, root in logins:
        for thorough in {True, check.marked}:
            for paranoia in range(3):
                yield attrs.evolve(
                    check, inside=inside, root=root, thorough=thorough, paranoia=paranoia
                )


SEVERITY: Final = 3


def readable(scan: Scan) -> bool:
    return scan.cut_at is None and scan.least_severity <= SEVERITY


# -- making them


def network(chance: random.Random) -> list[Machine]:
    return [
        Machine(number, 1, _weaknesses(chance), chance.random() < 0.95)
        for number in range(1, chance.randint(2, 5))
    ]


def _weaknesses(chance: random.Random) -> frozenset[Weakness]:
    return frozenset(
        Weakness(chance.choice(CHECKS), chance.choice(PORTS)) for _ in range(chance.randint(0, 8))
    )


def later(chance: random.Random, machines: list[Machine]) -> list[Machine]:
    """Some time after: things get fixed, break, go down, and are replaced."""
    return [_aged(chance, machine) for machine in machines]


def _aged(chance: random.Random, machine: Machine) -> Machine:
    if chance.random() < 0.03:
        return Machine(machine.number, machine.serial + 1, _weaknesses(chance))
    weaknesses = sorted(machine.weaknesses, key=repr)
    left = {each for each in weaknesses if chance.random() < 0.5}
    come = _weaknesses(chance) if chance.random() < 0.5 else frozenset()
    return attrs.evolve(machine, weaknesses=frozenset(left | come), alive=chance.random() < 0.95)


def scan_of(chance: random.Random, machines: list[Machine], like: Scan | None = None) -> Scan:
    """Half of the later scans are ordered like the earlier one."""
    numbers = [machine.number for machine in machines]
    outcome: dict[str, Any] = {
        "unfinished": frozenset(each for each in numbers if chance.random() < 0.03),
        "luck": chance.randrange(10**9),
        "cut_at": chance.random() if chance.random() < 0.03 else None,
        "least_severity": chance.choice((1, 2, 4)) if chance.random() < 0.03 else 0,
    }
    if like is not None and chance.random() < 0.6:
        return attrs.evolve(like, login=_logins(chance, numbers, like.login), **outcome)
    narrow = chance.random() < 0.15
    ids = frozenset(check.id for check in CHECKS)
    chosen = frozenset(each for each in ids if chance.random() < (0.3 if narrow else 0.97))
    evidence = EVIDENCE if chance.random() < 0.8 or not narrow else frozenset({19506})
    kind = chance.choice(("full", "full", "full", "none", "failed", "unprivileged"))
    return Scan(
        targets=frozenset(each for each in numbers if chance.random() < 0.95),
        by_name=frozenset(each for each in numbers if chance.random() < 0.2),
        login=_logins(chance, numbers, dict.fromkeys(numbers, kind)),
        ports=chance.choice(("default", "1-65535", *RANGES)),
        scanners=chance.choice(
            (("nessus_syn_scanner",), ("nessus_syn_scanner",), ("nessus_syn_scanner", "netstat"),
             ("netstat",), ())
        ),
        ping=chance.random() < 0.9,
        thorough=chance.random() < 0.2,
        paranoia=chance.choice((1, 1, 1, 0, 2)),
        plugins=chosen | evidence,
        lists_plugins=chance.random() < 0.97,
        **outcome,
    )  # fmt: skip


def _logins(chance: random.Random, numbers: list[int], usual: Mapping[int, str]) -> dict[int, str]:
    kinds = ("none", "failed", "full", "unprivileged", "intermittent")
    return {
        each: usual[each] if chance.random() < 0.9 else chance.choice(kinds) for each in numbers
    }


# -- as a report

Item = tuple[int, int, int, str, str]
"""Plugin, port, severity, kind, output."""


def document(scan: Scan, machines: list[Machine], at: int | None = None) -> bytes:
    """`at`: when its hosts ended, in epoch seconds; None for reports that do not say it."""
    text = "".join(_document(scan, machines, at))
    return (text if scan.cut_at is None else text[: int(len(text) * scan.cut_at)]).encode()


def _document(scan: Scan, machines: list[Machine], at: int | None) -> Iterator[str]:
    yield "<NessusClientData_v2><Policy><Preferences><ServerPreferences>"
    asked = ",".join(called(scan, each) for each in machines if each.number in scan.targets)
    yield f"<preference><name>TARGET</name><value>{asked}</value></preference>"
    if scan.lists_plugins:
        ids = ";".join(map(str, sorted(scan.plugins)))
        yield f"<preference><name>plugin_set</name><value>{ids}</value></preference>"
    yield '</ServerPreferences></Preferences></Policy><Report name="model">'
    for machine in machines:
        if machine.number in scan.targets and (machine.alive or not scan.ping):
            yield from _host(scan, machine, at)
    yield "</Report></NessusClientData_v2>"


def called(scan: Scan, machine: Machine) -> str:
    return machine.name if machine.number in scan.by_name else machine.address


def _host(scan: Scan, machine: Machine, at: int | None) -> Iterator[str]:
    yield f'<ReportHost name="{called(scan, machine)}"><HostProperties>'
    yield f'<tag name="host-ip">{machine.address}</tag>'
    yield '<tag name="HOST_START">Mon Mar  3 10:00:00 2025</tag>'
    if machine.alive:
        yield f'<tag name="host-fqdn">{machine.name}</tag>'
        mac = f"00:00:5E:00:{machine.number:02X}:{machine.serial:02X}"
        yield f'<tag name="mac-address">{mac}</tag>'
    if machine.number not in scan.unfinished:
        if at is not None:
            yield f'<tag name="HOST_END_TIMESTAMP">{at}</tag>'
        yield '<tag name="HOST_END">Mon Mar  3 10:10:00 2025</tag>'
    yield "</HostProperties>"
    for plugin, port, severity, kind, output in _items(scan, machine):
        if severity < scan.least_severity:
            continue
        yield f'<ReportItem port="{port}" svc_name="x" protocol="tcp" severity="{severity}"'
        yield f' pluginID="{plugin}" pluginName={quoteattr(f"check {plugin}")}'
        yield f' pluginFamily="General"><plugin_type>{kind}</plugin_type>'
        if any(check.id == plugin and check.marked for check in CHECKS):
            yield "<thorough_tests>true</thorough_tests>"
        yield f"<plugin_output>{output}</plugin_output></ReportItem>"
    yield "</ReportHost>"


def _items(scan: Scan, machine: Machine) -> Iterator[Item]:
    for weakness in sorted(machine.weaknesses, key=repr):
        if shows(scan, machine, weakness):
            yield weakness.check.id, weakness.port, SEVERITY, weakness.check.kind, "found"
    if machine.alive:
        if scan.ping and 10180 in scan.plugins:
            yield 10180, 0, 0, "remote", "The remote host is up"
        yield from _about_login(scan, machine)
    if 19506 in scan.plugins and machine.number not in scan.unfinished:
        yield 19506, 0, 0, "summary", _information(scan, machine)


def _about_login(scan: Scan, machine: Machine) -> Iterator[Item]:
    told = {
        "none": (110723,),
        "failed": (104410,),
        "full": (141118, 110095),
        "unprivileged": (141118, 110385),
        "intermittent": (141118, 117885),
    }[scan.login[machine.number]]
    for plugin in told:
        if plugin in scan.plugins:
            yield plugin, 0, 0, "remote", "about the login"


def _information(scan: Scan, machine: Machine) -> str:
    entered = machine.alive and scan.login[machine.number] not in ("none", "failed")
    ran = [name for name in scan.scanners if entered or name != "netstat"]
    scanners = f"Port scanner(s) : {' '.join(ran)}"
    if not ran:
        scanners = "WARNING : No port scanner was enabled during the scan."
    login = "yes, as 'scan' via ssh" if entered else "no"
    return (
        f"Information about this scan :\n\nPlugin feed version : 202503020101\n{scanners}\n"
        f"Port range : {scan.ports}\nThorough tests : {'yes' if scan.thorough else 'no'}\n"
        f"Paranoia level : {scan.paranoia}\nSafe checks : yes\nCredentialed checks : {login}\n"
    )
