"""Limits that keep a hostile report from exhausting memory, and errors that end reading."""

from __future__ import annotations

from typing import Final

import attrs

from nessus_sched.results.parser.problems import ParseProblemKind

ELEMENT: Final = 800
"""Size of an element besides its text, so that empty ones are limited, too."""


@attrs.frozen(kw_only=True)
class Limits:
    """Limits of a parser, in characters unless noted. They are far above what real reports
    contain: the longest text seen is 587 kB."""

    text: int = 4 * 2**20
    """Text of one element; the rest is truncated."""
    item: int = 16 * 2**20
    """All elements of one finding, or all properties of one host, each with `ELEMENT` added to
    its text; the rest is left out."""
    depth: int = 64
    """Nesting of elements."""
    names: int = 20_000
    """Distinct names of elements and attributes in the document."""
    hosts: int = 1_000_000
    """Hosts that are known again in another element; more are new ones each time."""
    findings: int = 4_000_000
    """Findings that are known again in another element of their host; more are kept twice."""
    token: int = 4 * 2**20
    """One tag with its attributes, or one comment, in bytes."""


class Damage(Exception):
    """Reading must stop here, but may resume at a later finding."""

    def __init__(self, kind: ParseProblemKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Fatal(Damage):
    """Reading must stop for good."""


class Text:
    """The text of the element that began last, up to a limit.

    For speed, Expat appends to a plain list. The limit is enforced after each piece of the
    document, so that the text never becomes much longer.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[str] = []
        self._lost = 0
        self.add = self._pieces.append
        """Character data handler for expat."""

    def begin(self) -> None:
        """Call this at the start of an element whose text is wanted."""
        self._pieces.clear()
        self._lost = 0

    def checkpoint(self) -> None:
        """Enforces the limit; call this between pieces of the document."""
        if len(self._pieces) > 1 or (self._pieces and len(self._pieces[0]) > self._limit):
            kept = self._pieces[0]
            if len(kept) < self._limit:
                kept = "".join(self._pieces)
                self._pieces[1:] = ()
            self._lost += len(kept) - self._limit if len(kept) > self._limit else 0
            self._lost += sum(map(len, self._pieces[1:]))
            self._pieces[:] = [kept[: self._limit]]

    def take(self) -> tuple[str, int]:
        """The text, and the number of characters missing because of the limit."""
        text = "".join(self._pieces)
        self._pieces.clear()
        if not self._lost and len(text) <= self._limit:
            return text, 0
        return text[: self._limit], self._lost + max(len(text) - self._limit, 0)
