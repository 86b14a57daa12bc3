"""Problems found while reading a report, and how much of it was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import attrs

KEPT: Final = 200
"""Problems kept in full; further ones are only counted."""


class ParseProblemKind(StrEnum):
    """Kinds of problems, as stable codes."""

    NOT_A_REPORT = "not_a_report"
    """Not a `.nessus` version 2 document; nothing was read."""
    DOCTYPE = "doctype"
    """A document type declaration, which is refused because it may declare entities."""
    TRUNCATED = "truncated"
    """The document ends too early."""
    MALFORMED = "malformed"
    """Not well-formed XML here; reading resumed at the next finding."""
    TRAILING = "trailing"
    """Something follows the end of the document; it is ignored unless it holds findings."""
    TOO_LARGE = "too_large"
    """Over a limit that protects memory; truncated or left out."""
    ENCODING = "encoding"
    """Bytes that are invalid in the document's encoding; each shown as U+FFFD."""
    CONTROL = "control"
    """Characters that XML does not allow; each shown as U+FFFD."""
    BAD_VALUE = "bad_value"
    """A value of the wrong type, treated as absent; its text is in `extra`."""
    REPEATED = "repeated"
    """A second value where there should be one; the first counts, others in `extra`."""
    MISPLACED = "misplaced"
    """A finding outside a host, kept under a host without a name."""


LOSSES: Final = frozenset(
    {
        ParseProblemKind.NOT_A_REPORT,
        ParseProblemKind.DOCTYPE,
        ParseProblemKind.TRUNCATED,
        ParseProblemKind.MALFORMED,
        ParseProblemKind.TOO_LARGE,
        ParseProblemKind.MISPLACED,
    }
)
"""Problems that may have lost a part of the report."""


@attrs.frozen(kw_only=True)
class Problem:
    """One problem: its position (line from 1, column from 0, in the original document), a
    message, and what could be saved (None if nothing was lost)."""

    kind: ParseProblemKind
    message: str
    line: int
    column: int
    saved: str | None = None

    def __str__(self) -> str:
        text = f"line {self.line}, column {self.column}: {self.message}"
        return f"{text} ({self.saved})" if self.saved else text


@attrs.frozen(kw_only=True)
class ParseReport:
    """The result of a parser. `complete` is True only if the document was complete; otherwise
    findings may be missing. `problems` has the first `KEPT`, `problem_counts` counts all.
    `requested` is the policy's target list and `plugin_set` its list of active plugins, both
    as text, if present; `preferences` and `families` are those kept by `parser.policy`."""

    complete: bool
    hosts: int
    findings: int
    bytes_read: int
    encoding: str
    report_name: str | None
    policy_name: str | None
    requested: str | None
    problems: tuple[Problem, ...]
    problem_counts: Mapping[str, int]
    plugin_set: str | None = None
    preferences: Mapping[str, str] = attrs.field(factory=dict)
    families: Mapping[str, str] = attrs.field(factory=dict)


class ProblemList:
    """Collects a bounded number of problems."""

    def __init__(self) -> None:
        self._kept: list[Problem] = []
        self._counts: Counter[str] = Counter()

    def add(self, problem: Problem) -> None:
        self._counts[problem.kind.value] += 1
        if len(self._kept) < KEPT:
            self._kept.append(problem)

    def lost_something(self) -> bool:
        return any(self._counts[kind.value] for kind in LOSSES)

    @property
    def kept(self) -> tuple[Problem, ...]:
        return tuple(self._kept)

    @property
    def counts(self) -> dict[str, int]:
        return dict(self._counts)
