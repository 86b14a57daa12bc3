"""Bounds that keep a hostile report from filling the memory, and how reading ends there."""

from __future__ import annotations

import attrs

from nessus_sched.results.problems import Trouble


@attrs.frozen(kw_only=True)
class Limits:
    """Bounds of a parser, in characters unless said otherwise. Far above what real reports
    hold: the longest text seen is 587 kB."""

    text: int = 4 * 2**20
    """One element's text; the rest is cut off."""
    item: int = 16 * 2**20
    """All texts of one finding, or of one host's properties; what follows is left out."""
    children: int = 20_000
    """Elements of one finding, or properties of one host; what follows is left out."""
    depth: int = 64
    """Nesting of elements."""
    names: int = 20_000
    """Different names of elements and attributes in the whole document."""
    token: int = 4 * 2**20
    """One tag with its attributes, or one comment; in bytes."""


class Damage(Exception):
    """Reading cannot go on here, but perhaps at a later finding."""

    def __init__(self, kind: Trouble, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Fatal(Damage):
    """Reading must not go on at all."""


class Text:
    """The text of the present element, up to a bound."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[str] = []
        self._open = False
        self.size = 0
        """Characters so far, also those beyond the bound."""

    def begin(self) -> None:
        self._pieces = []
        self.size = 0
        self._open = True

    def add(self, data: str) -> None:
        """Character data handler for expat."""
        if not self._open:
            return
        room = self._limit - self.size
        self.size += len(data)
        if room >= len(data):
            self._pieces.append(data)
        elif room > 0:
            self._pieces.append(data[:room])

    def take(self) -> str:
        """The text; nothing more is collected until the next `begin`."""
        self._open = False
        return "".join(self._pieces)

    @property
    def cut(self) -> bool:
        return self.size > self._limit
