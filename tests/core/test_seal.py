"""Markers: only those that we made count, and only at the end of a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.seal import Mark, Seal, bears, imitates_marker, without_mark, without_markers
from nessus_sched.core.targets.targets import other_targets

KEY = b"k" * 32
SEAL = Seal(KEY)
IDS = st.from_regex(r"t-[0-9a-z]{14}", fullmatch=True)
ATTEMPTS = st.integers(1, 10**9 - 1)


@pytest.mark.slow
@given(IDS, ATTEMPTS, st.text())
def test_a_marker_is_read_from_the_end_of_any_name(task_id: str, attempt: int, name: str) -> None:
    marker = SEAL.mark(task_id, attempt)
    expected = Mark(task_id=task_id, attempt=attempt, sealed=True)
    assert SEAL.read(f"{name} {marker}") == expected
    assert bears(f"{name} {marker}", SEAL.marks(task_id, attempt))


@given(IDS, ATTEMPTS, st.text(min_size=1))
def test_behind_a_marker_there_is_nothing(task_id: str, attempt: int, more: str) -> None:
    marker = SEAL.mark(task_id, attempt)
    if not more.endswith(marker):
        assert SEAL.read(marker + more) != Mark(task_id=task_id, attempt=attempt, sealed=True)
        assert not bears(marker + more, SEAL.marks(task_id, attempt))


@given(IDS, ATTEMPTS, st.data())
def test_a_changed_marker_is_none(task_id: str, attempt: int, data: st.DataObject) -> None:
    marker = SEAL.mark(task_id, attempt)
    at = data.draw(st.integers(0, len(marker) - 1))
    letter = data.draw(st.sampled_from("0123456789abcdefghijklmnopqrstuvwxyz.[]-N\uff1a"))
    changed = marker[:at] + letter + marker[at + 1 :]
    if changed != marker:
        found = SEAL.read(changed)
        assert found is None or not found.sealed


@given(IDS, ATTEMPTS)
def test_another_store_has_other_markers(task_id: str, attempt: int) -> None:
    marker = SEAL.mark(task_id, attempt)
    assert Seal(b"l" * 32).read(marker) is None
    assert SEAL.mark(task_id, attempt + 1)[-17:] != marker[-17:]
    assert "kkk" not in repr(SEAL)


def test_a_marker_without_digest_proves_nothing() -> None:
    assert SEAL.read("x [ns:t-23456789abcdef.1]") == Mark(
        task_id="t-23456789abcdef", attempt=1, sealed=False
    )
    assert not bears("x [ns:t-23456789abcdef.1]", SEAL.marks("t-23456789abcdef", 1))
    assert bears("x [ns:t-23456789abcdef.1]", SEAL.marks("t-23456789abcdef", 1, plain=True))


IMITATIONS = (
    "[ns:t-1.1]",
    "weekly [ns: x",
    "[NS:t-1.1]",
    "[ ns :",
    "\uff3bns:t-1.1\uff3d",
    "[\uff4e\uff53:t-1.1]",
    "[n\u200bs:t-1.1]",
    "[ns\u00ad:t-1.1]",
    "[ns\uff1at-1.1]",
    "\ufe47ns:",
)


@pytest.mark.parametrize("text", IMITATIONS)
def test_what_looks_like_a_marker_is_noticed_and_made_harmless(text: str) -> None:
    assert imitates_marker(text)
    assert not imitates_marker(without_markers(text))


@given(st.text())
def test_nothing_can_become_a_marker_by_being_made_harmless(text: str) -> None:
    assert not imitates_marker(without_markers(text))
    assert imitates_marker(text) or without_markers(text) == text


@pytest.mark.parametrize(
    ("ours", "shown", "other"),
    [
        (("192.0.2.0/24",), None, ()),
        (("192.0.2.0/24",), "", ()),
        (("192.0.2.0/24",), "192.0.2.0/24", ()),
        (("192.0.2.0/24",), "192.0.2.7, 192.0.2.9-192.0.2.11", ()),
        (("192.0.2.0/24",), "192.0.2.0/23", ("192.0.2.0/23",)),
        (("192.0.2.1", "192.0.2.130"), "192.0.2.1,192.0.2.13", ()),
        (("192.0.2.1", "192.0.2.130"), "192.0.2.9,192.0.2.13", ("192.0.2.9", "192.0.2.13")),
        (("192.0.2.1", "198.51.100.0/24"), "192.0.2.1,198.51...", ()),
        (("www.example.com",), "www.example.com[192.0.2.1]", ()),
        (("www.example.com",), "mail.example.com[192.0.2.1]", ("mail.example.com[192.0.2.1]",)),
        (("2001:db8::/126",), "2001:db8::1,2001:db8::2", ()),
        (("2001:db8::/126",), "2001:db8::9", ("2001:db8::9",)),
        ((), "192.0.2.1", ("192.0.2.1",)),
    ],
)
def test_targets_that_are_not_ours(
    ours: tuple[str, ...], shown: str | None, other: tuple[str, ...]
) -> None:
    assert other_targets(ours, shown) == other


@pytest.mark.parametrize("name", ["", "Web servers", "[ns] is not one", "[ns:x] weekly"])
def test_people_see_the_name_without_our_marker(name: str) -> None:
    for mark in SEAL.marks("t-abcdefghijklmn", 3, plain=True):
        assert without_mark(f"{name} {mark}".strip()) == name
    assert without_mark(name) == name
