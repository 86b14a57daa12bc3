"""A YAML file with a list of definitions: reading it with the place of every mistake, and writing
one."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import click

from nessus_sched.cli.client import Refused
from nessus_sched.config.problems import ConfigError, KeyPath, Problem, nearest
from nessus_sched.config.yaml_reader import Document, YamlSyntaxError, read_document

_MAX_BYTES: Final = 1_000_000


class BadFile(click.ClickException):
    """The file has mistakes; nothing was changed. Exit code 1."""


@attrs.frozen(kw_only=True)
class Kind:
    """What a file has a list of: below the key `plural`, each with some of `keys` and all of
    `required`. `shape` says what to write. `words` are names under which messages of the daemon
    mention keys."""

    singular: str
    plural: str
    keys: tuple[str, ...]
    required: tuple[str, ...]
    shape: str
    words: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Mistake:
    """A mistake at a path of the file, or at its key."""

    path: KeyPath
    message: str
    hint: str = ""
    of_key: bool = False


Check = Callable[[Sequence[Any]], Iterable[Mistake]]
"""Finds mistakes in the definitions of a file."""


def read_definitions(file: Path, kind: Kind, local: Check, remote: Check) -> Sequence[Any]:
    """The definitions of a file. `local` is also shown definitions with unknown or missing keys;
    `remote` asks the daemon, and only about a file in which nothing else is wrong. Raises
    `BadFile` with every mistake."""
    try:
        document = read_document(_text(file))
    except YamlSyntaxError as error:
        raise _bad([_problem(file, error.place, str(error), error.hint)]) from None
    items = _items(document, kind)
    problems = [_problem(file, place, bad.message, bad.hint) for place, bad in document.mistakes]
    mistakes = [*_shape(document, kind, items), *local(items)]
    if not problems and not mistakes:
        mistakes += remote(items)
    for each in mistakes:
        place = document.place(each.path, of_key=each.of_key)
        problems.append(_problem(file, place, each.message, each.hint))
    if problems:
        raise _bad(problems)
    return items


def refusals(
    items: Sequence[Mapping[str, Any]], kind: Kind, ask: Callable[[Mapping[str, Any]], object]
) -> Iterator[Mistake]:
    """What the daemon refuses when it is asked about each definition."""
    for index, item in enumerate(items):
        try:
            ask(item)
        except Refused as refused:
            key = _culprit(refused.message, kind, item)
            at: KeyPath = (kind.plural, index)
            name = f"{item['name']}: " if "name" in item else ""
            yield Mistake((*at, key) if key else at, f"{name}{refused.message}")


def export_text(plural: str, definitions: Sequence[Mapping[str, Any]]) -> str:
    """The definitions as YAML."""
    from ruamel.yaml import YAML

    yaml, stream = YAML(), io.StringIO()
    yaml.default_flow_style = False
    yaml.width = 100
    yaml.dump({plural: [dict(each) for each in definitions]}, stream)
    return stream.getvalue()


def _items(document: Document, kind: Kind) -> list[Any]:
    data = document.data
    found = data.get(kind.plural) if isinstance(data, dict) else None
    return found if isinstance(found, list) else []


def _shape(document: Document, kind: Kind, items: Sequence[Any]) -> Iterator[Mistake]:
    if not items:
        yield Mistake((), f"there are no {kind.plural}", kind.shape)
    data = document.data if isinstance(document.data, dict) else {}
    for key in data:
        if key != kind.plural:
            yield Mistake((key,), f"{key}: unknown key", kind.shape, of_key=True)
    for index, item in enumerate(items):
        yield from _keys(kind, (kind.plural, index), item)


def _keys(kind: Kind, at: KeyPath, item: Any) -> Iterator[Mistake]:
    """Unknown and missing keys of a definition."""
    if not isinstance(item, dict):
        yield Mistake(at, f"expected {kind.singular}", kind.shape)
        return
    for key in item:
        if key not in kind.keys:
            hint = nearest(str(key), kind.keys)
            yield Mistake((*at, key), f"{key}: unknown key", hint, of_key=True)
    for key in kind.required:
        if key not in item:
            yield Mistake(at, f"missing key '{key}'")


def _culprit(message: str, kind: Kind, keys: Iterable[str]) -> str | None:
    """The key that the message names, if any."""
    words = message.lower().replace(":", " ").replace("'", " ").split()
    said = {**kind.words, **{key: key for key in kind.keys}}
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


def _bad(problems: Iterable[Problem]) -> BadFile:
    return BadFile(f"nothing was changed\n{ConfigError(problems)}")


def _problem(file: Path, place: tuple[int, int], message: str, hint: str) -> Problem:
    return Problem(file=str(file), line=place[0], column=place[1], message=message, hint=hint)
