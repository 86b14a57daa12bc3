"""The targets of `submit`: from the command line, and from a file with one or more a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from nessus_sched.core.targets.targets import MAX_CHARACTERS, BadTargets, parse_targets

_SHOWN: Final = 10
"""Lines with mistakes that are listed; more are counted."""
_FILE_NAMES: Final = (".txt", ".csv", ".lst", ".list")
"""Ends of file names that no host name has."""


def targets_given(words: Sequence[str], file: Path | None) -> list[str]:
    """All targets. Raises `click.UsageError` or, for a file, `click.ClickException`."""
    if not words and file is None:
        raise click.UsageError("no targets: give addresses, networks or names, or --targets-file")
    for word in words:
        _check_word(word)
    return [*words, *([] if file is None else _targets_in(file))]


def _check_word(word: str) -> None:
    """Raises for what is meant as a file: the daemon could only say that it is no target."""
    name = word.removeprefix("@")
    if word in ("-", "@-") or word.startswith("@") or word.lower().endswith(_FILE_NAMES):
        shown = name if name != "-" else "- (standard input)"
        raise click.UsageError(f"{word!r} is not a target; to read a file, --targets-file {shown}")


def _targets_in(file: Path) -> list[str]:
    """The targets of a file; `#` begins a comment."""
    found: list[str] = []
    problems: list[str] = []
    for number, line in enumerate(_text(file).splitlines(), 1):
        words = line.partition("#")[0].replace(",", " ").split()
        try:
            if words:
                parse_targets(words)
        except BadTargets as error:
            problems.append(f"line {number}: {error}")
        found += words
    if problems:
        more = len(problems) - _SHOWN
        rest = [f"and {more} more lines"] if more > 0 else []
        raise click.ClickException("\n  ".join([f"{file}:", *problems[:_SHOWN], *rest]))
    if not found:
        raise click.ClickException(f"{file}: there are no targets in it")
    return found


def _text(file: Path) -> str:
    try:
        with click.open_file(str(file), "rb") as stream:
            content = stream.read(MAX_CHARACTERS + 1)
        if len(content) > MAX_CHARACTERS:
            raise click.ClickException(f"{file}: larger than {MAX_CHARACTERS} bytes")
        return str(content.decode("utf-8-sig"))
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise click.ClickException(f"{file}: line {line}: not UTF-8 text") from None
