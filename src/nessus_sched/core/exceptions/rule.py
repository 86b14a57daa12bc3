"""Rules: the findings that an exception covers, and what it says about them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Final

import attrs

from nessus_sched.core.targets.address import Unreadable, parse_address
from nessus_sched.core.targets.ranges import overlap
from nessus_sched.core.targets.targets import (
    BadTarget,
    BadTargets,
    TargetSet,
    parse_targets,
    printable,
    targets_from,
)

EVERYWHERE: Final = "*"
"""As the only host: all hosts, including those that are new."""
MAX_ITEMS: Final = 100
"""Maximum number of plugins, of CVEs and of hosts in a rule."""
MAX_PLUGIN: Final = 2**31 - 1
SEVERITIES: Final = ("info", "low", "medium", "high", "critical")
_CVE: Final = re.compile(r"CVE-[0-9]{4}-[0-9]{4,10}")
_PORT: Final = re.compile(r"(0|[1-9][0-9]{0,4})(?:/(tcp|udp|icmp))?")


class ExceptionKind(StrEnum):
    ACCEPTED = "accepted"
    """The risk is accepted."""
    FALSE_POSITIVE = "false_positive"
    SEVERITY = "severity"
    """The finding stays open, with another severity than the scanner's."""


@attrs.frozen
class BadField:
    """A mistake in the definition of an exception: `field` is the argument that has it."""

    field: str
    message: str


class BadException(ValueError):
    """One or more mistakes in the definition of an exception."""

    def __init__(self, problems: Sequence[BadField]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{each.field}: {each.message}" for each in self.problems))


@attrs.frozen(kw_only=True)
class Subject:
    """The facts about a finding that decide whether a rule covers it.

    `name` is the name or address under which its host was scanned, in lower case, and `address`
    the number of its address (`core.targets.ranges`). Names that the host itself claims
    (NetBIOS, banners, certificates) are left out: it could choose one that has an exception.
    """

    plugin_id: int
    cves: Collection[str] = ()
    name: str
    address: int | None = None
    port: int = 0
    protocol: str = "tcp"


@attrs.frozen(kw_only=True)
class Rule:
    """Covers findings of any of the `plugins` or `cves` on any of the `hosts`, which are
    normalized targets or `EVERYWHERE`. Without `port` or `protocol` it covers all of them.
    `severity` (0 to 4) belongs to the kind `severity`."""

    kind: ExceptionKind
    plugins: tuple[int, ...] = ()
    cves: tuple[str, ...] = ()
    hosts: tuple[str, ...]
    port: int | None = None
    protocol: str | None = None
    severity: int | None = None

    @cached_property
    def targets(self) -> TargetSet:
        """The hosts; empty for `EVERYWHERE`."""
        return TargetSet() if self.everywhere else targets_from(self.hosts)

    @property
    def everywhere(self) -> bool:
        return self.hosts == (EVERYWHERE,)

    def concerns(self, plugin_id: int, cves: Collection[str]) -> bool:
        """Whether it covers findings of that plugin on some host."""
        return plugin_id in self.plugins or any(cve in cves for cve in self.cves)

    def has_host(self, name: str, address: int | None) -> bool:
        if self.everywhere or name in self.targets.names:
            return True
        return address is not None and overlap(self.targets.ranges, ((address, address),))

    def covers(self, subject: Subject) -> bool:
        return (
            self.concerns(subject.plugin_id, subject.cves)
            and self.port in (None, subject.port)
            and self.protocol in (None, subject.protocol)
            and self.has_host(subject.name, subject.address)
        )

    @property
    def width(self) -> tuple[bool, int, bool, bool, int]:
        """Orders rules from narrow to wide."""
        return (
            self.everywhere,
            self.targets.address_count,
            self.port is None,
            self.protocol is None,
            len(self.plugins) + len(self.cves),
        )

    @property
    def port_text(self) -> str | None:
        """As `read_rule` takes it."""
        if self.port is None:
            return None
        return f"{self.port}/{self.protocol}" if self.protocol else str(self.port)


def address_number(text: str | None) -> int | None:
    """The number of an address as a report or a person writes it; None for anything else."""
    try:
        return None if text is None else parse_address(text)
    except Unreadable:
        return None


def read_rule(
    *,
    kind: ExceptionKind,
    plugins: Sequence[int] = (),
    cves: Sequence[str] = (),
    hosts: Sequence[str] = (),
    port: str | None = None,
    severity: str | None = None,
) -> Rule:
    """A rule as people write it: `port` such as `443` or `53/udp`, `severity` by its name. Raises
    `BadException` with every mistake."""
    cves = [cve.strip().upper() for cve in cves]
    problems = [
        *_bad_subject(plugins, cves),
        *_bad_severity(kind, severity),
    ]
    found_hosts: tuple[str, ...] = ()
    try:
        found_hosts = _read_hosts(hosts)
    except BadTargets as error:
        problems.append(BadField("hosts", str(error)))
    number, protocol = None, None
    if port is not None:
        found = _PORT.fullmatch(port.strip().lower())
        if found is None or int(found[1]) > 65535:
            problems.append(
                BadField("port", f"{printable(port)!r} is not a port such as 443 or 53/udp")
            )
        else:
            number, protocol = int(found[1]), found[2]
    if problems:
        raise BadException(problems)
    return Rule(
        kind=kind,
        plugins=tuple(sorted(set(plugins))),
        cves=tuple(sorted(set(cves))),
        hosts=found_hosts,
        port=number,
        protocol=protocol,
        severity=None if severity is None else SEVERITIES.index(severity),
    )


def _bad_subject(plugins: Sequence[int], cves: Sequence[str]) -> Iterator[BadField]:
    if not plugins and not cves:
        yield BadField("plugins", "give at least one plugin or CVE")
    for number in plugins:
        if not 0 < number <= MAX_PLUGIN:
            yield BadField("plugins", f"{number} is not the id of a plugin, such as 51192")
    for cve in cves:
        if not _CVE.fullmatch(cve):
            yield BadField("cves", f"{printable(cve)!r} is not a CVE such as CVE-2021-44228")
    for name, given in (("plugins", plugins), ("cves", cves)):
        if len(given) > MAX_ITEMS:
            yield BadField(name, f"{len(given)} are more than {MAX_ITEMS}")


def _bad_severity(kind: ExceptionKind, severity: str | None) -> Iterator[BadField]:
    if severity is not None and severity not in SEVERITIES:
        yield BadField("severity", f"{printable(severity)!r} is not one of {', '.join(SEVERITIES)}")
    elif kind is ExceptionKind.SEVERITY and severity is None:
        yield BadField("severity", "missing: an exception of the kind severity sets one")
    elif kind is not ExceptionKind.SEVERITY and severity is not None:
        yield BadField("severity", f"has no meaning for the kind {kind}")


def _read_hosts(hosts: Sequence[str]) -> tuple[str, ...]:
    given = [host.strip() for host in hosts]
    if given == [EVERYWHERE]:
        return (EVERYWHERE,)
    if EVERYWHERE in given:
        raise BadTargets([BadTarget("", f"{EVERYWHERE} means all hosts: give it alone")])
    if not given:
        raise BadTargets([BadTarget("", f"give the hosts or networks, or {EVERYWHERE} for all")])
    found = parse_targets(given).texts
    if len(found) > MAX_ITEMS:
        raise BadTargets(
            [BadTarget("", f"{len(found)} ranges and names are more than {MAX_ITEMS}")]
        )
    return found
