"""The table of a certification: what was checked, what was found, and what it means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final, NoReturn

import attrs

from nessus_sched.core.fields import field
from nessus_sched.core.scanner import ScannerError
from nessus_sched.results.untrusted import clean_line

LONGEST: Final = 300


class Result(StrEnum):
    HOLDS = "holds"
    DIFFERS = "differs"
    """The scanner behaves differently than we rely on; `meaning` says what that means."""
    FAILED = "failed"
    """It does not work at all."""
    UNTESTED = "not tested"


@attrs.frozen(kw_only=True)
class Row:
    check: str = field("What was checked.")
    result: str = field("holds, differs, failed or not tested.")
    found: str = field("What the scanner did.")
    meaning: str = field("What follows from it, and what to do; empty when it holds.")


def row(check: str, result: Result, found: str, meaning: str = "") -> Row:
    return Row(
        check=check,
        result=result,
        found=clean_line(found, LONGEST),
        meaning=clean_line(meaning, LONGEST),
    )


CHECKS: Final = (
    "login",
    "license",
    "rights",
    "clock",
    "session",
    "templates",
    "defaults",
    "create",
    "launch",
    "history",
    "export",
    "what ran",
    "pause",
    "resume",
    "stop",
    "partial export",
    "plugin selection",
    "delete",
)
"""In the order of the table."""


class CheckEnded(Exception):
    """The checks that depend on this one cannot be run; the text says why."""


class Table:
    """The rows so far."""

    def __init__(self, on_row: Callable[[Row], None]) -> None:
        self._rows: dict[str, Row] = {}
        self._on_row = on_row

    def rows(self) -> list[Row]:
        return [self._rows[check] for check in CHECKS if check in self._rows]

    def skip(self, checks: Iterable[str], cause: str) -> None:
        """Adds rows for the checks that have not been run."""
        for check in checks:
            if check not in self._rows:
                self.note(check, Result.UNTESTED, f"because {cause}")

    def failed(self, check: str) -> bool:
        found = self._rows.get(check)
        return found is not None and found.result == Result.FAILED

    @contextmanager
    def check(self, check: str, meaning: str) -> Iterator[None]:
        """An error from the scanner fails the check and skips those that depend on it."""
        try:
            yield
        except ScannerError as error:
            self.fail(check, str(error), meaning)

    def fail(self, check: str, found: str, meaning: str) -> NoReturn:
        self.note(check, Result.FAILED, found, meaning)
        raise CheckEnded(f"the check of {check} failed")

    def holds(self, check: str, found: str) -> None:
        self.note(check, Result.HOLDS, found)

    def note(self, check: str, result: Result, found: str, meaning: str = "") -> None:
        made = row(check, result, found, meaning)
        self._rows[check] = made
        self._on_row(made)
