"""Exceptions in a YAML file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from nessus_sched.api.exceptions.definition import ProposeArgs, blank, rule_of
from nessus_sched.api.validation import BadArguments, parse
from nessus_sched.cli.client import Daemon
from nessus_sched.cli.definitions.file import Kind, Mistake, read_definitions, refusals
from nessus_sched.config.problems import KeyPath
from nessus_sched.core.exceptions.rule import BadException

EXCEPTIONS: Final = Kind(
    singular="an exception",
    plural="exceptions",
    keys=tuple(field.name for field in attrs.fields(ProposeArgs)),
    required=("hosts", "kind", "reason", "owner", "until"),
    shape="write 'exceptions:' and a list of exceptions with plugins, hosts, kind, reason, owner "
    "and until below it",
)
_RELATIVE: Final = re.compile(r"\s*[0-9]+d\s*")


def apply_file(
    connection: Daemon, file: Path, *, approve: bool, dry_run: bool
) -> Sequence[Mapping[str, Any]]:
    """Proposes or approves the exceptions of a file; returns what was done about each. Raises
    `BadFile` with every mistake, and then has changed nothing."""

    def put(item: Mapping[str, Any], *, dry_run: bool) -> dict[str, Any]:
        return connection.operate(
            "put_exception", **_as_argument(item), approve=approve, dry_run=dry_run
        )

    items = read_definitions(
        file,
        EXCEPTIONS,
        _mistakes,
        lambda items: refusals(items, EXCEPTIONS, lambda item: put(item, dry_run=True)),
    )
    return [put(item, dry_run=dry_run) for item in items]


def definition_of(exception: Mapping[str, Any]) -> dict[str, Any]:
    """An exception as `apply_file` reads it; what is left out has its default."""
    given = {key: exception[key] for key in EXCEPTIONS.keys}
    return {key: value for key, value in given.items() if value not in (None, [])}


def _mistakes(items: Sequence[Any]) -> Iterator[Mistake]:
    rules: dict[Any, int] = {}
    for index, item in enumerate(items):
        at: KeyPath = ("exceptions", index)
        if not isinstance(item, dict):
            continue
        known = {key: item[key] for key in item if key in EXCEPTIONS.keys}
        if not known.keys() >= set(EXCEPTIONS.required):
            continue
        try:
            args = parse(ProposeArgs, _as_argument(known))
        except BadArguments as error:
            for problem in error.problems:
                yield Mistake((*at, *_path(problem.where)), problem.message)
            continue
        if _RELATIVE.fullmatch(args.until):
            message = "give a date: the file may be applied again"
            yield Mistake((*at, "until"), message)
        problems = blank(args)
        try:
            rule = rule_of(args)
            if rules.setdefault(rule, index) != index:
                yield Mistake(at, f"the same rule as exception {rules[rule] + 1}")
        except BadException as error:
            problems += error.problems
        for each in problems:
            yield Mistake((*at, each.field), each.message)


def _as_argument(item: Mapping[str, Any]) -> dict[str, Any]:
    """With the texts that YAML may read as numbers."""
    texts = {key: str(item[key]) for key in ("port", "until") if isinstance(item.get(key), int)}
    return {**item, **texts}


def _path(where: str) -> KeyPath:
    """`plugins[0]` as a path."""
    return tuple(int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", where))
