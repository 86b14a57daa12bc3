"""Describes mistakes in arguments so that a model can correct them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import attrs
from jsonschema.exceptions import ValidationError

from nessus_sched.api.schema import Schema
from nessus_sched.core.text import did_you_mean

_SHOWN: Final = 60


@attrs.frozen(kw_only=True)
class Problem:
    """One wrong argument: `where` is its path, empty for the arguments as a whole."""

    where: str
    message: str


def problems_of(error: ValidationError) -> Iterator[Problem]:
    """The problems behind an error of jsonschema, one per wrong argument."""
    where = path_of(error)
    schema: Any = error.schema
    value: Any = error.instance
    match error.validator:
        case "required":
            # jsonschema makes one error per missing name, and has it in its message only.
            yield _missing(where, error.message.split("'")[1], schema)
        case "additionalProperties" if "properties" in schema:
            yield from _unknown(where, set(value), schema)
        case rule:
            complaint = _complaint(str(rule), value, error.validator_value)
            yield Problem(where=where, message=f"'{where}' {complaint}")


def path_of(error: ValidationError) -> str:
    """Where in the arguments an error is: `filters[0].op`."""
    path = ""
    for part in error.absolute_path:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path


def _inner(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _missing(where: str, name: str, schema: Schema) -> Problem:
    path = _inner(where, name)
    doc = schema["properties"][name].get("description")
    message = f"missing required argument '{path}'" + (f": {doc.rstrip('.')}" if doc else "")
    return Problem(where=path, message=message)


def _unknown(where: str, given: set[str], schema: Schema) -> Iterator[Problem]:
    known = list(schema["properties"])
    for name in sorted(given - set(known)):  # lazily: looking for near names is expensive
        hint = did_you_mean(name, known) or f" (known: {', '.join(known) or 'none'})"
        path = _inner(where, _show(name).strip('"'))
        yield Problem(where=path, message=f"unknown argument '{path}'{hint}")


def _complaint(rule: str, value: Any, wanted: Any) -> str:
    match rule:
        case "enum":
            hint = did_you_mean(str(value), wanted)
            return f"must be one of {', '.join(wanted)}; got {_show(value)}{hint}"
        case "type":
            kinds = wanted if isinstance(wanted, str) else " or ".join(wanted)
            return f"must be {kinds}, got {_show(value)}"
        case "minimum":
            return f"is {_show(value)}, less than the minimum of {wanted:g}"
        case "maximum":
            return f"is {_show(value)}, greater than the maximum of {wanted:g}"
        case "minItems" | "minLength":
            return f"must have a length of at least {wanted}, not {len(value)}"
        case "maxItems" | "maxLength":
            return f"must have a length of at most {wanted}, not {len(value)}"
        case "pattern":
            return f"must match {wanted}, got {_show(value)}"
        case "format":
            return f"must be a time such as 2026-01-31T09:30:00+00:00, got {_show(value)}"
        case _:
            return f"has a wrong value: {_show(value)}"


def _show(value: Any) -> str:
    """`value` as short JSON text, safe to put into a sentence."""
    text = ""
    for piece in json.JSONEncoder().iterencode(value):  # piece by piece: it may be large
        text += piece
        if len(text) > _SHOWN:
            return f"{text[:_SHOWN]}..."
    return text
