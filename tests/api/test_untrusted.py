"""Texts of hosts between fences that they cannot leave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.api.untrusted import CLOSE, OPEN, fenced, mark_row_untrusted

tricks = st.sampled_from([OPEN, CLOSE, "</ untrusted >", "< UNTRUSTED", "\u202e", "\x1b[2J", "<"])


@pytest.mark.slow
@given(st.lists(st.one_of(tricks, st.text(max_size=20)), max_size=10).map("".join))
def test_nothing_in_a_text_opens_or_closes_its_fence(text: str) -> None:
    shown = fenced(text)
    inside = shown.removeprefix(OPEN).removesuffix(CLOSE)
    assert shown == f"{OPEN}{inside}{CLOSE}"
    plain = "".join(inside.lower().split())
    assert "<untrusted" not in plain
    assert "</untrusted" not in plain


def test_free_texts_of_hosts_are_fenced_and_names_are_cleaned() -> None:
    row = {"host": "a\u202eb", "plugin_output": "hi", "compliance_actual_value": None, "port": 5}
    assert mark_row_untrusted(row) == {
        "host": "ab",
        "plugin_output": f"{OPEN}hi{CLOSE}",
        "compliance_actual_value": None,
        "port": 5,
    }
