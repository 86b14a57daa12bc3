"""Names to addresses, and the check of both against the scope: at submission and again at
dispatch, because what a name means may have changed in between."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence

import attrs
import trio

from nessus_sched.core.targets.ranges import Range, Ranges, difference
from nessus_sched.core.targets.scope import OutOfScope, Scope
from nessus_sched.core.targets.targets import TargetSet
from nessus_sched.scheduler.context import Resolve

AT_ONCE = 8
"""Names of one task that are looked up at once."""
WITHIN = 20.0
"""Seconds for all names of one task; a client's call takes 25 at most."""


class Unresolved(OutOfScope):
    """Out of scope only because names do not resolve at the moment."""


class NoAnswer(Unresolved):
    """It is not known whether some of these names resolve: no name server answers for them."""


@attrs.frozen(kw_only=True)
class Lookups:
    """The addresses of each name; none for a name that does not resolve. `unanswered` are the names
    for which that is not known."""

    addresses: Mapping[str, tuple[str, ...]]
    unanswered: frozenset[str]


async def look_up(names: Iterable[str], resolve: Resolve) -> Lookups:
    names = tuple(names)
    found: dict[str, tuple[str, ...]] = dict.fromkeys(names, ())
    unanswered = set(names)
    limit = trio.CapacityLimiter(AT_ONCE)

    async def one(name: str) -> None:
        async with limit:
            try:
                found[name] = tuple(await resolve(name))
            except OSError as error:
                if _no_answer(error):
                    return
            unanswered.discard(name)

    with trio.move_on_after(WITHIN):
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(one, name)
    return Lookups(addresses=found, unanswered=frozenset(unanswered))


def _no_answer(error: OSError) -> bool:
    """Unlike an answer that there is no such name."""
    return isinstance(error, TimeoutError) or (
        isinstance(error, socket.gaierror) and error.errno in (socket.EAI_AGAIN, socket.EAI_SYSTEM)
    )


@attrs.frozen(kw_only=True)
class Approved:
    """Targets that every scope allows.

    `targets` are those that remain, `known` the same with the addresses of their names,
    `texts` what to send to a scanner: exactly what was checked. `left_out` are addresses
    within a requested network or range that a scope denies.
    """

    targets: TargetSet
    known: TargetSet
    texts: tuple[str, ...]
    addresses: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    """Of each name."""
    left_out: Ranges = ()


async def approve_targets(
    targets: TargetSet, scopes: Sequence[Scope], resolve: Resolve, asked: Sequence[Range] = ()
) -> Approved:
    """Leaves out what a scope denies, see `Scope.trim`, and checks the rest, with the names
    looked up now. Raises `OutOfScope`, and of that `Unresolved` when all that is wrong is
    that names have no address, or `NoAnswer`."""
    whole = targets
    for scope in scopes:
        targets, _ = scope.trim(targets, asked)
    lookups = await look_up(targets.names, resolve)
    addresses = lookups.addresses
    lost = [name for name, found in addresses.items() if not found]
    texts: tuple[str, ...] = ()
    for scope in scopes:
        try:
            texts = scope.approve(targets, addresses)
        except OutOfScope as error:
            # A lost name has one problem, or more when the name itself is out of scope.
            if len(error.problems) == len(lost):
                kind = NoAnswer if lookups.unanswered else Unresolved
                raise kind(error.problems) from error
            raise
    return Approved(
        targets=targets,
        known=targets.resolved(addresses),
        texts=texts,
        addresses=addresses,
        left_out=difference(whole.ranges, targets.ranges),
    )
