"""Known secrets are masked in whatever form a text quotes them, and nothing else is."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nessus_sched.core.masking import SHORTEST, Masker
from nessus_sched.core.secret import MASK, Secret

QUOTED: tuple[Callable[[str], str], ...] = (
    str,
    lambda text: quote(text, safe=""),
    quote,
    quote_plus,
    lambda text: re.sub("%..", lambda escape: escape[0].lower(), quote(text, safe="")),
    json.dumps,
    lambda text: json.dumps(text).replace("/", "\\/"),
    lambda text: json.dumps(json.dumps({"error": text})),
    lambda text: json.dumps(text, ensure_ascii=False),
    html.escape,
    lambda text: b64encode(text.encode()).decode(),
    lambda text: b64encode(f"x:{text}".encode()).decode(),
    lambda text: urlsafe_b64encode(f"us:{text}:".encode()).decode(),
    lambda text: text.encode().hex(),
)
secrets = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")),
    min_size=SHORTEST,
    max_size=40,
)
texts = st.text(max_size=30)


@given(secrets, st.sampled_from(QUOTED), texts, texts, st.integers(0, 5000))
def test_a_secret_is_masked_however_it_is_quoted(
    secret: str, quoted: Callable[[str], str], before: str, after: str, padding: int
) -> None:
    masker = Masker([Secret(secret)])
    text = f"{before}{'word ' * (padding // 5)}\n{quoted(secret)}\n{after}"
    assert masker.finds(text)
    shown = masker(text)
    assert MASK in shown
    assert quoted(secret) not in shown
    assert not masker.finds(shown) or secret in MASK * 3


@given(st.lists(secrets, max_size=5), st.text())
def test_a_text_without_secrets_stays_as_it_is(known: list[str], text: str) -> None:
    masker = Masker(map(Secret, known))
    if not masker.finds(text):
        assert masker(text) == text


@pytest.mark.parametrize("cut", ["…", "..."])
@given(secret=secrets, text=texts, data=st.data())
def test_a_secret_that_was_cut_is_masked(
    cut: str, secret: str, text: str, data: st.DataObject
) -> None:
    kept = data.draw(st.integers(SHORTEST, len(secret)))
    assume(not cut.startswith(secret[kept : kept + 1] or "-"))  # not cut there, as it seems
    shown = Masker([Secret(secret)])(f"{text} {secret[:kept]}{cut}")
    assert shown.endswith(cut)
    assert secret[:kept] not in shown.removeprefix(text)


def test_a_key_is_masked_line_by_line() -> None:
    lines = [f"{number}abcdefghijklmnopqrstuvwxyz/+{number}" for number in range(3)]
    masker = Masker([Secret("\n".join(lines))])
    for line in lines:
        assert masker(f"error in {line!r}") == "error in '***'"
    assert masker(json.dumps("\n".join(lines))) == '"***"'


def test_a_secret_that_contains_another_is_masked_whole() -> None:
    assert Masker([Secret("canary"), Secret("canary-long")])("canary-long") == MASK


def test_a_short_secret_is_not_looked_for() -> None:
    assert Masker([Secret("admin")])("the admin page") == "the admin page"


def test_old_secrets_stay_known() -> None:
    masker = Masker([Secret("old-secret")])
    masker.know([Secret("new-secret")])
    assert masker("old-secret, new-secret") == "***, ***"


def test_data_is_masked_in_its_values() -> None:
    masker = Masker([Secret("hunter22")])
    data = {"hunter22": ["a hunter22", 5, None, {"b": 'say "hunter22"'}]}
    assert masker.masked(data) == {"hunter22": ["a ***", 5, None, {"b": 'say "***"'}]}


def test_a_secret_that_was_cut_is_found_among_other_texts() -> None:
    mask = Masker([Secret("correct-horse-battery-staple")])
    others = [f"text {number}" for number in range(50)]
    assert mask.masked({"a": ["said correct-horse-b…", *others]})["a"] == ["said ***…", *others]
