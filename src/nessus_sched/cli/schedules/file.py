"""Schedules in a YAML file: reading with the place of every mistake, applying, and writing."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import click

from nessus_sched.api.schedules.tools import CreateArgs
from nessus_sched.cli.client import Daemon, Refused
from nessus_sched.cli.schedules.show import every_schedule
from nessus_sched.config.problems import ConfigError, KeyPath, Problem, nearest
from nessus_sched.config.yaml_reader import Document, YamlSyntaxError, read_document

_KEYS: Final = tuple(
    field.name for field in attrs.fields(CreateArgs) if field.name not in ("replace", "dry_run")
)
_MAX_BYTES: Final = 1_000_000
_SHAPE: Final = "write 'schedules:' and a list of schedules with name, scan and cron below it"


class BadFile(click.ClickException):
    """The file has mistakes; nothing was changed. Exit code 1."""


def apply_file(
    connection: Daemon, file: Path, *, prune: bool, dry_run: bool
) -> Sequence[Mapping[str, str]]:
    """Applies the schedules of a file; with `prune` deletes all others. Returns what was done
    about each. Raises `BadFile` with every mistake, and then has changed nothing."""
    try:
        document = read_document(_text(file))
    except YamlSyntaxError as error:
        raise _bad(file, [_problem(file, error.place, str(error), error.hint)]) from None
    items = _items(document)
    problems = [_problem(file, place, bad.message, bad.hint) for place, bad in document.mistakes]
    problems += _mistakes(file, document, items)
    before = {each["name"]: each for each in every_schedule(connection)["schedules"]}
    if not problems:
        problems += _refusals(connection, file, document, items)
    if problems:
        raise _bad(file, problems)
    done = [_apply(connection, item, before, dry_run=dry_run) for item in items]
    kept = {item["name"] for item in items}
    for name in [name for name in before if prune and name not in kept]:
        if not dry_run:
            connection.call("change_schedule", name=name, action="remove")
        done.append({"name": name, "change": "would be removed" if dry_run else "removed"})
    return done


def export_text(definitions: Sequence[Mapping[str, Any]]) -> str:
    """The schedules as YAML."""
    from ruamel.yaml import YAML

    yaml, stream = YAML(), io.StringIO()
    yaml.default_flow_style = False
    yaml.width = 100
    yaml.dump({"schedules": [dict(each) for each in definitions]}, stream)
    return stream.getvalue()


def _apply(
    connection: Daemon, item: Mapping[str, Any], before: Mapping[str, Any], *, dry_run: bool
) -> Mapping[str, str]:
    name = item["name"]
    if dry_run:
        return {"name": name, "change": "would be redefined" if name in before else "is new"}
    answer = connection.call("create_schedule", **item, replace=True)
    changed = "redefined" if name in before else "created"
    return {"name": name, "change": changed if answer["changed"] else "unchanged"}


def _items(document: Document) -> list[Any]:
    data = document.data
    found = data.get("schedules") if isinstance(data, dict) else None
    return found if isinstance(found, list) else []


def _mistakes(file: Path, document: Document, items: Sequence[Any]) -> Iterator[Problem]:
    """What can be seen without the daemon."""
    if not items:
        yield _problem(file, (1, 1), "there are no schedules", _SHAPE)
    data = document.data if isinstance(document.data, dict) else {}
    for key in data:
        if key != "schedules":
            yield _problem(file, document.place((key,), of_key=True), f"{key}: unknown key", _SHAPE)
    names: dict[str, int] = {}
    for index, item in enumerate(items):
        at: KeyPath = ("schedules", index)
        yield from _keys(file, document, at, item)
        name = str(item.get("name")) if isinstance(item, dict) else str(index)
        if names.setdefault(name, index) != index:
            place = document.place((*at, "name"))
            yield _problem(file, place, f"the same name as schedule {names[name] + 1}", "")


def _keys(file: Path, document: Document, at: KeyPath, item: Any) -> Iterator[Problem]:
    """Unknown and missing keys of a schedule."""
    if not isinstance(item, dict):
        yield _problem(file, document.place(at), "expected a schedule", _SHAPE)
        return
    for key in item:
        if key not in _KEYS:
            place = document.place((*at, key), of_key=True)
            yield _problem(file, place, f"{key}: unknown key", nearest(str(key), _KEYS))
    for key in ("name", "scan"):
        if key not in item:
            yield _problem(file, document.place(at), f"missing key '{key}'", "")


def _refusals(
    connection: Daemon, file: Path, document: Document, items: Sequence[Mapping[str, Any]]
) -> Iterator[Problem]:
    """What the daemon would refuse."""
    for index, item in enumerate(items):
        try:
            connection.call("create_schedule", **item, replace=True, dry_run=True)
        except Refused as refused:
            at: KeyPath = ("schedules", index)
            key = _culprit(refused.message, item)
            place = document.place((*at, key) if key else at)
            yield _problem(file, place, f"{item['name']}: {refused.message}", "")


def _culprit(message: str, keys: Iterable[str]) -> str | None:
    """The key that the message names, if any."""
    words = message.lower().replace(":", " ").replace("'", " ").split()
    said = {"expression": "cron", "zone": "time_zone", "past": "at", **{key: key for key in _KEYS}}
    return next((said[word] for word in words if word in said and said[word] in keys), None)


def _text(file: Path) -> str:
    try:
        with click.open_file(str(file), "rb") as stream:
            content: bytes = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise BadFile(f"{file}: cannot be read: {error.strerror}") from error
    if len(content) > _MAX_BYTES:
        raise BadFile(f"{file}: larger than {_MAX_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadFile(f"{file}: is not UTF-8 text") from None


def _bad(file: Path, problems: Iterable[Problem]) -> BadFile:
    return BadFile(f"nothing was changed\n{ConfigError(problems)}")


def _problem(file: Path, place: tuple[int, int], message: str, hint: str) -> Problem:
    return Problem(file=str(file), line=place[0], column=place[1], message=message, hint=hint)
