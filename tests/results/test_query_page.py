"""Pages within a bound, and cursors."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.results.catalog import FIELDS
from nessus_sched.results.query.cursor import Cursor, decode_cursor, encode_cursor, fingerprint
from nessus_sched.results.query.input import read_query
from nessus_sched.results.query.model import BadQuery
from nessus_sched.results.query.page import Page, fit, notes, severity_counts

_VALUES = st.none() | st.integers() | st.text(max_size=3000) | st.lists(st.text(max_size=200))
_ROWS = st.lists(st.dictionaries(st.sampled_from(["host", "cve", "solution"]), _VALUES), max_size=8)


def size(rows: tuple[Any, ...]) -> int:
    return len(json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode())


@pytest.mark.slow
@given(rows=_ROWS, max_bytes=st.integers(600, 20_000))
def test_what_fits_is_a_beginning_of_the_rows_within_the_bound(
    rows: list[dict[str, Any]], max_bytes: int
) -> None:
    fitted = fit(rows, max_bytes)
    assert size(fitted.rows) <= max_bytes + 2  # the brackets
    assert len(fitted.rows) >= min(1, len(rows))
    for row, small in zip(rows, fitted.rows, strict=False):
        assert list(row) == list(small)
        for name, value in row.items():
            if small[name] != value:
                assert fitted.shortened > 0
                shown, _, mark = (
                    small[name] if isinstance(value, str) else small[name][-1]
                ).rpartition("… (+")
                assert mark.endswith((" characters)", " more)"))
                assert value[: len(shown)] == shown or isinstance(value, list)


def test_without_a_bound_nothing_is_cut() -> None:
    rows = [{"a": "x" * 100_000}] * 3
    assert fit(rows, None).rows == tuple(rows)
    assert fit(rows, None).shortened == 0


def test_a_cut_text_says_how_much_is_missing() -> None:
    long = {"a": "x" * 10_000, "b": ["y" * 10] * 500, "c": "short"}
    row, _ = fit([long, {"c": "next"}], 4000).rows
    assert row["a"] == "x" * 500 + "… (+9500 characters)"
    assert row["b"] == ["y" * 10] * 50 + ["… (+450 more)"]
    assert row["c"] == "short"


def test_the_text_of_a_single_row_is_cut_only_as_needed() -> None:
    text = "word " * 1000
    assert fit([{"a": text}], 6000).rows == ({"a": text},)
    (row,) = fit([{"a": text}], 4000).rows
    assert 2500 < len(row["a"]) <= 4000


def test_a_page_for_a_model_has_fewer_rows_of_dense_text() -> None:
    def fitting(text: str, max_bytes: int) -> int:
        return len(fit([{"a": text}] * 100, max_bytes).rows)

    plain, dense = "word " * 60, "4F 8A " * 50
    assert len(plain) == len(dense)
    assert fitting(plain, 20_000) > 1.5 * fitting(dense, 20_000)
    assert fitting(plain, 2**20) == fitting(dense, 2**20) == 100


def test_even_a_row_with_all_fields_full_of_text_fits() -> None:
    row = dict.fromkeys(FIELDS, "漢" * 5000)
    fitted = fit([row, row], 12_000)
    assert len(fitted.rows) == 1
    assert size(fitted.rows) <= 12_000


def test_notes_tell_what_is_missing_and_how_to_get_less() -> None:
    page = Page(
        rows=({"host": "h"},), total=30, severities={"critical": 4, "info": 26},
        next_cursor="c", left_out=9, shortened=2,
    )  # fmt: skip
    text = " ".join(notes(page, max_bytes=5000))
    for part in ("1 of 30", "next_cursor", "9 rows", "5000 bytes", "minimal"):
        assert part in text
    assert "severity>=critical (4 findings)" in text
    assert "2 long values" in text
    assert notes(Page(rows=(), total=0, severities={}), max_bytes=5000) == ()


def test_severity_counts_are_named_from_critical_down() -> None:
    counts = severity_counts([1, 0, 2, 0, 3, 4])
    assert counts == {"critical": 1, "medium": 2, "info": 3, "unknown": 4}
    assert list(counts) == ["critical", "medium", "info", "unknown"]


CURSOR = Cursor(question="ab" * 6, scan=3, after=77, counts=(1, 2, 3, 4, 5, 6), checks=(0,) * 11)
AUDITED = attrs.evolve(CURSOR, checks=tuple(range(11)))


@pytest.mark.parametrize("cursor", [CURSOR, AUDITED])
def test_a_cursor_survives_its_journey(cursor: Cursor) -> None:
    assert decode_cursor(encode_cursor(cursor), cursor.question) == cursor


@given(st.data())
def test_a_miscopied_cursor_is_noticed(data: st.DataObject) -> None:
    text = encode_cursor(CURSOR)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("aZ0_-é") | st.just(""))
    broken = text[:place] + other + text[place + 1 :]
    with suppress(BadQuery):
        assert decode_cursor(broken, CURSOR.question) == CURSOR


@pytest.mark.parametrize("text", ["", "A", "AAAA", "é", "x" * 5000, "=", "AAAAAAAA-_"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(BadQuery, match="damaged"):
        decode_cursor(text, CURSOR.question)


def test_a_cursor_of_another_question_is_refused() -> None:
    with pytest.raises(BadQuery, match="another question"):
        decode_cursor(encode_cursor(CURSOR), "cd" * 6)


def test_fields_and_page_size_may_change_from_page_to_page_and_nothing_else() -> None:
    asked: dict[str, Any] = {"filters": ["severity>=high"], "sort": ["host"]}
    base = fingerprint(read_query(asked), "t")
    same: list[dict[str, Any]] = [{"profile": "full"}, {"page_size": 3}, {"cursor": "abc"}]
    for change in same:
        assert fingerprint(read_query(asked | change), "t") == base
    other: list[dict[str, Any]] = [
        {"filters": ["severity>high"]},
        {"sort": ["-host"]},
        {"match": "any"},
    ]
    for change in other:
        assert fingerprint(read_query(asked | change), "t") != base
    assert fingerprint(read_query(asked), "u") != base
