"""What may be scanned: the check that stands between a request and a scanner.

An address is in scope when a network of the allow-list has it and no network of the
deny-list does. A host name is in scope when a name or pattern of the allow-list matches
it, none of the deny-list does, and every address it resolves to is in scope itself.
So an empty allow-list allows nothing, and a name alone opens no address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from nessus_sched.core.targets.address import (
    Unreadable,
    parse_address,
    parse_host_name,
    parse_range,
    refuse_embedded,
    refuse_special,
)
from nessus_sched.core.targets.ranges import (
    V4,
    Range,
    Ranges,
    address_text,
    count,
    difference,
    intersection,
    merged,
    range_text,
)
from nessus_sched.core.targets.targets import BadTarget, BadTargets, TargetSet, printable, words_of

MAX_V6: Final = 65536
"""IPv6 addresses of one scan. Nessus takes them one by one only (no IPv6 networks or
ranges: docs.tenable.com, "Scan Targets"), so they are written out."""

NAMED: Final = 20
"""Parts of one target that are out of scope and named one by one."""

Resolved = Mapping[str, Iterable[str]]
"""The addresses of each name, as texts."""


@attrs.frozen(kw_only=True)
class Rules:
    """A parsed allow- or deny-list. `patterns` are suffixes such as `.example.com`; the
    empty one matches every name."""

    networks: Ranges = ()
    names: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()

    def match_name(self, name: str) -> bool:
        return name in self.names or name.endswith(self.patterns)


def parse_rule(text: str) -> Rules:
    """One entry of a list: an address, a CIDR without host bits, a range, a host name,
    `*.example.com` (its subdomains, not itself), or `*` (every name, no address).
    Raises `Unreadable`."""
    if text == "*":
        return Rules(patterns=("",))
    if text.startswith("*."):
        return Rules(patterns=("." + parse_host_name(text[2:]),))
    found = parse_range(text)
    if found is not None:
        refuse_embedded(found)
        return Rules(networks=(found,))
    return Rules(names=frozenset({parse_host_name(text)}))


def parse_rules(texts: Iterable[str]) -> Rules:
    """A whole list. Raises `BadTargets` with every entry that cannot be read."""
    rules, problems = [], []
    for text in texts:
        try:
            rules.append(parse_rule(text))
        except Unreadable as error:
            problems.append(BadTarget(text, str(error)))
    if problems:
        raise BadTargets(problems)
    return Rules(
        networks=merged(network for rule in rules for network in rule.networks),
        names=frozenset().union(*(rule.names for rule in rules)),
        patterns=tuple(pattern for rule in rules for pattern in rule.patterns),
    )


class OutOfScope(BadTargets):
    """Readable targets that the scope does not allow; `problems` has every one."""


@attrs.frozen
class Scope:
    """The allow- and deny-list (texts as in `parse_rule`) and the cap on addresses."""

    allow: Rules = attrs.field(converter=parse_rules)
    deny: Rules = attrs.field(converter=parse_rules)
    max_addresses: int
    denied: str = "is on the deny-list"
    """How a refusal says that `deny` has a target."""

    def trim(self, targets: TargetSet, asked: Iterable[Range] = ()) -> tuple[TargetSet, Ranges]:
        """`targets` without the addresses that `deny` has, and those addresses.

        What of `asked` has no other address stays in, for `check` to refuse: someone wants
        just that. So does everything when nothing would be left.
        """
        if not self.deny.networks:
            return targets, ()
        left = difference(targets.ranges, self.deny.networks)
        wanted = [item for item in asked if not difference((item,), self.deny.networks)]
        kept = merged((*left, *wanted))
        if kept == targets.ranges or not (kept or targets.names):
            return targets, ()
        return attrs.evolve(targets, ranges=kept), difference(targets.ranges, kept)

    def check(self, targets: TargetSet, resolved: Resolved) -> tuple[BadTarget, ...]:
        """Every target that is out of scope, with its reason; empty when all is well.

        `resolved` has the addresses of the names, looked up just now. A name that is
        not in it, or has none, is out of scope."""
        problems = [
            BadTarget(range_text(item), reason)
            for item in targets.ranges
            for reason in self._objections(item)
        ]
        for name in targets.names:
            problems += [BadTarget(name, reason) for reason in self._name(name, resolved)]
        return (*problems, *self._size(targets))

    def approve(self, targets: TargetSet, resolved: Resolved) -> tuple[str, ...]:
        """What to send to the scanner, which is exactly what was checked: IPv4 as
        addresses, networks and ranges, IPv6 written out, names pinned to the address
        that was checked (`name[address]`, so that the scanner does not look it up
        again). Raises `OutOfScope`."""
        # An iterator could show the check one thing and the pinning another.
        frozen = {name: tuple(resolved.get(name, ())) for name in targets.names}
        problems = self.check(targets, frozen)
        if problems:
            raise OutOfScope(problems)
        pinned = (f"{name}[{pinned_address(frozen[name])}]" for name in targets.names)
        return (*_written_out(targets.ranges), *pinned)

    def covers(self, targets: TargetSet) -> bool:
        """Whether all of it is allowed; names by their rules alone, wherever they lead."""
        return (
            not intersection(targets.ranges, self.deny.networks)
            and not difference(targets.ranges, self.allow.networks)
            and not any(self.deny.match_name(name) for name in targets.names)
            and all(self.allow.match_name(name) for name in targets.names)
        )

    def _objections(self, item: Range) -> Iterable[str]:
        for denied in intersection((item,), self.deny.networks)[:NAMED]:
            yield _part(denied, item) + self.denied
        for missing in difference((item,), self.allow.networks)[:NAMED]:
            yield _part(missing, item) + "is not on the allow-list"

    def _name(self, name: str, resolved: Resolved) -> Iterable[str]:
        if self.deny.match_name(name):
            yield self.denied
        if not self.allow.match_name(name):
            yield "is not on the allow-list of names; give its address, or ask for a name rule"
        addresses = tuple(resolved.get(name, ()))
        if not addresses:
            yield "does not resolve to an address"
        for address in addresses:
            for objection in self._address(address):
                yield f"resolves to {printable(address)}, which {objection}"

    def _address(self, text: str) -> Iterable[str]:
        try:
            number = parse_address(text)
            refuse_special((number, number))
        except Unreadable as error:
            yield str(error)
        else:
            yield from self._objections((number, number))

    def _size(self, targets: TargetSet) -> Iterable[BadTarget]:
        if targets.address_count > self.max_addresses:
            yield BadTarget(
                "",
                f"{targets.address_count} addresses are more than the {self.max_addresses} that "
                "one task may have; split it",
            )
        if count(tuple(item for item in targets.ranges if item[0] < V4)) > MAX_V6:
            yield BadTarget("", f"one scan may have at most {MAX_V6} IPv6 addresses")


def excluding(texts: Iterable[str]) -> Scope:
    """A scope that allows everything else: what a submitter does not want scanned. Raises
    `BadTargets`."""
    return Scope(
        ("0.0.0.0/0", "::/0", "*"),
        words_of(texts),
        max_addresses=V4,
        denied="is excluded by the request itself",
    )


def pinned_address(addresses: Iterable[str]) -> str:
    """The one address of a name that is scanned: the lowest IPv4 one, or without any the
    lowest IPv6 one. Nessus too scans one address of a name and prefers IPv4; the lowest,
    so that every attempt at a task means the same host."""
    numbers = [parse_address(text) for text in addresses]
    return address_text(min((n for n in numbers if n >= V4), default=min(numbers)))


def _part(part: Range, whole: Range) -> str:
    return "" if part == whole else f"{range_text(part)} "


def _written_out(ranges: Ranges) -> Iterable[str]:
    for item in ranges:
        if item[0] >= V4:
            yield range_text(item)
        else:
            yield from map(address_text, range(item[0], item[1] + 1))
