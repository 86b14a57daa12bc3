"""What is too long for a model is cut, counted and said; people get it whole."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.types import Implementation
from trio.testing import MockClock

from nessus_sched.api.paging import tokens_of
from nessus_sched.api.tools import TOOLS
from nessus_sched.api.untrusted import CLOSE, fenced
from nessus_sched.mcp.bounded import MOST, bounded, fitted
from support.apps import app_of
from support.mcp_app import client_streams, wire
from support.tokens import tokens_in
from support.world import one_scanner

SPARED = [f"*.department-{number}.building-{number}.example.com" for number in range(1000)]
_LEAVES = st.integers() | st.sampled_from(["", "a word", "4F 8A " * 500, "word " * 3000])
_ROWS = st.lists(_LEAVES | st.dictionaries(st.sampled_from("xyz"), _LEAVES), max_size=4)
_LISTS = st.builds(lambda rows, times: rows * times, _ROWS, st.integers(1, 60))
_DOCUMENTS = st.dictionaries(
    st.sampled_from(["a", "b", "notes"]),
    _LISTS | _LEAVES | st.dictionaries(st.sampled_from("xyz"), _LISTS),
)


def test_a_short_answer_is_as_it_was() -> None:
    answer = {"rows": [1, 2, 3], "notes": ["n"]}
    assert fitted(answer) is answer


def test_the_longest_list_is_cut_and_the_note_counts_what_is_missing() -> None:
    answer = {
        "task_id": "t",
        "plan": {"rows": [{"host": f"192.0.2.{n}", "port": n} for n in range(5000)], "few": [1, 2]},
        "notes": ["before"],
    }
    short = fitted(answer)
    assert tokens_of(short) <= MOST
    assert (short["task_id"], short["plan"]["few"]) == ("t", [1, 2])
    kept = short["plan"]["rows"]
    assert kept == answer["plan"]["rows"][: len(kept)]  # type: ignore[index]
    assert len(kept) > 400
    cut, before = short["notes"]
    assert cut.startswith(f"plan.rows: {5000 - len(kept)} items left out")
    assert before == "before"


def test_an_answer_without_notes_gets_them() -> None:
    short = fitted({"settings": {f"name {n}": "4F 8A" for n in range(3000)}})
    assert len(short["settings"]) < 3000
    assert "settings: " in short["notes"][0]


def test_a_cut_text_keeps_its_fence() -> None:
    short = fitted({"rows": [{"text": fenced("4F 8A " * 9000)}]})
    assert short["rows"][0]["text"].endswith(f"…{CLOSE}")
    assert "rows[0].text: " in short["notes"][0]
    assert "characters left out" in short["notes"][0]


@pytest.mark.slow
@given(document=_DOCUMENTS)
def test_any_answer_fits(document: dict[str, Any]) -> None:
    whole = json.dumps(document)
    short = bounded(lambda value: value)(document)
    assert json.dumps(document) == whole
    if tokens_of(document) > MOST:
        assert tokens_of(short) <= MOST
        assert short["notes"]


async def test_a_model_gets_what_fits_and_the_command_line_everything(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    lengths = {}
    async with one_scanner(tmp_path) as (w, _):
        for name in ("some-assistant", "nessus-sched"):
            async with AsyncExitStack() as stack:
                stream = await stack.enter_async_context(wire(cast(Any, app_of(w)), tools=TOOLS))
                streams, client_info = client_streams(stream), Implementation(name=name, version="")
                client = await stack.enter_async_context(
                    Client(streams, mode="legacy", client_info=client_info)
                )
                scan = {"targets": ["192.0.2.1"], "exclude": SPARED}
                definition = {"name": "wide", "scan": scan, "cron": "0 2 * * mon", "replace": True}
                await client.call_tool("create_schedule", definition)
                found = await client.call_tool("list_schedules", {"name": "wide"})
                (text,) = (each.text for each in found.content if each.type == "text")
                data = json.loads(text)
                lengths[name] = len(data["schedules"][0]["definition"]["scan"]["exclude"])
                if name == "some-assistant":
                    assert tokens_in(text) < 10_000
                    assert "definition.scan.exclude: " in data["notes"][0]
                else:
                    assert "notes" not in data
    assert lengths["nessus-sched"] > lengths["some-assistant"] > 300
