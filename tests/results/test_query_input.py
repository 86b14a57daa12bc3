"""Reading queries: every form that has a plain meaning, and errors that help."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.results.catalog import FIELDS
from nessus_sched.results.query.input import read_query
from nessus_sched.results.query.model import (
    DEFAULT_PAGE_SIZE,
    JOINED_PROFILES,
    OPTIONAL,
    PROFILES,
    BadQuery,
    Condition,
    Match,
    Op,
    Query,
    SortKey,
)


def condition_of(raw: Any) -> Condition:
    (condition,) = read_query({"filters": [raw]}).conditions
    return condition


def problems_of(raw: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(BadQuery) as caught:
        read_query(raw)
    return caught.value.problems


def test_nothing_asked_is_the_brief_profile_in_the_default_order() -> None:
    read = read_query({})
    assert attrs.evolve(read, joined=(), shown=(), optional=OPTIONAL) == Query()
    assert read.shown == (*PROFILES["brief"], *JOINED_PROFILES["brief"])
    assert Query().fields == PROFILES["brief"]
    assert Query().page_size == DEFAULT_PAGE_SIZE


def test_profiles_hold_what_they_promise() -> None:
    minimal = (
        "host", "port", "protocol", "severity", "plugin_id", "plugin_name", "cve",
        "cvss_score", "exploit_available", "cisa_kev", "compliance_check_name",
        "compliance_result",
    )  # fmt: skip
    summary = (*minimal, "host_fqdn", "cvss3_base_score", "synopsis")
    assert PROFILES["minimal"] == minimal
    assert PROFILES["summary"] == summary
    assert PROFILES["brief"] == (
        *summary, "compliance_policy_value", "compliance_actual_value", "description", "solution"
    )  # fmt: skip
    assert PROFILES["full"] == tuple(FIELDS)
    assert all(name in FIELDS for fields in PROFILES.values() for name in fields)


def test_fields_replace_the_default_profile_and_extend_a_named_one() -> None:
    assert read_query({"fields": ["port", "host"]}).fields == ("port", "host")
    asked = {"profile": "minimal", "fields": ["svc_name", "host"]}
    assert read_query(asked).fields == (*PROFILES["minimal"], "svc_name")


@pytest.mark.parametrize(
    ("raw", "op", "value"),
    [
        ({"field": "severity", "op": ">=", "value": "high"}, Op.AT_LEAST, 3),
        ({"field": "Severity", "op": "gte", "value": "3"}, Op.AT_LEAST, 3),
        ("severity>=High", Op.AT_LEAST, 3),
        ("severity in high, critical", Op.IN, (3, 4)),
        ("severity not in [info,low]", Op.NOT_IN, (0, 1)),
        ({"field": "severity", "op": "=", "value": ["high", 4]}, Op.IN, (3, 4)),
        ({"field": "severity", "op": "!=", "value": ["info"]}, Op.NOT_IN, (0,)),
        ({"field": "severity", "value": "Informational"}, Op.EQUAL, 0),
        ("cve~2021-44228", Op.CONTAINS, "2021-44228"),
        ("cve contains 2021-44228", Op.CONTAINS, "2021-44228"),
        ("cve!~2021", Op.NOT_CONTAINS, "2021"),
        ({"field": "cve", "op": "not_contains", "value": "2021"}, Op.NOT_CONTAINS, "2021"),
        ("plugin_name = 'a >= b'", Op.EQUAL, "a >= b"),
        ("plugin_name=a=b", Op.EQUAL, "a=b"),
        ({"field": "plugin_name", "value": 7}, Op.EQUAL, "7"),
        ("exploit_available=true", Op.EQUAL, True),
        ("exploit_available is not yes", Op.UNEQUAL, True),
        ({"field": "exploit_available", "value": False}, Op.EQUAL, False),
        ("solution is absent", Op.ABSENT, None),
        ("solution is not absent", Op.PRESENT, None),
        ("solution exists", Op.PRESENT, None),
        ({"field": "solution", "op": "present", "value": False}, Op.ABSENT, None),
        ({"field": "solution", "op": "=", "value": None}, Op.ABSENT, None),
        ({"field": "solution", "op": "!=", "value": None}, Op.PRESENT, None),
        ("cvss3_base_score>7.5", Op.GREATER, 7.5),
        ("cvss3-base-score <= 10", Op.AT_MOST, 10),
        ("port<1024", Op.LESS, 1024),
        ("port<>0", Op.UNEQUAL, 0),
        ("patch_publication_date<2024/03/01", Op.LESS, "2024-03-01"),
        ("host_started_at>=2024-05-31T12:00:00Z", Op.AT_LEAST, 1717156800.0),
        ("host_started_at>=2024-05-31T14:00:00+02:00", Op.AT_LEAST, 1717156800.0),
        ("host_started_at=1717156800", Op.EQUAL, 1717156800.0),
    ],
)
def test_filters_are_read_in_all_their_forms(raw: Any, op: Op, value: Any) -> None:
    condition = condition_of(raw)
    assert (condition.op, condition.value) == (op, value)
    assert condition.field in FIELDS


def test_a_single_filter_need_not_be_in_a_list() -> None:
    assert read_query({"filters": "port=1"}).conditions == (condition_of("port=1"),)


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ("-severity", SortKey(field="severity", descending=True)),
        ("severity desc", SortKey(field="severity", descending=True)),
        ("host", SortKey(field="host")),
        ("host ASC", SortKey(field="host")),
        ({"field": "host", "order": "desc"}, SortKey(field="host", descending=True)),
        ({"field": "host"}, SortKey(field="host")),
    ],
)
def test_sort_keys_are_read_in_all_their_forms(raw: Any, key: SortKey) -> None:
    assert read_query({"sort": [raw]}).sort == (key,)


def test_all_problems_are_told_at_once_each_with_its_place() -> None:
    problems = problems_of(
        {
            "profile": "breif",
            "fields": ["host", "plugin_nam"],
            "filters": ["sevirity>=high", "severity>=huge", {"field": "port", "op": "bigger"}],
            "match": "every",
            "sort": ["cve"],
            "page_size": 0,
            "limit": 3,
        }
    )
    places = [problem.split(":")[0] for problem in problems]
    assert places == [
        "unknown key 'limit' (valid",
        "profile", "fields[1]", "filters[0]", "filters[1]", "filters[2]", "match", "sort[0]",
        "page_size", "Usual fields",
    ]  # fmt: skip
    text = "\n".join(problems)
    for hint in ("'brief'", "'plugin_name'", "'severity'", "info, low, medium, high, critical"):
        assert hint in text
    assert all(name in problems[-1] for name in PROFILES["summary"])
    assert len(problems[-1]) < 500


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("cvss>=7", "did you mean 'cvss_score'"),
        ("kev=true", "did you mean 'cisa_kev'"),
        ("exploit_available~yes", "(valid: =, !=, present, absent)"),
        ("plugin_name>a", "'>' does not apply"),
        ("exploit_available=maybe", "true or false"),
        ("severity>5", "0 to 4"),
        ("severity=2.5", "0 to 4"),
        ("port=http", "a number"),
        ("host=192.0.2.0/99", "a network such as 192.0.2.0/24"),
        ("host contains 192.0.2.0/24", "for a network write ="),
        ("host_ip~192.0.2.1-20", "for a network write ="),
        ("cvss_score>nan", "a number"),
        ("cvss_score>1e999", "a number"),
        ({"field": "port", "value": True}, "a number"),
        ({"field": "cve", "value": True}, "a text"),
        ({"field": "cve", "op": "in", "value": []}, "a list of 1 to"),
        ({"field": "cve", "op": "in", "value": ["x"] * 501}, "a list of 1 to 500"),
        ({"field": "cve", "op": "~", "value": "\ud800"}, "valid Unicode"),
        ({"field": "cve", "op": "~", "value": "x" * 1001}, "1 to 1000 characters"),
        ({"field": "cve", "op": "~"}, "needs a value"),
        ({"field": "cve", "op": "present", "value": "x"}, "takes no value"),
        ({"field": "cve", "operator": "~", "value": "x"}, "unknown key 'operator'"),
        ({"op": "~", "value": "x"}, '{"field": "severity"'),
        ("patch_publication_date>2024", "2024-05-31"),
        ("host_started_at>yesterday", "2024-05-31T12:00:00Z"),
        ("severity", "severity>=high"),
        ("cve~", "needs a value"),
        (7, '{"field": "severity"'),
    ],
)
def test_an_error_says_what_is_valid(raw: Any, expected: str) -> None:
    assert expected in "\n".join(problems_of({"filters": [raw]}))


def test_too_much_is_refused() -> None:
    assert "at most 50" in problems_of({"filters": ["port=1"] * 51})[0]
    assert "at most 5" in problems_of({"sort": ["port"] * 6})[0]
    assert "1 to 1000" in problems_of({"page_size": 1001})[0]


def test_match_is_read() -> None:
    assert read_query({"match": "ANY"}).match is Match.ANY


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
_KEYS = ["profile", "fields", "filters", "match", "sort", "page_size", "cursor"]
_FILTER = st.fixed_dictionaries(
    {"field": st.sampled_from(list(FIELDS))},
    optional={"op": st.sampled_from(list(Op)) | st.text(), "value": _JSON},
)


@pytest.mark.slow
@pytest.mark.parametrize("key", ["filters", "page_size", "profile", "match", "sort", "fields"])
def test_an_error_repeats_little_of_what_was_given(key: str) -> None:
    with pytest.raises(BadQuery) as caught:
        read_query({key: "x" * 100_000})
    assert all(len(problem) < 1000 for problem in caught.value.problems[:1])


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(_KEYS), _JSON | st.lists(_JSON | _FILTER)))
def test_any_json_is_a_query_or_a_bad_query(raw: dict[str, Any]) -> None:
    with suppress(BadQuery):
        query = read_query(raw)
        assert set(query.fields) <= set(FIELDS)


@given(st.text())
def test_any_text_is_a_filter_or_a_bad_query(text: str) -> None:
    for written in (text, f"host{text}", f"severity>={text}", f"cve {text}"):
        with suppress(BadQuery):
            assert condition_of(written).field in FIELDS
