"""Files for other programs and for people, with whatever a host may have written into them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.results.catalog import FIELDS, Value
from nessus_sched.results.exports import COLUMNS, Row, cell, csv_lines, json_lines
from nessus_sched.results.model import Finding, HostReport, severity_name
from nessus_sched.results.reports import rendering, technical
from nessus_sched.results.summary import summarize
from nessus_sched.results.untrusted import clean, clean_line
from support.full_rows import flatten
from support.nessus_xml import document, element, host, item, output, read

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"


def rows(data: bytes) -> list[dict[str, Value]]:
    found: list[dict[str, Value]] = []
    present: HostReport | None = None
    for event in read(data)[0]:
        if isinstance(event, HostReport):
            present = event
        if isinstance(event, Finding):
            assert present is not None
            word = severity_name(event.severity)
            found.append({**flatten(present, event), "severity": word})
    return found


SAMPLE = document(
    host(
        "192.0.2.1",
        item(
            1,
            element("cve", "CVE-2024-0001"),
            element("cve", "CVE-2024-0002"),
            element("synopsis", 'one, two\n"three"'),
            element("cvss_base_score", "0.0"),
            element("exploit_available", "false"),
            severity=4,
            port=443,
        ),
        item(2, element("synopsis", '=HYPERLINK("http://example.com")'), output(HOSTILE)),
    )
)


def test_csv_can_be_read_back() -> None:
    lines = "".join(csv_lines(rows(SAMPLE)))
    first, second = csv.DictReader(io.StringIO(lines, newline=""))
    assert list(first) == list(COLUMNS)
    assert first["synopsis"] == 'one, two\n"three"'
    assert first["cve"] == "CVE-2024-0001\nCVE-2024-0002"
    assert (first["port"], first["severity"]) == ("443", "critical")
    assert (first["cvss_score"], first["exploit_available"]) == ("0.0", "false")
    assert (second["cvss_score"], second["exploit_available"]) == ("", "")
    assert second["synopsis"].startswith("'=")


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\uff1d1"]
)
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell(text).startswith("'")
    assert cell((text, "b")).startswith("'")


@given(st.text())
def test_no_text_at_all_is_a_formula(text: str) -> None:
    assert not re.match(r"\s*[=+\-@]", cell(text))


def test_numbers_stay_numbers() -> None:
    assert [cell(value) for value in (-1.5, 0, True, None)] == ["-1.5", "0", "true", ""]


def test_columns_can_be_chosen_and_must_exist() -> None:
    lines = list(csv_lines(rows(SAMPLE), ["plugin_id", "host"]))
    assert lines == ["plugin_id,host\r\n", "1,192.0.2.1\r\n", "2,192.0.2.1\r\n"]
    with pytest.raises(ValueError, match=r"^unknown field 'nope'$"):
        list(csv_lines([], ["nope"]))
    assert set(COLUMNS) <= set(FIELDS)


def test_json_lines_keep_absent_apart_from_zero() -> None:
    first, second = (json.loads(line) for line in json_lines(rows(SAMPLE)))
    assert first["cvss_base_score"] == 0.0
    assert first["exploit_available"] is False
    assert first["cve"] == ["CVE-2024-0001", "CVE-2024-0002"]
    assert "cvss_base_score" not in second
    assert second["plugin_output"] == HOSTILE


class Page(HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words += data


def page(data: bytes, title: str = "Report") -> Page:
    return Page(technical_page(title, summarize(io.BytesIO(data)), rows(data)))


def technical_page(title: str, summary: Mapping[str, Any], found: Iterable[Row]) -> str:
    head = rendering.head("technical", title, scope=title, period="", made="today")
    document = technical.document(title, summary, found)
    return "".join(rendering.page("technical", {**head, **document}))


@pytest.mark.slow
def test_the_page_needs_no_network_and_runs_no_script() -> None:
    found = page(SAMPLE)
    assert not {"script", "link", "img", "iframe", "object"} & set(found.tags)
    assert "svg" in found.tags
    names = {name for name, _ in found.attributes}
    assert not {"src", "href", "onerror", "onclick"} & names
    assert "2 findings on 1 host." in found.words
    assert HOSTILE in found.words


def test_hostile_texts_stay_texts_everywhere() -> None:
    hostile: dict[str, Any] = {"severity": 3, "pluginName": HOSTILE, "protocol": HOSTILE, "port": 1}
    hostile |= {"pluginFamily": HOSTILE, "svc_name": HOSTILE}
    texts = [element(name, HOSTILE) for name in ("synopsis", "solution", "cve", "cvss_base_score")]
    failed = item(104410, output(f"Message : {HOSTILE}"), **hostile)
    data = document(host(HOSTILE, item(1, *texts, output(HOSTILE), **hostile), failed))
    found = page(data, title=HOSTILE)
    assert not {"script", "img"} & set(found.tags)
    assert "onerror" not in {name for name, _ in found.attributes}
    assert found.words.count("<script>") >= 6


@pytest.mark.parametrize(
    ("counts", "label"),
    [
        (
            {"critical": 3, "high": 0, "info": 60},
            "critical: 3. high: 0. medium: 0. low: 0. info: 60. ",
        ),
        ({}, "critical: 0. high: 0. medium: 0. low: 0. info: 0. "),
    ],
)
def test_the_chart_says_its_numbers(counts: Mapping[str, int], label: str) -> None:
    summary = summarize(io.BytesIO(document(host("a", item(1)))))
    found = Page(technical_page("x", {**summary, "severity_counts": counts}, ()))
    assert label in found.words
    assert found.tags.count("rect") == 5


def test_a_long_table_is_cut_and_says_so() -> None:
    data = document(host("a", item(1)))
    many = rows(data) * 5002
    found = Page(technical_page("x", summarize(io.BytesIO(data)), many))
    assert "Only the first 5000" in found.words
    assert found.tags.count("tr") < 5010


# -- untrusted text


def test_controls_and_bidi_marks_are_dropped() -> None:
    assert clean("a\x1b[31mb\x00c\u202ed\u200be\ufefff\u2066g\U000e0041h\x9bi") == "a[31mbcdefghi"
    assert clean("keep: ü 漢字 😀 é\n\tx\r\ny") == "keep: ü 漢字 😀 é\n\tx\ny"
    assert clean_line("a\n\n b\t\u2028c") == "a b c"


@given(st.text(), st.integers(0, 40))
def test_cleaning_bounds_and_settles(text: str, limit: int) -> None:
    cleaned = clean(text, limit)
    assert len(cleaned) <= max(limit, 1)
    assert clean(cleaned, max(limit, 1)) == cleaned
    assert not any(ord(character) < 32 and character not in "\n\t" for character in cleaned)
    if len(clean(text)) <= limit and len(text) <= limit:
        assert cleaned == clean(text)
