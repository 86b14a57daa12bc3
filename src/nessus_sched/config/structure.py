"""Structures plain data into the classes of the schema and collects every mistake.

cattrs does the walking and reporting. Scalars are read by `parsers`, because cattrs would
convert too much on its own (text to a list, a number to text, anything truthy to a boolean).
The bounds of each field come from its `FieldDoc`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, override

from nessus_sched.config import parsers
from nessus_sched.config.checks import CHECKS, check_order
from nessus_sched.config.problems import KeyPath, ValueProblem, nearest, path_text
from nessus_sched.config.render import format_value
from nessus_sched.config.scanners import (
    ApiKeys,
    UiSession,
)
from nessus_sched.config.schema import Config
from nessus_sched.config.substitution import UnresolvedReference
from nessus_sched.config.types import format_of
from nessus_sched.core.fields import FieldDoc, doc_of
from nessus_sched.core.secret import Secret
from nessus_sched.core.targets.address import Unreadable

Hook = Callable[[Any, Any], Any]


LEAVES: Final[tuple[tuple[type, str, parsers.Reader], ...]] = (
    (str, "text", parsers.text),
    (bool, "true or false", parsers.boolean),
    (int, "a whole number", parsers.integer),
    (float, "a number", parsers.number),
    (Secret, "text, or a reference such as ${NAME} or ${file:PATH}", parsers.secret),
)
"""Parsers for plain types, with what they expect."""


class _AlreadyReported(ValueProblem):
    """The value's reference failed; that mistake is already reported."""


def structure(
    data: Any, folder: Path
) -> tuple[Config | None, tuple[tuple[KeyPath, ValueProblem], ...]]:
    """The configuration, or None and all mistakes. `data` comes from `substitute`."""
    try:
        return _converter(folder).structure(data, Config), ()
    except (BaseValidationError, ValueProblem) as error:
        return None, tuple(_mistakes([error], ()))


# cattrs generates code for each class, so do it once per folder and not for every reload.
@cache
def _converter(folder: Path) -> Converter:
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    for leaf, expected, reader in LEAVES:
        converter.register_structure_hook(leaf, _leaf(expected, reader))
    readers = parsers.readers(folder)

    def form(kind: Any) -> Hook:
        found = format_of(kind)
        assert found is not None
        return _leaf(found.expected, readers[found])

    converter.register_structure_hook_factory(attrs.has, lambda kind: _class(kind, converter))
    converter.register_structure_hook(StrEnum, _enum)
    converter.register_structure_hook_factory(
        lambda kind: _origin(kind) is tuple, lambda kind: _list(kind, converter)
    )
    converter.register_structure_hook_factory(
        lambda kind: _origin(kind) is Mapping, lambda kind: _map(kind, converter)
    )
    converter.register_structure_hook_factory(lambda kind: format_of(kind) is not None, form)
    converter.register_structure_hook_factory(
        lambda kind: kind == ApiKeys | UiSession, lambda _: _login(converter)
    )
    return converter


def _origin(kind: Any) -> Any:
    return get_origin(kind)


def _require_value(value: Any, expected: str) -> None:
    if isinstance(value, UnresolvedReference):
        raise _AlreadyReported("")
    if value is None:
        raise ValueProblem(f"is empty; expected {expected}", hint="or leave the key out")


def _leaf(expected: str, reader: parsers.Reader) -> Hook:
    def hook(value: Any, _: Any) -> Any:
        _require_value(value, expected)
        try:
            return reader(value)
        except (parsers.InvalidValue, Unreadable) as error:
            raise ValueProblem(f"expected {expected}: {error}") from None
        except ValueError:
            # Raised by Python, so its text may repeat the value.
            raise ValueProblem(f"expected {expected}") from None

    return hook


def _enum(value: Any, kind: type[StrEnum]) -> StrEnum:
    words = [str(member) for member in kind]
    expected = f"one of {', '.join(words)}"
    _require_value(value, expected)
    if isinstance(value, str) and value in words:
        return kind(value)
    hint = nearest(value, words) if isinstance(value, str) else ""
    raise ValueProblem(f"expected {expected}", hint=hint if hint.startswith("did") else "")


def _structure_items(
    items: Iterable[tuple[Any, Any]], kind: Any, inner: Hook
) -> Iterator[tuple[Any, Any]]:
    """Structures every item, and reports the mistakes of all of them at the end."""
    errors: list[Exception] = []
    for key, item in items:
        try:
            yield key, inner(item, kind)
        except (ValueProblem, BaseValidationError) as error:
            error.add_note(IterableValidationNote("", key, kind))
            errors.append(error)
    if errors:
        raise IterableValidationError("", errors, kind)


