"""Who leads, as all daemons with the same store can read it there."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class Daemon:
    """One of the daemons that share a store.

    `addresses` are the sockets on which clients of its host reach it. `sections` has a digest of
    each section of the configuration that has to be the same for all of them.
    """

    host: str
    addresses: tuple[str, ...] = ()
    sections: Mapping[str, str] = attrs.field(factory=dict)

    def differs_in(self, other: Daemon) -> tuple[str, ...]:
        """The sections in which the configurations differ."""
        names = sorted({*self.sections, *other.sections})
        return tuple(n for n in names if self.sections.get(n) != other.sections.get(n))


@attrs.frozen(kw_only=True)
class Leader:
    """The daemon that leads, or led last if `released` or dead. `since`: epoch seconds by the
    clock of the database. `released`: it has ended in good order."""

    daemon: Daemon
    since: float
    released: bool
