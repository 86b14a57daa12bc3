"""The edge between JSON and the program: arguments in, answers out.

Arguments are checked against the very schema that was published, all mistakes are
reported at once, and only then is the attrs instance built.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any, Final, TypeVar, cast

import cattrs
from cattrs.strategies import configure_union_passthrough
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.validators import extend

from nessus_sched.api.argument_errors import Problem, problems_of
from nessus_sched.api.schema import Schema, input_schema
from nessus_sched.api.weight import MAX_ITEMS, items_in, oversized, too_much_text
from nessus_sched.core.secret import MASK, Secret

T = TypeVar("T")

MAX_PROBLEMS: Final = 20
"""Problems that are reported of one call; the search for them ends there."""
_BITS: Final = 64

_formats = FormatChecker(formats=())
_converter = cattrs.Converter(forbid_extra_keys=True)
configure_union_passthrough(str | int | float | bool | None, _converter)


class BadArguments(Exception):
    """The arguments do not match the tool's schema; nothing was done."""

    code: Final = "invalid_arguments"

    def __init__(self, problems: tuple[Problem, ...], example: str) -> None:
        self.problems = problems
        self.example = example
        said = "; ".join(problem.message for problem in problems)
        super().__init__(f"Invalid arguments: {said}. Example: {example}")


def refuse_too_much_text(cls: type, arguments: Mapping[str, Any] | None) -> None:
    """Raises `BadArguments` if the texts together are too long to search for secrets."""
    schema, _validator = _checks(cast(Hashable, cls))
    text = too_much_text(schema, arguments or {})
    _refuse([text] if text else [], schema)


def _refuse_oversized(schema: Schema, given: Mapping[str, Any]) -> None:
    """Raises `BadArguments` if arguments are too long, too many or too deeply nested to
    validate."""
    _refuse(oversized(schema, dict(given)), schema)
    text = too_much_text(schema, given)
    _refuse([text] if text else [], schema)


def parse(cls: type[T], arguments: Mapping[str, Any] | None) -> T:
    """The instance of the attrs class `cls` that `arguments` describe.

    Forgives what hosts and models are known to get wrong: values JSON-encoded in strings,
    null or an empty string for an optional argument, one thing where a list of such is
    wanted, no arguments at all. Raises `BadArguments` with the other mistakes, the first
    `MAX_PROBLEMS` of them.
    """
    schema, validator = _checks(cast(Hashable, cls))
    _refuse_oversized(schema, arguments or {})
    tidy = _repair_arguments(schema, _bounded_ints(dict(arguments or {})))
    _refuse(oversized(schema, tidy), schema)  # what was decoded only now
    errors = validator.iter_errors(tidy)
    _refuse((problem for error in errors for problem in problems_of(error)), schema)
    try:
        return _converter.structure(tidy, cls)
    except cattrs.BaseValidationError as error:
        found = tuple(
            Problem(where="", message=message) for message in cattrs.transform_error(error)
        )
        raise BadArguments(found[:MAX_PROBLEMS], example_of(schema)) from None


def _refuse(problems: Iterable[Problem], schema: Schema) -> None:
    """Raises `BadArguments` if there are `problems`; takes no more of them than it reports."""
    found = sorted(islice(problems, MAX_PROBLEMS), key=lambda problem: problem.where)
    if found:
        raise BadArguments(tuple(found), example_of(schema))


def as_it_is(value: Any) -> Any:
    return value


def answer(value: Any, shown: Callable[[Any], Any] = as_it_is) -> tuple[dict[str, Any], str]:
    """An answer as JSON data, made fit for its reader by `shown`, and as compact JSON text
    that says exactly the same.

    Characters that UTF-8 cannot carry become `?`; a `Secret` becomes its mask.
    """
    data = shown(_converter.unstructure(value))
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text = text.encode("utf-8", "replace").decode()
    return json.loads(text), text


def example_of(schema: Schema) -> str:
    """Correct arguments as JSON text: the required ones, and others that have an example."""
    required = schema.get("required", ())
    chosen = {
        name: _sample(property_)
        for name, property_ in schema["properties"].items()
        if name in required or property_.get("examples")
    }
    return json.dumps(chosen, ensure_ascii=False)


def _sample(schema: Schema) -> Any:
    if schema.get("examples"):
        return schema["examples"][0]
    if "default" in schema:
        return schema["default"]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "array":
        return [_sample(schema["items"])]
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        return {name: _sample(properties[name]) for name in schema.get("required", ())}
    samples = {"string": "...", "integer": 1, "number": 1.0, "boolean": True}
    return samples.get(str(schema.get("type")))


def _bounded_ints(value: Any) -> Any:
    """Replaces integers of thousands of digits, which jsonschema would print and Python refuses
    to."""
    if isinstance(value, dict):
        return {name: _bounded_ints(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_bounded_ints(inner) for inner in value]
    if isinstance(value, int) and value.bit_length() > _BITS:
        return math.inf if value > 0 else -math.inf
    return value


def _repair_arguments(schema: Schema, value: Any) -> Any:
    """Repairs known mistakes of MCP hosts as far as `schema` allows."""
    kind = schema.get("type")
    if isinstance(value, str) and kind in ("object", "array", "integer", "number", "boolean"):
        value = _decoded(schema, value)
    if isinstance(value, str | dict) and kind == "array":
        value = _alone(schema["items"], value)
    if isinstance(value, dict) and "properties" in schema:
        required = schema.get("required", ())
        return {
            name: _repair_arguments(schema["properties"].get(name, {}), inner)
            for name, inner in value.items()
            if inner not in (None, "") or name in required or name not in schema["properties"]
        }
    if isinstance(value, list) and "items" in schema:
        return [_repair_arguments(schema["items"], inner) for inner in value]
    return value


def _decoded(schema: Schema, text: str) -> Any:
    if items_in(text.encode("utf-8", "surrogatepass")) > MAX_ITEMS:
        return text
    try:
        value = _bounded_ints(json.loads(text))
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        value = text
    return value if _is_of(schema["type"], value) else text


def _alone(items: Schema, value: str | dict[str, Any]) -> Any:
    """A list of `value`, where such a thing may stand in the list."""
    kind = "string" if isinstance(value, str) else "object"
    kinds = (each.get("type") for each in items.get("anyOf", (items,)))
    return [value] if kind in kinds else value


def _is_of(kind: str, value: Any) -> bool:
    return bool(_Validator.TYPE_CHECKER.is_type(value, kind))


def _finite_number(_checker: Any, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


_Validator: Any = extend(  # type: ignore[no-untyped-call] # a gap in its stubs
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("number", _finite_number),
)


@cache
def _checks(cls: Hashable) -> tuple[Schema, Any]:
    assert isinstance(cls, type)
    schema = input_schema(cls)
    return schema, _Validator(schema, format_checker=_formats)


@_formats.checks("date-time", raises=ValueError)
def _aware_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@_converter.register_structure_hook
def _structure_time(value: Any, _type: Any) -> datetime:
    return datetime.fromisoformat(value)


# A filter is an object or a text; the schema has checked which it may be.
_converter.register_structure_hook(dict[str, Any] | str, lambda value, _type: value)


@_converter.register_unstructure_hook
def _unstructure_time(value: datetime) -> str:
    return value.isoformat()


@_converter.register_unstructure_hook
def _unstructure_secret(_value: Secret) -> str:
    return MASK
