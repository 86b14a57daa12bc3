"""JSON Schemas (2020-12) of attrs classes: what a tool takes and what it answers.

Inline (no `$ref`: some hosts do not resolve them), `additionalProperties: false`, with the
descriptions, bounds and examples of `core.fields`. The MCP specification wants an object
at the root of both schemas.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, Literal, Union

import attrs

from nessus_sched.core.fields import FieldDoc, doc_of

Schema = dict[str, Any]

_SCALARS: Mapping[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    datetime: {"type": "string", "format": "date-time"},
    Any: {},
    object: {},
}
_ARRAYS = (list, tuple, Sequence, set, frozenset)
_MAPPINGS = (dict, Mapping)


class Unmapped(TypeError):
    """A type that has no schema: a mistake in the program."""


def input_schema(cls: type) -> Schema:
    """The schema of a tool's arguments. A field with a default is optional, and None as
    one of its types only means that it can be left out."""
    return _object(cls, output=False)


def output_schema(cls: type) -> Schema:
    """The schema of an answer: every field is present, a field that may be None can be null."""
    return _object(cls, output=True)


LENGTHS = ("minLength", "maxLength", "minItems", "maxItems", "pattern")
SAID_ONCE = (*LENGTHS, "minimum", "maximum", "additionalProperties")
"""What an argument that another tool describes does not repeat."""


def without_lengths(schema: Schema) -> Schema:
    """A schema of arguments without the lengths and patterns of its lists and texts. They protect
    the daemon, and a refusal names them: a model would read them in every conversation and hardly
    ever need them."""
    properties = {}
    for name, each in schema["properties"].items():
        left_out = LENGTHS if "description" in each else SAID_ONCE
        properties[name] = _simple({key: v for key, v in each.items() if key not in left_out})
    return {**schema, "properties": properties}


def _simple(schema: Schema) -> Schema:
    """The same schema, said shorter: objects of anything, and a choice of nothing but types."""
    found = {key: value for key, value in schema.items() if value != {}}
    if "items" in found:
        found["items"] = _simple(found["items"])
    if "anyOf" in found:
        members = [_simple(each) for each in found.pop("anyOf")]
        bare = all(each.keys() == {"type"} for each in members)
        found |= {"type": [each["type"] for each in members]} if bare else {"anyOf": members}
    return found


HANDLES = (
    "task_id",
    "status",
    "settled",
    "scanner_instance",
    "created",
    "rescan_of",
    "notes",
    "next",
)
"""Fields of an answer that are named even where another tool explains that answer."""


def shown_answer(schema: Schema, like: str = "") -> Schema:
    """What models are shown of the schema of an answer: the fields with their types, a description
    of those at the top, and objects inside them without their fields, which an answer shows
    better. Every field is there in every answer, so `required` would only repeat the names. An
    answer `like` that of another tool has its handles only."""
    properties = schema["properties"]
    if not like:
        return {"type": "object", "properties": {n: _brief(p) for n, p in properties.items()}}
    named = {name: properties[name] for name in HANDLES if name in properties}
    types_only = {name: _brief(_undescribed(each)) for name, each in named.items()}
    return {"type": "object", "description": f"As {like}.", "properties": types_only}


def _undescribed(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "description"}


def _brief(schema: Schema) -> Schema:
    """The schema without what objects in it consist of."""
    if schema.get("type") == "object":
        kept: Schema = {key: schema[key] for key in ("description", "type") if key in schema}
        inner = schema.get("additionalProperties")
        simple = isinstance(inner, dict) and inner.keys() == {"type"}
        return {**kept, "additionalProperties": inner} if simple else kept
    if "items" in schema:
        return {**schema, "items": _brief(schema["items"])}
    if "anyOf" in schema:
        return _simple({**schema, "anyOf": [_brief(each) for each in schema["anyOf"]]})
    return schema


def _object(cls: type, *, output: bool) -> Schema:
    hints = typing.get_type_hints(cls)
    properties: Schema = {}
    required: list[str] = []
    for attribute in attrs.fields(cls):
        optional = attribute.default is not attrs.NOTHING
        inherited = attribute.name not in cls.__annotations__ and "EXPLAINS" not in vars(cls)
        properties[attribute.name] = _property(
            attribute, hints[attribute.name], output=output, inherited=inherited
        )
        if output or not optional:
            required.append(attribute.name)
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = required
    return schema


def _property(
    attribute: attrs.Attribute[Any], hint: Any, *, output: bool, inherited: bool
) -> Schema:
    schema = _schema_of(hint, output=output)
    doc = doc_of(attribute)
    if doc is not None and doc.once and inherited:
        schema = {**schema, **_bounds(attrs.evolve(doc, examples=()), schema)}
    elif doc is not None:
        schema = {"description": doc.doc, **schema, **_bounds(doc, schema)}
    default = attribute.default
    said = doc is None or not (doc.once and inherited)
    if said and not output and isinstance(default, str | int | float) and default:
        schema["default"] = default  # without one, false, 0 or an empty text
    return schema


def _bounds(doc: FieldDoc, schema: Schema) -> Schema:
    shortest, longest = (
        ("minItems", "maxItems") if schema.get("type") == "array" else ("minLength", "maxLength")
    )
    bounds = {
        "minimum": doc.minimum,
        "maximum": doc.maximum,
        shortest: doc.min_length,
        longest: doc.max_length,
        "pattern": doc.pattern,
        "examples": list(doc.examples) or None,
    }
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _schema_of(hint: Any, *, output: bool) -> Schema:
    if hint in _SCALARS:
        return dict(_SCALARS[hint])
    origin = typing.get_origin(hint)
    if origin is Literal:
        return {"type": "string", "enum": list(typing.get_args(hint))}
    if origin in (Union, types.UnionType):
        return _union(typing.get_args(hint), output=output)
    if origin is not None and issubclass(origin, _MAPPINGS):
        return {
            "type": "object",
            "additionalProperties": _schema_of(typing.get_args(hint)[1], output=output),
        }
    if origin is not None and issubclass(origin, _ARRAYS):
        return {"type": "array", "items": _schema_of(typing.get_args(hint)[0], output=output)}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"type": "string", "enum": [member.value for member in hint]}
    if attrs.has(hint):
        return _object(hint, output=output)
    raise Unmapped(f"no JSON Schema for {hint!r}")


def _union(members: Sequence[Any], *, output: bool) -> Schema:
    schemas = [_schema_of(member, output=output) for member in members if member is not type(None)]
    if output and len(schemas) < len(members):
        schemas.append({"type": "null"})
    if len(schemas) == 1:
        return schemas[0]
    if all(schema.keys() == {"type"} for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    return {"anyOf": schemas}
