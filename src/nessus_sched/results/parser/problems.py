"""What went wrong while reading a report, and how much of it was read all the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import attrs

KEPT: Final = 200
"""Problems kept word for word; more are only counted."""


class Trouble(StrEnum):
    """Sorts of problems, stable codes."""

    NOT_A_REPORT = "not_a_report"
    """No `.nessus` version 2 document; nothing was read."""
    DOCTYPE = "doctype"
    """A document type declaration, which may declare entities: refused, nothing read."""
    TRUNCATED = "truncated"
    """The document ends too early."""
    MALFORMED = "malformed"
    """Not well-formed XML at this place; reading went on at the next finding."""
    TRAILING = "trailing"
    """Something follows the end of the document; it is ignored unless it holds findings."""
    TOO_LARGE = "too_large"
    """Beyond a bound that protects memory; cut or left out."""
    ENCODING = "encoding"
    """Bytes that are not text in the document's encoding; each shown as U+FFFD."""
    CONTROL = "control"
    """Characters XML does not allow; each shown as U+FFFD."""
    BAD_VALUE = "bad_value"
    """A value that is not of its field's type; absent, its text is in `extra`."""
    REPEATED = "repeated"
    """A second value where there should be one; the first counts, others in `extra`."""
    MISPLACED = "misplaced"
    """A finding outside a host, kept under a host without a name."""


LOSSES: Final = frozenset(
    {
        Trouble.NOT_A_REPORT,
        Trouble.DOCTYPE,
        Trouble.TRUNCATED,
        Trouble.MALFORMED,
        Trouble.TOO_LARGE,
        Trouble.MISPLACED,
    }
)
"""Problems by which something of the report may be missing from what was read."""


@attrs.frozen(kw_only=True)
class Problem:
    """One problem: where (line from 1, column from 0, both of the document as sent), what,
    and what could be saved (None: nothing is lost by it)."""

    kind: Trouble
    message: str
    line: int
    column: int
    saved: str | None = None

    def __str__(self) -> str:
        text = f"line {self.line}, column {self.column}: {self.message}"
        return f"{text} ({self.saved})" if self.saved else text


@attrs.frozen(kw_only=True)
class ParseReport:
    """What a parser has read. `complete` is True only if the document was whole: findings
    can be missing otherwise. `problems` holds the first `KEPT`, `problem_counts` counts
    all. `requested` is the target list of the scan's policy and `plugin_set` its list of
    active plugins, both as text, when the report has them; `preferences` and `families` are
    what `parser.policy` keeps."""

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
    """Collects problems; bounded."""

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
