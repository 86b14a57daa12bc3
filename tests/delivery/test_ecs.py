"""Events for SIEMs: names of the Elastic Common Schema, bounds, and identity."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.core.delivery.message import MessageKind
from nessus_sched.delivery.ecs import LINES, LONGEST, events_of
from support.counterparts import full_document, message

KEYWORD, LONG, DATE, IP, TEXT = "keyword", "long", "date", "ip", "match_only_text"
SCHEMA: Final = {
    "@timestamp": DATE,
    "message": TEXT,
    "ecs.version": KEYWORD,
    "event.action": KEYWORD,
    "event.category": KEYWORD,
    "event.dataset": KEYWORD,
    "event.id": KEYWORD,
    "event.kind": KEYWORD,
    "event.module": KEYWORD,
    "event.outcome": KEYWORD,
    "event.provider": KEYWORD,
    "event.reason": KEYWORD,
    "event.severity": LONG,
    "event.start": DATE,
    "event.type": KEYWORD,
    "error.code": KEYWORD,
    "error.message": TEXT,
    "host.ip": IP,
    "host.name": KEYWORD,
    "observer.name": KEYWORD,
    "observer.product": KEYWORD,
    "observer.vendor": KEYWORD,
    "related.hosts": KEYWORD,
    "related.ip": IP,
    "rule.id": KEYWORD,
    "rule.name": KEYWORD,
    "rule.ruleset": KEYWORD,
    "trace.id": KEYWORD,
    "vulnerability.description": KEYWORD,
    "vulnerability.report_id": KEYWORD,
    "vulnerability.scanner.vendor": KEYWORD,
    "vulnerability.severity": KEYWORD,
}
"""The published names and types of the fields that we use (ECS 8.11)."""
ARRAYS: Final = {"event.category", "event.type", "host.ip", "related.ip", "related.hosts"}
KINDS: Final = {"event", "state"}
OURS: Final = ("labels.", "nessus_sched.")
"""`labels` has our own keys, with keywords as values; `nessus_sched` is outside of ECS."""


def flat(fields: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in fields.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def lines(document: Mapping[str, Any], **options: Any) -> list[dict[str, Any]]:
    return [json.loads(event.json) for event in events_of(message(document, **options))]


def test_names_and_types_are_those_of_the_schema() -> None:
    seen = set()
    for line in lines(full_document(), task_id="t-1"):
        for name, value in flat(line):
            if name.startswith(OURS):
                assert not name.startswith("labels.") or isinstance(value, str)
                continue
            seen.add(name)
            assert isinstance(value, list) == (name in ARRAYS), name
            for each in value if isinstance(value, list) else [value]:
                assert isinstance(each, int if SCHEMA[name] is LONG else str), name
        assert line["event"]["kind"] in KINDS
        if line["event"]["kind"] == "state":
            # The type that the schema expects in this category.
            assert (line["event"]["category"], line["event"]["type"]) == (
                ["vulnerability"],
                ["info"],
            )
    assert seen == set(SCHEMA)


def test_a_line_per_task_event_and_host_of_a_finding() -> None:
    told = lines(full_document(), title="5 new")
    assert [line["message"] for line in told] == [
        "5 new",
        "Task weekly DMZ: failed: the window closed",
        "scanner east cannot be used: no answer",
        "new: Example Server < 2.4.1 Remote Code Execution (critical) on 192.0.2.7",
        "new: Example Server < 2.4.1 Remote Code Execution (critical) on web.example.com",
        "new: Example Server < 2.4.1 Remote Code Execution (critical) on 3 more hosts",
        "fixed: Example Server < 2.4.1 Remote Code Execution (medium) on 192.0.2.7",
        "fixed: Example Server < 2.4.1 Remote Code Execution (medium) on web.example.com",
        "fixed: Example Server < 2.4.1 Remote Code Execution (medium) on 3 more hosts",
    ]
    assert [line["event"]["severity"] for line in told] == [0, 2, 3, 4, 4, 4, 0, 0, 0]
    assert [line["event"].get("outcome") for line in told] == [None, "failure"] + [None] * 7
    assert told[3]["host"] == {"name": "192.0.2.7", "ip": ["192.0.2.7"]}
    assert told[4]["host"] == {"name": "web.example.com"}
    assert "host" not in told[5]


def test_each_attempt_gives_the_same_ids_and_no_id_twice() -> None:
    told, again = lines(full_document()), lines(full_document())
    assert told == again
    ids = [line["event"]["id"] for line in told]
    assert len(set(ids)) == len(ids)
    assert all(name.startswith("soc.41.") for name in ids)


@pytest.mark.parametrize("kind", list(MessageKind))
def test_an_empty_message_is_one_line(kind: MessageKind) -> None:
    (line,) = lines({}, title="Nothing has changed", kind=kind)
    assert (line["message"], line["event"]["action"]) == ("Nothing has changed", kind)


@pytest.mark.slow
def test_what_does_not_fit_is_counted() -> None:
    group = full_document()["groups"][0]
    group |= {"where": [f"h{n}" for n in range(LINES + 500)], "hosts": LINES + 500}
    told = lines({"groups": [group]})
    assert len(told) == LINES
    assert told[-1]["nessus_sched"]["left_out"] == 502
    assert told[-1]["event"]["action"] == "left_out"


odd = st.text(max_size=400) | st.text("\U0001f600\u202e\x00\n<|", min_size=300, max_size=900)


@pytest.mark.slow
@given(name=odd, solution=odd, host=odd, title=odd)
def test_odd_texts_stay_one_short_line_of_ascii(
    name: str, solution: str, host: str, title: str
) -> None:
    document = full_document([host])
    document["groups"][0] |= {"plugin_name": name, "solution": solution}
    document["tasks"][0] |= {"name": name, "partial": solution}
    document["events"][0] |= {"text": name}
    for event in events_of(message(document, title=title)):
        line = event.json
        assert len(line) <= LONGEST
        assert line.isascii()
        assert b"\n" not in line
        texts = [text for _, text in flat(json.loads(line)) if isinstance(text, str)]
        assert all(text.isprintable() for text in texts)
