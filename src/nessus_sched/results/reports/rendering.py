"""Pages of reports from templates, ours or a user's."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nessus_sched.core.text import pluralize
from nessus_sched.results.markup import environment
from nessus_sched.results.untrusted import clean

if TYPE_CHECKING:
    from jinja2 import Environment

PACKAGE: Final = "nessus_sched.results"
LONGEST: Final = 1000
"""Characters of a value that are shown."""
_FOLDER: Final = files(PACKAGE).joinpath("templates")


class BadTemplate(Exception):
    """A user's template that does not render: its name, the line if known, and what is wrong."""

    def __init__(self, name: str, line: int | None, problem: str) -> None:
        where = name if line is None else f"{name}, line {line}"
        super().__init__(f"template {where}: {problem}")
        self.name = name
        self.line = line
        self.problem = problem


def page(kind: str, document: Mapping[str, Any], own: Path | None = None) -> Iterator[str]:
    """The pieces of the page for a kind of report: what its template makes of `document`.

    Templates in the directory `own` replace ours of the same name. Raises `BadTemplate`.
    """
    if own is None:
        yield from _ours().get_template(f"{kind}.html").generate(document)
    else:
        yield from _by_users(kind, document, own)


def head(
    kind: str,
    title: str,
    *,
    scope: str,
    period: str,
    made: str,
    organization: str = "",
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """What every report begins with."""
    return {
        "kind": kind, "title": title, "scope": scope, "period": period, "made": made,
        "organization": organization, "notes": list(notes),
    }  # fmt: skip


def signed(count: int) -> str:
    """`+3`, `−2`, `±0`."""  # noqa: RUF002
    return "±0" if not count else f"+{count:,}" if count > 0 else f"−{-count:,}"  # noqa: RUF001


def number(count: int) -> str:
    """`12,345`."""
    return f"{count:,}"


def compact(count: float) -> str:
    """`950`, `12k`, `1.5M`: three digits at most."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return f"{count:g}"


def template_names() -> list[str]:
    """The files of ours that a user may replace."""
    return sorted(each.name for each in _FOLDER.iterdir() if each.is_file())


def template_text(name: str) -> str:
    return _FOLDER.joinpath(name).read_text(encoding="utf-8")


def _shown(text: str) -> str:
    return clean(text, LONGEST)


_FILTERS: Final = (pluralize, signed, number, compact)


@cache
def _ours() -> Environment:
    return environment(PACKAGE, _shown, _FILTERS)


def _by_users(kind: str, document: Mapping[str, Any], own: Path) -> Iterator[str]:
    from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError

    if not own.is_dir():
        raise BadTemplate(str(own), None, "no such directory")
    made = environment(PACKAGE, _shown, _FILTERS, own)
    try:
        yield from made.get_template(f"{kind}.html").generate(document)
    except TemplateSyntaxError as error:
        raise BadTemplate(error.name or kind, error.lineno, str(error.message)) from error
    except (
        TemplateError, ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError,
        OSError, RuntimeError, TypeError, ValueError,
    ) as error:  # fmt: skip
        place = _place(error, own)
        if place is None:  # a mistake of ours
            raise
        problem = f"no template {error.message}" if isinstance(error, TemplateNotFound) else error
        raise BadTemplate(*place, str(problem) or type(error).__name__) from error


def _place(error: BaseException, own: Path) -> tuple[str, int | None] | None:
    """The innermost line of a user's template that led to an error."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(own):
            return str(Path(frame.filename).relative_to(own)), frame.lineno
    return None
