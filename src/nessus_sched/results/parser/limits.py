"""Bounds that keep a hostile report from filling the memory, and how reading ends there."""

from __future__ import annotations

from typing import Final

import attrs

from nessus_sched.results.parser.problems import Trouble

ELEMENT: Final = 800
"""What an element counts besides its text, so that empty ones have a bound as well."""


@attrs.frozen(kw_only=True)
class Limits:
    """Bounds of a parser, in characters unless said otherwise. Far above what real reports
    hold: the longest text seen is 587 kB."""

    text: int = 4 * 2**20
    """One element's text; the rest is cut off."""
    item: int = 16 * 2**20
    """All elements of one finding, or all properties of one host, each with `ELEMENT` on top
    of its text; what follows is left out."""
    depth: int = 64
    """Nesting of elements."""
    names: int = 20_000
    """Different names of elements and attributes in the whole document."""
    hosts: int = 1_000_000
    """Hosts that are known again in another element; more are new ones each time."""
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
    """The text of the element that began last, up to a bound.

    Expat appends to a plain list, at its own speed; the bound is enforced whenever a piece
    of the document has been parsed, so that much more than it never gathers.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[str] = []
        self._lost = 0
        self.add = self._pieces.append
        """Character data handler for expat."""

    def begin(self) -> None:
        """To be called when an element begins whose text is wanted."""
        self._pieces.clear()
        self._lost = 0

    def settle(self) -> None:
        """Enforces the bound; to be called between pieces of the document."""
        if len(self._pieces) > 1 or (self._pieces and len(self._pieces[0]) > self._limit):
            kept = self._pieces[0]
            if len(kept) < self._limit:
                kept = "".join(self._pieces)
                self._pieces[1:] = ()
            self._lost += len(kept) - self._limit if len(kept) > self._limit else 0
            self._lost += sum(map(len, self._pieces[1:]))
            self._pieces[:] = [kept[: self._limit]]

    def take(self) -> tuple[str, int]:
        """The text, and how many characters beyond the bound are missing from it."""
        text = "".join(self._pieces)
        self._pieces.clear()
        if not self._lost and len(text) <= self._limit:
            return text, 0
        return text[: self._limit], self._lost + max(len(text) - self._limit, 0)
