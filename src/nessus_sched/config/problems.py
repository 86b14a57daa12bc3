"""Mistakes in a configuration and their locations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import attrs

KeyPath = tuple[str | int, ...]
"""Path to a value in the document: keys of mappings and indexes of lists."""


@attrs.frozen(kw_only=True, order=True)
class Problem:
    """One mistake. Line and column count from 1; both are 0 if there is no position.
    `message` never contains a value from the file, because it could be secret."""

    file: str
    line: int = 0
    column: int = 0
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class ConfigError(Exception):
    """The configuration cannot be used; `problems` has every mistake in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))


class ValueProblem(Exception):
    """A mistake whose line is not known yet. `at` is the path from the value being read to
    the wrong one; `at_key` means that its key is wrong, not its value."""

    def __init__(
        self, message: str, *, hint: str = "", at: KeyPath = (), at_key: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.at = at
        self.at_key = at_key


def path_text(path: KeyPath) -> str:
    """A path such as `scanners[0].url`; anything that does not look like a key is left out."""
    parts = (f"[{step}]" if isinstance(step, int) else f".{_key_text(step)}" for step in path)
    return "".join(parts).lstrip(".")


def _key_text(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", key) else "…"


def nearest(wrong: str, valid: Sequence[str]) -> str:
    """A hint for a word that is not in `valid`."""
    close = get_close_matches(wrong.lower(), valid, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"valid: {', '.join(valid)}"
