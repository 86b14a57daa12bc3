"""Lines out of chunks, and what is still known of those that are lost."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.ipc.framing import TOO_LONG, LineBuffer, Lost, id_at_the_ends

BOM = b"\xef\xbb\xbf"


def fed(lines: LineBuffer, *chunks: bytes) -> list[bytes | str]:
    return [
        line.why if isinstance(line, Lost) else line
        for chunk in chunks
        for line in lines.feed(chunk)
    ]


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(1, 9)))
def test_cutting_makes_no_difference(parts: list[bytes], cuts: list[int]) -> None:
    text = b"".join(part + b"\n" for part in parts)
    chunks, rest = [], text
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    seen: list[int] = []
    whole, cut_up = LineBuffer(), LineBuffer(reserve=seen.append)
    assert fed(whole, text) == fed(cut_up, *chunks, rest)
    assert cut_up.length == 0
    assert not seen or seen[-1] == 0


def test_a_byte_order_mark_before_the_first_message_is_skipped() -> None:
    assert fed(LineBuffer(), BOM[:2], BOM[2:] + b"{}\n", BOM + b"{}\n") == [b"{}", BOM + b"{}"]


def test_a_line_that_is_too_long_is_lost_and_the_next_is_not() -> None:
    lines = LineBuffer(max_line=2000)
    assert fed(lines, *[b"x" * 900] * 100, b"\nnext\n") == [TOO_LONG, b"next"]


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ({"jsonrpc": "2.0", "id": 7, "method": "x", "params": {"a": "b" * 5000}}, 7),
        ({"method": "x", "params": {"a": "b" * 5000}, "jsonrpc": "2.0", "id": "q-1"}, "q-1"),
        ({"method": "x", "params": {"a": "b" * 5000}, "id": -3, "jsonrpc": "2.0"}, -3),
        ({"id": 1, "method": "x", "params": {}}, 1),
        ({"method": "x", "params": {"a": "b" * 5000, "id": 7}}, None),
        ({"method": "x", "params": {"id": 7, "a": "b" * 5000}}, None),
        ({"jsonrpc": "2.0", "id": {"id": 4}, "method": "b" * 5000}, None),
        ({"jsonrpc": "2.0", "id": None, "method": "b" * 5000}, None),
    ],
)
def test_the_id_of_a_lost_message_is_found_at_its_ends(
    message: dict[str, object], found: object
) -> None:
    for spaces in ((",", ":"), (", ", ": ")):
        line = json.dumps(message, separators=spaces).encode()
        assert id_at_the_ends(line) == found
        lines = LineBuffer(max_line=1000)
        for lost in lines.feed(line * 1 + b"\n"):
            if isinstance(lost, Lost):
                assert lost.request_id == found
