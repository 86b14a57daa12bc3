"""Heavy arguments are refused by counting, before anything looks at them more closely."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from jsonschema.exceptions import ValidationError

from nessus_sched.api import validation
from nessus_sched.api.argument_errors import problems_of
from nessus_sched.api.operations import ToolError
from nessus_sched.api.paging import parse_cursor
from nessus_sched.api.tools import TOOLS
from nessus_sched.api.weight import MAX_DEPTH, MAX_ITEMS, MAX_MEMBERS, MAX_TEXT, MAX_TEXTS
from nessus_sched.core.fields import field
from nessus_sched.results.query.input import read_query
from nessus_sched.results.query.model import BadQuery


@attrs.frozen(kw_only=True)
class Args:
    words: list[str] = field("Words.", factory=list, max_length=10_000)
    text: str = field("Text.", default="", max_length=100)
    settings: dict[str, str] = field("Settings.", factory=dict)
    filters: list[dict[str, Any] | str] = field("Filters.", factory=list, max_length=50)


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"words": [1] * 20_000}, "'words' must have a length of at most 10000, not 20000"),
        (
            {"words": json.dumps([1] * (MAX_ITEMS + 10))},
            f"'words' must have a length of at most 10000, not {MAX_ITEMS + 10}",
        ),
        ({"words": json.dumps([1] * 11_000)}, "'words' must have a length of at most 10000"),
        ({"words": "x" * (MAX_TEXT + 1)}, f"'words' must have a length of at most {MAX_TEXT}"),
        ({"words": ["x" * (MAX_TEXT + 1)]}, f"'words[0]' must have a length of at most {MAX_TEXT}"),
        (
            {"words": ["x" * 100_000] * 6},
            f"the arguments have 600005 characters of text, more than {MAX_TEXTS}",
        ),
        ({"text": "x" * 101}, "'text' must have a length of at most 100, not 101"),
        (
            {"settings": {f"n{n}": "" for n in range(MAX_MEMBERS + 1)}},
            f"'settings' must have a length of at most {MAX_MEMBERS}, not {MAX_MEMBERS + 1}",
        ),
        ({"filters": [{}] * 51}, "'filters' must have a length of at most 50, not 51"),
        (
            {"filters": [{"value": [1] * (MAX_MEMBERS + 1)}]},
            f"'filters[0].value' must have a length of at most {MAX_MEMBERS}",
        ),
        ({"filters": nested(MAX_DEPTH + 1)}, f"is nested more than {MAX_DEPTH} deep"),
        ({"other": nested(MAX_DEPTH + 1)}, f"is nested more than {MAX_DEPTH} deep"),
        ({"x" * 300: 1}, "the name of an argument has 300 characters, more than 200"),
        ({f"n{n}": 1 for n in range(2000)}, "the object of arguments must have a length of at"),
    ],
)
def test_too_much_is_refused_with_the_limit(
    arguments: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "problems_of", pytest.fail)
    with pytest.raises(validation.BadArguments) as caught:
        validation.parse(Args, arguments)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_no_more_problems_are_made_than_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ValidationError] = []

    def counted(error: ValidationError) -> Any:
        made.append(error)
        return problems_of(error)

    monkeypatch.setattr(validation, "problems_of", counted)
    with pytest.raises(validation.BadArguments) as caught:
        validation.parse(Args, {"words": [1] * 10_000})
    assert len(made) == len(caught.value.problems) == validation.MAX_PROBLEMS


@pytest.mark.slow
def test_what_is_allowed_still_is() -> None:
    words = [f"192.0.2.{number}" for number in range(10_000)]
    assert validation.parse(Args, {"words": words}).words == words
    assert validation.parse(Args, {"words": json.dumps(words[:5000])}).words == words[:5000]


@pytest.mark.parametrize("tool", [tool.name for tool in TOOLS])
def test_every_list_of_a_tool_has_a_bound(tool: str) -> None:
    found = TOOLS.get(tool)
    assert found is not None
    for name, schema in found.input_schema["properties"].items():
        if schema.get("type") == "array":
            assert schema["maxItems"] <= 10_000, name


def test_a_query_with_too_many_filters_is_refused_without_reading_them() -> None:
    with pytest.raises(BadQuery) as caught:
        read_query({"filters": [{"field": "no such"}] * 100_000, "sort": ["x"] * 100_000})
    assert caught.value.problems == (
        "filters: at most 50; use 'in' for alternatives",
        "sort: at most 5 fields",
    )


@pytest.mark.parametrize("cursor", ["9" * 19, "9" * 40, "-1", "1.5", "٣"])
def test_a_cursor_that_is_no_number_of_ours(cursor: str) -> None:
    with pytest.raises(ToolError, match="not one that list_tasks returned"):
        parse_cursor(cursor, "list_tasks")


def test_the_largest_cursor() -> None:
    assert parse_cursor("9" * 18, "list_tasks") == 10**18 - 1
