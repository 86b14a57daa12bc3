"""Numbers of things in words."""

from __future__ import annotations


def number(count: int, thing: str) -> str:
    """`1 finding`, `2 findings`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
