"""Whatever text goes into the status page comes out as text."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.http.markup import Markup, element, fragment, table
from nessus_sched.results.untrusted import clean_line


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


@given(text=NASTY, value=NASTY)
def test_text_and_attributes_stay_what_they_are(text: str, value: str) -> None:
    seen = Reader(element("b", text, title=value))
    assert seen.tags == [("b", {"title": clean_line(value)})]
    assert seen.text == clean_line(text, 300)


@given(cells=st.lists(NASTY, min_size=2, max_size=2))
def test_a_table_has_the_cells_it_was_given(cells: list[str]) -> None:
    seen = Reader(table(("a", "#b"), [cells]))
    assert [tag for tag, _ in seen.tags].count("td") == 2
    assert seen.tags[-1] == ("td", {"class": "number"})


def test_only_markup_is_not_escaped() -> None:
    assert fragment("<i>", Markup("<i>"), None, 1) == "&lt;i&gt;<i>1"
    assert element("meta", http_equiv="x", class_=None) == '<meta http-equiv="x">'
