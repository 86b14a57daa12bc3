"""Schemas of attrs classes, and the arguments that fit them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from nessus_sched.api import validation
from nessus_sched.api.operations import Call, Registry, tool
from nessus_sched.api.outcomes.search import SearchArgs
from nessus_sched.api.schema import (
    Unmapped,
    input_schema,
    output_schema,
    shown_answer,
    without_lengths,
)
from nessus_sched.core.fields import field
from nessus_sched.core.secret import Secret


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


@attrs.frozen(kw_only=True)
class Filter:
    name: str = field("Which field.")
    value: str | int | None = field("Compared with.", default=None)


@attrs.frozen(kw_only=True)
class Everything:
    targets: tuple[str, ...] = field("What.", min_length=1, max_length=9, examples=(["a"],))
    count: int = field("How many.", default=3, minimum=1, maximum=10)
    share: float | None = field("How much.", default=None, minimum=0)
    size: Size = field("How big.", default=Size.SMALL)
    word: Literal["yes", "no"] | None = field("A word.", default=None)
    code: str | None = field("A code.", default=None, pattern="^[a-z]+$", max_length=5)
    dry_run: bool = field("Only try.", default=False)
    since: datetime | None = field("From when.", default=None)
    filters: Sequence[Filter] = field("Which ones.", default=())
    settings: Mapping[str, str] = field("Others.", factory=dict)


def test_the_schema_of_arguments() -> None:
    schema = input_schema(Everything)
    assert schema == {
        "type": "object",
        "additionalProperties": False,
        "required": ["targets"],
        "properties": {
            "targets": {
                "description": "What.",
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
                "maxItems": 9,
                "examples": [["a"]],
            },
            "count": {
                "description": "How many.",
                "type": "integer",
                "minimum": 1,
                "maximum": 10,
                "default": 3,
            },
            "share": {"description": "How much.", "type": "number", "minimum": 0},
            "size": {
                "description": "How big.",
                "type": "string",
                "enum": ["small", "large"],
                "default": "small",
            },
            "word": {"description": "A word.", "type": "string", "enum": ["yes", "no"]},
            "code": {
                "description": "A code.",
                "type": "string",
                "maxLength": 5,
                "pattern": "^[a-z]+$",
            },
            "dry_run": {"description": "Only try.", "type": "boolean"},
            "since": {"description": "From when.", "type": "string", "format": "date-time"},
            "filters": {
                "description": "Which ones.",
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["name"],
                    "properties": {
                        "name": {"description": "Which field.", "type": "string"},
                        "value": {"description": "Compared with.", "type": ["string", "integer"]},
                    },
                },
            },
            "settings": {
                "description": "Others.",
                "type": "object",
                "additionalProperties": {"type": "string"},
            },
        },
    }
    Draft202012Validator.check_schema(schema)


def test_no_arguments_at_all() -> None:
    @attrs.frozen
    class Nothing:
        pass

    assert input_schema(Nothing) == {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }
    assert validation.parse(Nothing, None) == Nothing()


@attrs.frozen(kw_only=True)
class Row:
    name: str
    score: float | None


@attrs.frozen(kw_only=True)
class Answer:
    rows: tuple[Row, ...]
    size: Size
    at: datetime
    extra: Mapping[str, Any]
    note: str | None = None


def test_an_answer_fits_its_schema_and_its_text_says_the_same() -> None:
    value = Answer(
        rows=(Row(name="ä", score=None), Row(name="b", score=1.5)),
        size=Size.LARGE,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        extra={"a": [1, None, {"b": "c"}]},
    )
    data, text = validation.answer(value)
    schema = output_schema(Answer)
    assert schema["required"] == ["rows", "size", "at", "extra", "note"]
    Draft202012Validator(schema).validate(data)
    assert json.loads(text) == data
    assert "ä" in text
    assert ", " not in text


def test_an_answer_shows_no_secret_and_no_broken_text() -> None:
    data, text = validation.answer({"a": Secret("hunter2"), "b": "x\ud800y"})
    assert data == {"a": "***", "b": "x?y"}
    text.encode()


def test_types_without_a_schema_are_a_mistake_of_ours() -> None:
    @attrs.frozen
    class Wrong:
        value: complex

    with pytest.raises(Unmapped):
        input_schema(Wrong)


def parse(**arguments: Any) -> Everything:
    return validation.parse(Everything, {"targets": ["a"], **arguments})


def test_good_arguments() -> None:
    found = parse(
        count=2.0, size="large", since="2026-01-31T09:30:00Z", filters=[{"name": "a", "value": 5}]
    )
    assert found == Everything(
        targets=("a",),
        count=2,
        size=Size.LARGE,
        since=datetime(2026, 1, 31, 9, 30, tzinfo=UTC),
        filters=(Filter(name="a", value=5),),
    )


@pytest.mark.parametrize(
    ("sloppy", "meant"),
    [
        ({"targets": '["a","b"]'}, {"targets": ["a", "b"]}),
        ({"targets": "192.0.2.1"}, {"targets": ["192.0.2.1"]}),
        ({"count": "5"}, {"count": 5}),
        ({"dry_run": "true"}, {"dry_run": True}),
        ({"share": "0.5"}, {"share": 0.5}),
        ({"filters": '[{"name":"a"}]'}, {"filters": [{"name": "a"}]}),
        ({"filters": ['{"name":"a"}']}, {"filters": [{"name": "a"}]}),
        ({"filters": {"name": "a"}}, {"filters": [{"name": "a"}]}),
        ({"filters": [{"name": "a", "value": None}]}, {"filters": [{"name": "a"}]}),
        ({"settings": '{"a":"b"}'}, {"settings": {"a": "b"}}),
        ({"share": None, "since": None, "size": None}, {}),
        ({"share": "", "since": "", "size": "", "count": "", "filters": ""}, {}),
        ({"code": "true"}, {"code": "true"}),
    ],
)
def test_sloppy_arguments_are_understood(sloppy: Any, meant: Any) -> None:
    assert parse(**sloppy) == parse(**meant)


@pytest.mark.parametrize("alone", ["severity=critical", {"field": "port", "value": 22}])
def test_a_filter_alone_is_a_list_of_one(alone: Any) -> None:
    assert validation.parse(SearchArgs, {"filters": alone}).filters == [alone]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"targets": None}, "'targets' must be array, got null"),
        ({"targets": []}, "'targets' must have a length of at least 1, not 0"),
        ({"targets": ["a"] * 10}, "'targets' must have a length of at most 9, not 10"),
        ({"targets": [1]}, "'targets[0]' must be string, got 1"),
        ({"targets": "[1]"}, "'targets[0]' must be string, got 1"),
        ({"count": 0}, "'count' is 0, less than the minimum of 1"),
        ({"count": 11}, "'count' is 11, greater than the maximum of 10"),
        ({"count": 1.5}, "'count' must be integer, got 1.5"),
        ({"count": True}, "'count' must be integer, got true"),
        ({"count": "many"}, "'count' must be integer, got \"many\""),
        ({"count": 10**5000}, "'count' must be integer, got Infinity"),
        ({"share": float("nan")}, "'share' must be number, got NaN"),
        ({"share": float("inf")}, "'share' must be number, got Infinity"),
        ({"size": "larg"}, "must be one of small, large; got \"larg\" (did you mean 'large'?)"),
        ({"size": 5}, "'size' must be"),
        ({"code": "A1"}, "'code' must match ^[a-z]+$, got \"A1\""),
        ({"code": "abcdef"}, "'code' must have a length of at most 5, not 6"),
        ({"since": "yesterday"}, "'since' must be a time such as 2026-01-31T09:30:00+00:00"),
        ({"since": "2026-01-31T09:30:00"}, "'since' must be a time such as"),
        ({"filters": [{}]}, "missing required argument 'filters[0].name': Which field."),
        ({"filters": [{"name": "a", "vaule": 1}]}, "(did you mean 'value'?)"),
        ({"filters": "a"}, "'filters' must be array, got \"a\""),
        ({"filters": [{"name": "a", "value": 1.5}]}, "must be string or integer, got 1.5"),
        ({"settings": {"a": 1}}, "'settings.a' must be string, got 1"),
        ({"run": 1}, "unknown argument 'run' (did you mean 'dry_run'"),
        ({"targts": 1}, "unknown argument 'targts' (did you mean 'targets'?)"),
        ({"zzz\n\x1b[2J": 1}, "unknown argument 'zzz\\n\\u001b[2J' (known: targets, count"),
    ],
)
def test_mistakes_are_named(arguments: Any, said: str) -> None:
    with pytest.raises(validation.BadArguments) as caught:
        parse(**arguments)
    assert said in str(caught.value)


def test_all_mistakes_are_named_at_once_with_an_example() -> None:
    with pytest.raises(validation.BadArguments) as caught:
        validation.parse(Everything, {"count": 99, "size": "x", "tragets": 1})
    assert {problem.where for problem in caught.value.problems} == {
        "targets", "count", "size", "tragets",
    }  # fmt: skip
    assert str(caught.value).endswith('Example: {"targets": ["a"]}')
    assert caught.value.code == "invalid_arguments"


def test_the_number_of_problems_is_bounded() -> None:
    with pytest.raises(validation.BadArguments) as caught:
        parse(**{f"x{number}": 1 for number in range(900)})
    assert len(caught.value.problems) == validation.MAX_PROBLEMS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
NAMES = st.sampled_from([*attrs.fields_dict(Everything), "x"]) | st.text()


@pytest.mark.slow
@given(st.dictionaries(NAMES, JSON | JSON.map(json.dumps), max_size=6))
def test_anything_is_an_instance_or_named_mistakes(arguments: dict[str, Any]) -> None:
    outcome = outcome_of(arguments)
    assert isinstance(outcome, Everything) or (outcome.problems and str(outcome))


def outcome_of(arguments: dict[str, Any]) -> Everything | validation.BadArguments:
    try:
        return validation.parse(Everything, arguments)
    except validation.BadArguments as error:
        return error


def test_tools_are_checked_when_they_are_made() -> None:
    @attrs.frozen(kw_only=True)
    class Undocumented:
        a: str

    async def fine(app: Any, call: Call, args: Filter) -> Row:
        """Does it."""
        return Row(name="", score=None)

    async def Wrong(app: Any, call: Call, args: Filter) -> Row:  # noqa: N802 - that is the point
        """Does it."""
        return Row(name="", score=None)

    async def silent(app: Any, call: Call, args: Filter) -> Row:
        return Row(name="", score=None)

    async def undocumented(app: Any, call: Call, args: Undocumented) -> Row:
        """Does it."""
        return Row(name="", score=None)

    made = tool(writes=True)(fine)
    assert (made.name, made.title, made.description) == ("fine", "Fine", "Does it.")
    with pytest.raises(ValueError, match="two tools"):
        Registry((made, made))
    assert len(Registry((made,)).read_only()) == 0
    with pytest.raises(ValueError, match="snake_case"):
        tool(writes=True)(Wrong)
    with pytest.raises(ValueError, match="description"):
        tool(writes=True)(silent)
    with pytest.raises(NameError):  # a local class, which no annotation can name
        tool(writes=True)(undocumented)


def test_models_do_not_read_lengths() -> None:
    @attrs.frozen
    class Args:
        names: list[str] = field("Names.", max_length=9)
        text: str = field("A text.", min_length=1, max_length=5, default="x")

    whole, short = input_schema(Args), without_lengths(input_schema(Args))
    assert whole["properties"]["names"].pop("maxItems") == 9
    assert whole["properties"]["text"].pop("maxLength") == 5
    assert whole["properties"]["text"].pop("minLength") == 1
    assert short == whole


def test_models_read_simple_choices_as_types() -> None:
    @attrs.frozen
    class Args:
        filters: list[dict[str, Any] | str] = field("Filters.", factory=list)

    (shown,) = without_lengths(input_schema(Args))["properties"].values()
    assert shown["items"] == {"type": ["object", "string"]}


@attrs.frozen
class Inner:
    x: int = field("X.")


@attrs.frozen
class Shown:
    task_id: str = field("The task.")
    one: Inner | None = field("One.")
    many: list[Inner] = field("Many.")
    counts: dict[str, int] = field("Counts.")


def test_models_are_shown_the_fields_of_an_answer_but_not_of_objects_inside() -> None:
    whole = output_schema(Shown)
    shown = shown_answer(whole)
    assert shown["properties"] == {
        "task_id": {"description": "The task.", "type": "string"},
        "one": {"description": "One.", "type": ["object", "null"]},
        "many": {"description": "Many.", "type": "array", "items": {"type": "object"}},
        "counts": {
            "description": "Counts.",
            "type": "object",
            "additionalProperties": {"type": "integer"},
        },
    }
    alike = shown_answer(whole, like="get_it")
    assert alike["description"] == "As get_it."
    assert alike["properties"] == {"task_id": {"type": "string"}}
    answer = {"task_id": "t", "one": None, "many": [{"x": 1}], "counts": {"high": 2}}
    for schema in (whole, shown, alike):
        Draft202012Validator(schema).validate(answer)
        with pytest.raises(ValidationError):
            Draft202012Validator(schema).validate({**answer, "task_id": 3})
