"""Words for people and models: numbers of things, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

TIME_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))

_LONGEST = 60
"""Characters of a wrong word that are looked at; the comparison is quadratic."""

_NEAR = 0.7
"""How like two names must be: `schedule_scan` and `cancel_scan` are 0.67, and no slip."""


def pluralize(count: int, thing: str) -> str:
    """`1 finding`, `2 findings`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """` (did you mean 'east' or 'west'?)`: up to three names that are near; empty when none is."""
    word, names = given[:_LONGEST], [str(name) for name in known]
    near = [name for name in names if name.startswith(f"{word}_") or name.endswith(f"_{word}")]
    near += get_close_matches(word, names, n=3, cutoff=_NEAR)
    found = " or ".join(f"'{name}'" for name in list(dict.fromkeys(near))[:3])
    return f" (did you mean {found}?)" if found else ""


def lasting(seconds: float) -> str:
    """A stretch of time in its largest unit, rounded down: `3 h`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def duration(seconds: float | None) -> str:
    """`3h 20m`: the two largest units; `-` when not known."""
    if seconds is None:
        return "-"
    left = max(round(seconds), 0)
    parts: list[str] = []
    for unit, length in TIME_UNITS:
        amount, left = divmod(left, length)
        if amount or (unit == "s" and not parts):
            parts.append(f"{amount}{unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def size(count: int) -> str:
    """Bytes in the largest binary unit: `1.5 MiB`."""
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
