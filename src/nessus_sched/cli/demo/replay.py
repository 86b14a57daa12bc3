"""The reports that `demo --replay DIR` plays, checked before a scanner serves them."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

import click

from nessus_sched.cli.output import print_note
from nessus_sched.results.parser.problems import ParseProblemKind
from nessus_sched.results.parser.reader import parse

_LOOKED_AT: Final = 2**16
"""Bytes at the start of a file within which its root element has to be."""


def replay_files(directory: Path | None) -> Sequence[Path]:
    """The directory's reports in order; prints which files are skipped.

    Raises `click.ClickException` if no report is left.
    """
    if directory is None:
        return ()
    unfit = {path: _unfit(path) for path in sorted(directory.glob("*.nessus"))}
    files = [path for path, reason in unfit.items() if reason is None]
    left_out = "; ".join(f"{path.name} {reason}" for path, reason in unfit.items() if reason)
    if not files:
        raise click.ClickException(
            f"no .nessus report in {directory}" + (f": {left_out}" if left_out else "")
        )
    if left_out:
        print_note(f"skipped: {left_out}")
    return files


def _unfit(path: Path) -> str | None:
    """Why the file is not a report; None if it looks like one, even if it is cut off or damaged
    later."""
    if not path.is_file():
        return "is not a file"
    try:
        with path.open("rb") as file:
            head = file.read(_LOOKED_AT)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not head.strip():
        return "is empty"
    report = parse(BytesIO(head))
    for problem in report.problems:
        refused = problem.kind in {ParseProblemKind.NOT_A_REPORT, ParseProblemKind.DOCTYPE}
        if refused or (problem.kind is ParseProblemKind.MALFORMED and not report.hosts):
            return f"is not a report ({problem.message})"
    return None
