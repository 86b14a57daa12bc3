"""Targets as people write them, and the exact set of addresses and names they mean.

Everything that another program might read differently is refused here: what passes has
one meaning, and `TargetSet.texts` says it in canonical form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import Final

import attrs

from nessus_sched.core.targets.address import (
    Unreadable,
    parse_address,
    parse_host_name,
    parse_range,
    refuse_special,
    usual_range,
)
from nessus_sched.core.targets.ranges import (
    Range,
    Ranges,
    address_text,
    count,
    difference,
    merged,
    overlap,
    range_text,
)

MAX_CHARACTERS: Final = 1_000_000
"""Of one list of targets; more is refused unread."""
SHOWN: Final = 80
SEPARATORS: Final = str.maketrans(dict.fromkeys(",\t\r\n\v\f", " "))
"""ASCII only: what Unicode calls a space does not separate, and is refused."""


def printable(text: str) -> str:
    """`text` in ASCII, with escapes for the rest, cut to `SHOWN` characters."""
    escaped = text.encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= SHOWN else f"{escaped[: SHOWN - 3]}..."


@attrs.frozen
class BadTarget:
    """A target that is refused, and why. `text` is safe to print and cut to size."""

    text: str = attrs.field(converter=printable)
    reason: str

    def __str__(self) -> str:
        return f"{self.text}: {self.reason}" if self.text else self.reason


class BadTargets(ValueError):
    """One or more targets are refused; `problems` has every one."""

    def __init__(self, problems: Iterable[BadTarget]) -> None:
        self.problems = tuple(problems)
        listed = "; ".join(
            str(BadTarget(text, "; and ".join(dict.fromkeys(each.reason for each in several))))
            for text, several in groupby(self.problems[:20], key=attrgetter("text"))
        )
        more = len(self.problems) - 20
        super().__init__(f"{listed}; and {more} more" if more > 0 else listed)


@attrs.frozen(kw_only=True)
class TargetSet:
    """The exact set: `ranges` of addresses (see `core.ranges`) and lower-case `names`."""

    ranges: Ranges = ()
    names: tuple[str, ...] = ()

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Canonical: parsing them again gives an equal set."""
        return (*map(range_text, self.ranges), *self.names)

    @cached_property
    def address_count(self) -> int:
        """Addresses, with one for each name."""
        return count(self.ranges) + len(self.names)

    def overlaps(self, other: TargetSet) -> bool:
        """Whether some address or name is in both."""
        return overlap(self.ranges, other.ranges) or not set(self.names).isdisjoint(other.names)

    def with_addresses(self, texts: Iterable[str]) -> TargetSet:
        """The set with these addresses in it. Raises `Unreadable`."""
        numbers = (parse_address(text) for text in texts)
        return attrs.evolve(self, ranges=merged((*self.ranges, *((n, n) for n in numbers))))

    def resolved(self, addresses: Mapping[str, Iterable[str]]) -> TargetSet:
        """The set with the addresses of its names in it, for `overlaps`; names that
        `addresses` does not know stay names only. Raises `Unreadable`."""
        return self.with_addresses(text for name in self.names for text in addresses.get(name, ()))


def parse_targets(texts: str | Iterable[str]) -> TargetSet:
    """The set that `texts` mean: addresses, CIDRs, ranges (`192.0.2.1-192.0.2.20`,
    `192.0.2.1-20`) and host names, IPv4 and IPv6, as a list or in one string separated
    by commas and white space. Raises `BadTargets` with every one that is refused."""
    return parse_asked(texts)[0]


def targets_from(normalized: Iterable[str]) -> TargetSet:
    """The set back from the texts of one, which may be empty, and longer than what was asked
    for: a network with gaps is many texts."""
    return _read(list(normalized))[0]


def words_of(texts: str | Iterable[str]) -> list[str]:
    """The single targets in a list or string. Raises `BadTargets` when they are too long."""
    joined = texts if isinstance(texts, str) else "\n".join(texts)
    if len(joined) > MAX_CHARACTERS:
        raise BadTargets([BadTarget("", f"more than {MAX_CHARACTERS} characters of targets")])
    return [word for word in joined.translate(SEPARATORS).split(" ") if word]


def parse_asked(texts: str | Iterable[str]) -> tuple[TargetSet, list[Range]]:
    """As `parse_targets`, and also the ranges one by one as they were asked for."""
    words = words_of(texts)
    if not words:
        raise BadTargets([BadTarget("", "no targets given")])
    return _read(words)


def _read(words: Iterable[str]) -> tuple[TargetSet, list[Range]]:
    ranges, names, problems = [], set(), []
    for word in words:
        if (usual := usual_range(word)) is not None:
            ranges.append(usual)
            continue
        try:
            found = parse_range(word)
            if found is None:
                names.add(parse_host_name(word))
            else:
                refuse_special(found)
                ranges.append(found)
        except Unreadable as error:
            problems.append(BadTarget(word, str(error)))
    if problems:
        raise BadTargets(problems)
    return TargetSet(ranges=merged(ranges), names=tuple(sorted(names))), ranges


def without_networks(texts: Iterable[str]) -> tuple[str, ...]:
    """The same targets, with networks written as ranges. Both ends of a range are scanned
    (docs.tenable.com, "Scan Targets"); of a network, a scanner may leave out the first and the
    last address, which are not special in a network that someone has only cut in pieces."""
    return tuple(_range_of(text) if "/" in text else text for text in texts)


def _range_of(network: str) -> str:
    found = parse_range(network)
    assert found is not None, network
    return f"{address_text(found[0])}-{address_text(found[1])}"


def size_of(normalized: Iterable[str]) -> int:
    """The `address_count` of targets that are texts of a `TargetSet`: they do not overlap, so
    single ones need no parsing."""
    words = tuple(normalized)
    several = [word for word in words if "/" in word or "-" in word]
    counted = parse_targets(several).address_count if several else 0
    return len(words) - len(several) + counted


def other_targets(ours: Iterable[str], shown: str | None) -> tuple[str, ...]:
    """The words of a scanner's list of targets that are not part of `ours`.

    Empty when nothing is shown. A part is enough, and the last word may be incomplete: a long
    list may be shown cut. A name counts whatever address it is pinned to.
    """
    words = (shown or "").translate(SEPARATORS).split()
    known = targets_from(ours) if words else TargetSet()
    other = [word for word in words if not includes(known, word.partition("[")[0])]
    if len(words) > 1 and other == words[-1:] and _begins(known, other[0].lower()):
        return ()
    return tuple(other)


def includes(known: TargetSet, word: str) -> bool:
    """Whether an address, a network, a range or a name is part of `known`."""
    word = word.lower()
    if word in known.names or word in known.texts:
        return True
    try:
        found = parse_range(word)
    except Unreadable:
        return False
    return found is not None and not difference((found,), known.ranges)


def _begins(known: TargetSet, word: str) -> bool:
    start = word.rstrip(".…")
    return any(text.startswith(start) for text in known.texts)
