"""Reads YAML into plain data, with the line and column of every key and value.

Built on parser events rather than a loader, so that only mappings, lists and scalars of the
YAML 1.2 core schema are constructed, and depth and size are bounded. Anchors, aliases and
tags are refused: a configuration does not need them, and a secret may look like one
(`password: *stars`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import attrs
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from nessus_sched.config.problems import KeyPath, ValueProblem

MAX_DEPTH: Final = 20
MAX_CHARACTERS: Final = 1_000_000

Place = tuple[int, int]
"""Line and column, from 1."""

_NULL: Final = re.compile(r"~|null|Null|NULL|")
_TRUE: Final = re.compile(r"true|True|TRUE")
_FALSE: Final = re.compile(r"false|False|FALSE")
_INT: Final = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_SAFE_QUOTE: Final = re.compile(r"'(?:.|<[a-z ]+>)'", re.DOTALL)

QUOTE_IT: Final = "if this is text, put it in quotes"


@attrs.frozen
class Document:
    """`data` consists of dict, list, str, int, float, bool and None. `places` and `keys`
    hold where each value and each key of a mapping begins."""

    data: Any = None
    places: dict[KeyPath, Place] = attrs.field(factory=dict)
    keys: dict[KeyPath, Place] = attrs.field(factory=dict)
    mistakes: list[tuple[Place, ValueProblem]] = attrs.field(factory=list)

    def place(self, path: KeyPath, *, of_key: bool = False) -> Place:
        """Where the value (or its key) begins; for a missing one, where its parent begins."""
        if of_key and path in self.keys:
            return self.keys[path]
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, (1, 1))


class YamlSyntaxError(Exception):
    """The text is not valid YAML from `place` on."""

    def __init__(self, message: str, place: Place, hint: str = "") -> None:
        super().__init__(message)
        self.place = place
        self.hint = hint


def read_document(text: str) -> Document:
    """Raises `YamlSyntaxError`; recoverable mistakes are in the document's `mistakes`."""
    reader = _Reader(_events(text))
    data = reader.document()
    return attrs.evolve(reader.result, data=data)


def _events(text: str) -> Iterator[Event]:
    """The parser's events; its errors become `YamlSyntaxError`."""
    if len(text) > MAX_CHARACTERS:
        raise YamlSyntaxError(f"longer than {MAX_CHARACTERS} characters", (1, 1))
    place = (1, 1)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            place = _place(event.start_mark)
            yield event
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = _hint(text, mark.index) if mark else ""
        raise YamlSyntaxError(_describe(error), _place(mark) if mark else place, hint) from None
    except YAMLError:
        raise YamlSyntaxError(
            "has a character that YAML does not allow", _first_bad(text)
        ) from None
    except (ValueError, OverflowError):
        # The parser raises these for out-of-range escapes and version numbers.
        raise YamlSyntaxError("has an escape or a number that YAML does not allow", place) from None


def _place(mark: StringMark) -> Place:
    return mark.line + 1, mark.column + 1


def _describe(error: MarkedYAMLError) -> str:
    """The parser's message without quotes from the text, which may be secret."""
    words = ", ".join(part for part in (error.problem, error.context) if part)
    sanitized = _QUOTED.sub(lambda m: m[0] if _SAFE_QUOTE.fullmatch(m[0]) else "'…'", words)
    return f"is not YAML: {sanitized}".replace("\n", " ")


def _hint(text: str, index: int) -> str:
    """A hint for common mistakes at the position where parsing failed."""
    if text[index : index + 1] == "\t":
        return "this is a tab; indent with spaces"
    if text[index - 1 : index + 1] == "${":
        return "put ${...} in quotes inside { } or [ ]"
    if text[index : index + 1] in ("@", "`", "%"):
        return QUOTE_IT
    return ""


def _first_bad(text: str) -> Place:
    before = re.match(r"[\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*", text)
    lines = text[: before.end() if before else 0].split("\n")
    return len(lines), len(lines[-1]) + 1


class _Reader:
    """Recursive descent over the events, with bounded depth."""

    def __init__(self, events: Iterator[Event]) -> None:
        self.events = events
        self.result = Document()

    def document(self) -> Any:
        for event in self.events:
            if isinstance(event, NodeEvent):
                data = self.value(event, ())
                for rest in self.events:
                    if isinstance(rest, NodeEvent):
                        self.note(rest, "a second document; a configuration is one document")
                        break
                return data
        return None

    def note(self, event: Event, message: str, hint: str = "") -> None:
        self.result.mistakes.append((_place(event.start_mark), ValueProblem(message, hint=hint)))

    def value(self, event: Event, path: KeyPath) -> Any:
        self.result.places[path] = _place(event.start_mark)
        if len(path) > MAX_DEPTH:
            raise YamlSyntaxError(f"more than {MAX_DEPTH} levels deep", _place(event.start_mark))
        if isinstance(event, AliasEvent):
            self.note(event, "begins with *, an alias in YAML, which is not supported", QUOTE_IT)
            return None
        assert isinstance(event, NodeEvent)
        if event.anchor is not None:
            self.note(event, "begins with &, an anchor in YAML, which is not supported", QUOTE_IT)
        if getattr(event, "tag", None) is not None:
            self.note(event, "begins with !, a tag in YAML, which is not supported", QUOTE_IT)
        if isinstance(event, MappingStartEvent):
            return self.mapping(path)
        if isinstance(event, SequenceStartEvent):
            return self.sequence(path)
        assert isinstance(event, ScalarEvent)
        return event.value if event.style else plain(event.value)

    def mapping(self, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        while not isinstance(key := next(self.events), MappingEndEvent):
            if not isinstance(key, ScalarEvent):
                self.note(key, "a key must be a plain word")
                self.value(key, (*path, "?"))
                self.value(next(self.events), (*path, "?"))
                continue
            here = (*path, key.value)
            if key.value in result:
                self.note(key, "this key is given twice")
                self.value(next(self.events), (*path, "?"))
                continue
            self.result.keys[here] = _place(key.start_mark)
            result[key.value] = self.value(next(self.events), here)
        return result

    def sequence(self, path: KeyPath) -> list[Any]:
        result: list[Any] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            result.append(self.value(event, (*path, len(result))))
        return result


def plain(text: str) -> Any:
    """An unquoted scalar by the YAML 1.2 core schema: `yes`, `0o17` and dates are text."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return text[0] in "tT"
    if _INT.fullmatch(text):
        # A leading zero means octal to some and decimal to others, so it stays text.
        return text if re.match(r"[-+]?0[0-9]", text) else int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
