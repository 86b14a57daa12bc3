"""The command line as a person types it, in this process."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from nessus_sched.cli.json_schemas import schema_of
from nessus_sched.cli.main import cli


@attrs.frozen(kw_only=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@contextmanager
def _same_zone() -> Iterator[None]:
    """Undoes what `--tz` does to the process."""
    before = os.environ.get("TZ")
    try:
        yield
    finally:
        if os.environ.get("TZ") != before:
            if before is None:
                del os.environ["TZ"]
            else:
                os.environ["TZ"] = before
            time.tzset()


def typed(
    *words: str, env: Mapping[str, str | None] | None = None, stdin: str | bytes = ""
) -> Said:
    """Runs a command; anything but a clean end is raised here."""
    with _same_zone():
        result = CliRunner().invoke(
            cli, list(words), env=env, input=stdin, catch_exceptions=False, prog_name="nessus-sched"
        )
    return Said(code=result.exit_code, out=result.stdout, err=result.stderr)


def fits(shape: str, document: Any) -> None:
    """Raises unless the document is of the documented shape."""
    Draft202012Validator(schema_of(shape)).validate(document)


def one_sentence(said: Said, code: int, part: str) -> None:
    """A refusal for a person: its exit code, what it says, and no traceback."""
    assert said.code == code, said
    assert part in said.err, said.err
    assert "Traceback" not in said.err + said.out
    assert not said.out
