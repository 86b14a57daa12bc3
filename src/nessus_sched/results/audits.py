"""Compliance checks in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WORST_FIRST: Final = ("FAILED", "ERROR", "WARNING", "PASSED")


def checks_text(by_result: Mapping[str, int] | None) -> str | None:
    """`3 failed, 12 passed`, the worst first; None if there are none."""
    found = {result: count for result, count in (by_result or {}).items() if count}
    ordered = dict.fromkeys((*(each for each in WORST_FIRST if each in found), *found))
    return ", ".join(f"{found[each]} {each.lower()}" for each in ordered) or None
