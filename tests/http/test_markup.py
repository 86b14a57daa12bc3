"""Whatever text goes into a page comes out as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

import nessus_sched
from nessus_sched.results.markup import environment
from nessus_sched.results.untrusted import clean_line

TEMPLATES = sorted(Path(nessus_sched.__file__).parent.glob("*/templates/*.html"))


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


NASTY = st.one_of(
    st.text(),
    st.sampled_from(
        ["<script>alert(1)</script>", '"><img src=x onerror=x>', "&lt;b&gt;", "]]>", "-->", "</b>"]
    ),
)


def shown(text: str) -> str:
    return clean_line(text, 300)


@given(text=NASTY, value=NASTY)
def test_text_and_attributes_stay_what_they_are(text: str, value: str) -> None:
    made = environment("nessus_sched.results", shown, ())
    page = made.from_string('<b title="{{ value }}">{{ text }}{{ nothing }}</b>')
    seen = Reader(page.render(text=text, value=value, nothing=None))
    assert seen.tags == [("b", {"title": shown(value)})]
    assert seen.text == shown(text)


def test_only_markup_is_not_escaped() -> None:
    made = environment("nessus_sched.results", shown, ())
    page = made.from_string("{{ given }}{{ safe }}{{ 1 }}")
    assert page.render(given="<i>", safe=Markup("<i>")) == "&lt;i&gt;<i>1"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_turns_escaping_off_or_leaves_an_attribute_unquoted(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\|\s*safe\b|autoescape|Markup", text)
    assert not re.search(r"=\s*\{\{", text)
