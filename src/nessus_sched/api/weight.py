"""How heavy a message is, determined before anything expensive happens to it.

Decoding, validating and describing a message cost up to thousands of times more per byte
than receiving it. Counting is cheap, so the counts are bounded first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from nessus_sched.api.argument_errors import Problem
from nessus_sched.api.schema import Schema

MAX_ITEMS: Final = 25_000
"""Values in one message; the largest query that is allowed has some 25,000."""
MAX_DEPTH: Final = 32
MAX_TEXT: Final = 128 * 1024
"""Characters of a text whose schema sets no bound."""
MAX_TEXTS: Final = 512 * 1024
"""Characters of all texts of a call, unless its schema allows longer ones: 10,000 targets have
as many. Looking for secrets in them takes up to a microsecond for each."""
MAX_NAME: Final = 200
"""Characters of an argument's name."""
MAX_MEMBERS: Final = 1000
"""Members of a list or an object whose schema sets no bound."""


def items_in(line: bytes) -> int:
    """An upper bound on the values in JSON text, at a fraction of the cost of decoding it."""
    return line.count(b",") + line.count(b"[") + line.count(b"{")


def weight_of(value: Any) -> int:
    """How much work decoded JSON makes: its values, and its text at 100 characters a value."""
    weight, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        weight += 1
        if isinstance(each, Mapping):
            waiting.extend(each.keys())
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
        elif isinstance(each, str):
            weight += len(each) // 100
    return weight


def too_much_text(schema: Schema, arguments: Mapping[str, Any]) -> Problem | None:
    """What is wrong with all texts of a call together."""
    allowed = sum(each.get("maxLength", 0) for each in schema["properties"].values())
    most, length = max(MAX_TEXTS, allowed), _text_in(arguments)
    if length <= most:
        return None
    message = f"the arguments have {length} characters of text, more than {most}"
    return Problem(where="", message=message)


def _text_in(value: Any) -> int:
    length, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            length += len(each)
        elif isinstance(each, Mapping):
            waiting.extend(each.keys())
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
    return length


def oversized(schema: Schema, value: Any, where: str = "", depth: int = 0) -> Iterator[Problem]:
    """What is too long, too many or too deep in arguments; the rest is not judged."""
    if isinstance(value, str):
        yield from _text(schema, value, where)
    elif depth >= MAX_DEPTH and isinstance(value, list | dict):
        yield Problem(where=where, message=f"'{where}' is nested more than {MAX_DEPTH} deep")
    elif isinstance(value, list):
        yield from _list(schema, value, where, depth)
    elif isinstance(value, dict):
        yield from _object(schema, value, where, depth)


def _text(schema: Schema, text: str, where: str) -> Iterator[Problem]:
    most = schema.get("maxLength", MAX_TEXT)
    if len(text) > most:
        yield _too_long(where, len(text), most)
    elif schema.get("type") in ("array", "object"):  # JSON in a text, perhaps
        count = items_in(text.encode("utf-8", "surrogatepass"))
        if count > MAX_ITEMS:
            yield _too_long(where, count, schema.get("maxItems", MAX_MEMBERS))


def _list(schema: Schema, values: list[Any], where: str, depth: int) -> Iterator[Problem]:
    most = schema.get("maxItems", MAX_MEMBERS)
    if len(values) > most:
        yield _too_long(where, len(values), most)
        return
    inner = schema.get("items", {})
    for place, each in enumerate(values):
        yield from oversized(inner, each, f"{where}[{place}]", depth + 1)


def _object(schema: Schema, values: dict[str, Any], where: str, depth: int) -> Iterator[Problem]:
    if len(values) > MAX_MEMBERS:
        yield _too_long(where, len(values), MAX_MEMBERS)
        return
    known, other = schema.get("properties", {}), schema.get("additionalProperties", {})
    for name, each in values.items():
        if len(name) > MAX_NAME:
            yield Problem(
                where=where,
                message=f"the name of an argument has {len(name)} characters, more than {MAX_NAME}",
            )
            continue
        inner = known.get(name, other if isinstance(other, dict) else {})
        yield from oversized(inner, each, f"{where}.{name}" if where else name, depth + 1)


def _too_long(where: str, length: int, most: int) -> Problem:
    subject = f"'{where}'" if where else "the object of arguments"
    return Problem(
        where=where, message=f"{subject} must have a length of at most {most}, not {length}"
    )