def _list(kind: Any, converter: Converter) -> Hook:
    item = get_args(kind)[0]
    inner = converter.get_structure_hook(item)

    def hook(value: Any, _: Any) -> tuple[Any, ...]:
        _require_value(value, "a list")
        if not isinstance(value, list):
            raise ValueProblem("expected a list", hint="[one, two], or one '- item' per line")
        return tuple(found for _, found in _structure_items(enumerate(value), item, inner))

    return hook


def _map(kind: Any, converter: Converter) -> Hook:
    item = get_args(kind)[1]
    inner = converter.get_structure_hook(item)

    def hook(value: Any, _: Any) -> dict[str, Any]:
        _require_value(value, "a mapping")
        if not isinstance(value, dict):
            raise ValueProblem("expected a mapping", hint="one 'name: value' per line")
        return dict(_structure_items(value.items(), item, inner))

    return hook


def _class(kind: type, converter: Converter) -> Hook:
    fields = attrs.fields(attrs.resolve_types(kind, include_extras=True))
    hooks: dict[str, Any] = {
        field.name: override(struct_hook=_bounded(converter.get_structure_hook(field.type), field))
        for field in fields
    }
    build: Hook = make_dict_structure_fn(kind, converter, **hooks)
    keys = ", ".join(hooks)

    def hook(value: Any, _: Any) -> Any:
        _require_value(value, f"a mapping of {keys}")
        if not isinstance(value, dict):
            raise ValueProblem(f"expected a mapping of {keys}")
        problems: list[Exception] = list(CHECKS[kind](value)) if kind in CHECKS else []
        try:
            result = build(value, kind)
        except ClassValidationError as error:
            problems = [*error.exceptions, *problems]
        else:
            problems += check_order(result)
        if problems:
            raise ClassValidationError("", problems, kind)
        return result

    return hook


def _bounded(inner: Hook, field: attrs.Attribute[Any]) -> Hook:
    doc = doc_of(field)
    if doc is None:
        return inner

    def hook(value: Any, kind: Any) -> Any:
        result = inner(value, kind)
        if isinstance(result, str):
            _check_text(result, doc)
        elif isinstance(result, int | float):
            _check_number(result, doc, field.type)
        return result

    return hook


def _check_text(text: str, doc: FieldDoc) -> None:
    if len(text) < (doc.min_length or 0):
        raise ValueProblem("must not be empty")
    if doc.max_length is not None and len(text) > doc.max_length:
        raise ValueProblem(f"must not be longer than {doc.max_length} characters")
    if doc.pattern is not None and not re.fullmatch(doc.pattern, text):
        raise ValueProblem(
            "expected letters, digits, dots, dashes and underscores, such as scanner-1"
        )


def _check_number(number: float, doc: FieldDoc, kind: Any) -> None:
    if doc.minimum is not None and number < doc.minimum:
        raise ValueProblem(f"must be at least {format_value(doc.minimum, kind)}")
    if doc.maximum is not None and number > doc.maximum:
        raise ValueProblem(f"must be at most {format_value(doc.maximum, kind)}")


@attrs.frozen(kw_only=True)
class _Login:
    """`auth` in the file: the login is under the name of its kind."""

    api_keys: ApiKeys | None = None
    ui_session: UiSession | None = None


def _login(converter: Converter) -> Hook:
    build = _class(_Login, converter)

    def hook(value: Any, _: Any) -> ApiKeys | UiSession:
        login: _Login = build(value, _Login)
        if login.api_keys is not None and login.ui_session is not None:
            raise ValueProblem("give either api_keys or ui_session, not both")
        found = login.api_keys or login.ui_session
        if found is None:
            raise ValueProblem("give api_keys or ui_session")
        return found

    return hook


def _mistakes(errors: Iterable[Exception], path: KeyPath) -> Iterator[tuple[KeyPath, ValueProblem]]:
    for error in errors:
        here = (*path, *_steps(error))
        if isinstance(error, BaseValidationError):
            yield from _mistakes(error.exceptions, here)
        elif isinstance(error, ForbiddenExtraKeysError):
            valid = [field.name for field in attrs.fields(error.cl)]
            for key in error.extra_fields:
                yield (
                    (*here, key),
                    ValueProblem("unknown key", hint=nearest(key, valid), at_key=True),
                )
        elif isinstance(error, KeyError):
            yield here[:-1], ValueProblem(f"missing key '{here[-1]}'")
        elif isinstance(error, ValueProblem):
            if not isinstance(error, _AlreadyReported):
                yield (*here, *error.at), error
        else:
            # A bug; leave out its text, which may hold a value from the file.
            raise TypeError(f"{type(error).__name__} at {path_text(here)}") from None


def _steps(error: Exception) -> Iterator[str | int]:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            yield note.name
        elif isinstance(note, IterableValidationNote):
            yield note.index
