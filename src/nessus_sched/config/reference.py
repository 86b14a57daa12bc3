"""Generates the configuration reference in Markdown from the schema."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Any, Final, get_args, get_origin

import attrs

from nessus_sched.config.render import format_value
from nessus_sched.config.schema import Config
from nessus_sched.config.types import format_of
from nessus_sched.core.fields import FieldDoc, doc_of
from nessus_sched.core.secret import Secret

_INTRODUCTION: Final = """\
The configuration is a single YAML 1.2 file. Mistakes are reported with their line, and a file
with a mistake is not used. Anchors, aliases and tags are not supported.

Values may contain references, even in the middle of longer text:

| reference | value |
|---|---|
| `${NAME}` | the environment variable; an error if it is not set |
| `${NAME:-default}` | the same, or the default if it is not set or empty |
| `${file:PATH}` | the content of the file, without the final newline |
| `${credential:NAME}` | the same for a file in systemd's credentials directory |
| `$$` | a dollar sign |

As the user or password of a URL, as in `mailtos://me:${file:mail.secret}@mail.example.com`, a value
is percent-encoded automatically. Sequences such as `%40` in it are treated as already encoded.
"""

_WORDS: Final[Mapping[Any, str]] = {
    str: "text",
    bool: "`true` or `false`",
    int: "a whole number",
    float: "a number",
    Path: "a path",
    Secret: "text, secret",
}


def reference() -> str:
    """The whole reference."""
    parts = ["# Configuration reference", "", _INTRODUCTION]
    for name, cls in _sections(Config, ""):
        parts += [f"## {name or 'The file'}", "", _about(cls), "", *_table(cls, name), ""]
    return "\n".join(parts)


def _sections(cls: type, name: str) -> Iterator[tuple[str, type]]:
    """Every class of the schema with the path of keys leading to it."""
    yield name, cls
    for field in _fields(cls):
        dotted = f"{name}.{field.name}".lstrip(".")
        for inner, suffix in _classes(field.type):
            yield from _sections(inner, f"{dotted}{suffix}")


def _classes(kind: Any) -> Iterator[tuple[type, str]]:
    """The classes inside a type, with what to append to the key."""
    if attrs.has(kind):
        yield kind, ""
    elif get_origin(kind) is tuple:
        yield from ((inner, "[]" + suffix) for inner, suffix in _classes(get_args(kind)[0]))
    else:
        several = [part for part in get_args(kind) if isinstance(part, type) and attrs.has(part)]
        for part in several:
            yield part, f".{_key(part)}" if len(several) > 1 else ""


def _key(cls: type) -> str:
    """`ApiKeys` becomes `api_keys`."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in cls.__name__).lstrip("_")


def _about(cls: type) -> str:
    return " ".join(inspect.cleandoc(cls.__doc__ or "").split())


def _table(cls: type, name: str) -> Iterator[str]:
    yield "| key | value | default | description |"
    yield "|---|---|---|---|"
    for field in _fields(cls):
        doc = doc_of(field)
        assert doc is not None, f"{cls.__name__}.{field.name} is not documented"
        cells = (f"`{field.name}`", _value(field.type, doc), _default(field), doc.doc)
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _fields(cls: type) -> tuple[attrs.Attribute[Any], ...]:
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(
        attrs.resolve_types(cls, include_extras=True)
    )
    return fields


def _value(kind: Any, doc: FieldDoc) -> str:
    words = _kind(kind)
    if doc.minimum is not None and doc.minimum > 0:
        words += f", at least {format_value(doc.minimum, kind)}"
    if doc.maximum is not None:
        words += f", at most {format_value(doc.maximum, kind)}"
    return words


def _kind(kind: Any) -> str:
    form = format_of(kind)
    if form is not None:
        return form.expected
    if kind in _WORDS:
        return _WORDS[kind]
    if get_origin(kind) is tuple:
        return f"a list; each: {_kind(get_args(kind)[0])}"
    if NoneType in get_args(kind):
        return " or ".join(_kind(part) for part in get_args(kind) if part is not NoneType)
    if get_origin(kind) is not None and issubclass(get_origin(kind), Mapping):
        return f"names with {_kind(get_args(kind)[1])}"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return ", ".join(f"`{member}`" for member in kind)
    return "keys as below"


def _default(field: attrs.Attribute[Any]) -> str:
    if field.default is attrs.NOTHING:
        return "required"
    if isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]  # a class at run time
        return ""
    return f"`{json.dumps(format_value(field.default, field.type))}`"
