"""`routes` and `outbox` against a running daemon whose webhook is a server of this test."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import trio

from nessus_sched.core.clock import system_now
from nessus_sched.core.delivery.message import Message, MessageKind
from nessus_sched.core.delivery.outbox import RoutePosition
from nessus_sched.core.journal import JournalEntry
from nessus_sched.store.tasks.store import TaskStore
from support.command import one_sentence, typed
from support.live_daemon import Live, asked, submitted
from support.stored import START


def received(live: Live, task_id: str) -> list[dict[str, Any]]:
    bodies = [json.loads(body) for body in list(live.received)]
    return [
        body for body in bodies if task_id in {task["task_id"] for task in body.get("tasks", [])}
    ]


def until(what: Any) -> Any:
    """The first true answer, within the time that pytest allows."""
    while not (found := what()):
        time.sleep(0.05)  # noqa: TID251
    return found


def test_the_end_of_a_task_is_sent(live: Live) -> None:
    task_id = submitted(live, "192.0.2.41", "--name", "to be told")
    (body,) = until(lambda: received(live, task_id))
    assert (body["route"], body["kind"]) == ("soc", "event")
    assert body["tasks"][0]["name"] == "to be told"


def test_routes_are_listed_tested_and_previewed(live: Live) -> None:
    routes = {each["name"]: each for each in asked(live, "routes list", "routes", "list")["routes"]}
    assert routes["soc"]["sink_kind"] == "webhook"
    assert routes["soc"]["error"] is None
    assert routes["week"]["next_digest"] is not None
    said = live("routes", "list")
    assert "hook (webhook)" in said.out
    assert asked(live, "routes test", "routes", "test", "soc")["delivered"]
    assert any(json.loads(body)["kind"] == "sample" for body in live.received)
    failed = live("routes", "test", "nobody")
    assert (failed.code, "not delivered: " in failed.err) == (1, True)
    unknown = live("routes", "test", "socc")
    assert unknown.code == 1
    assert "there is no route 'socc' (did you mean 'soc'?)" in unknown.err
    previewed = asked(live, "routes preview", "routes", "preview", "week", "--since", "1h")
    assert previewed["title"]
    assert live("routes", "preview", "week").out.startswith(previewed["title"][:3])


def test_what_is_refused_is_a_dead_letter(live: Live) -> None:
    task_id = submitted(live, "192.0.2.42", "--name", "refuse me")

    def dead() -> list[dict[str, Any]]:
        found = asked(live, "outbox list", "outbox", "list", "--dead")["messages"]
        return [each for each in found if each["task_id"] == task_id]

    (message,) = until(dead)
    assert (message["route"], message["tries"]) == ("soc", 1)
    assert message["error"].startswith("HTTP status 400")
    assert message["message_id"] in live("outbox", "list", "--route", "soc").out.replace("\n", "")
    assert asked(live, "outbox list", "outbox", "list", "--route", "week")["messages"] == []
    retried = asked(live, "outbox retry", "outbox", "retry", message["message_id"])
    assert retried == {"message_ids": [message["message_id"]]}
    again = until(dead)[0]
    assert again["message_id"] == message["message_id"]
    dropped = asked(live, "outbox drop", "outbox", "drop", message["message_id"])
    assert dropped == {"message_ids": [message["message_id"]]}
    assert dead() == []
    gone = live("outbox", "drop", message["message_id"])
    assert gone.code == 1
    assert "not in the outbox" in gone.err
    assert live("outbox", "drop").code == 2


def test_messages_of_a_route_that_does_not_exist(live: Live) -> None:
    for words in (("list",), ("retry",), ("drop",), ("list", "--dead")):
        said = live("outbox", *words, "--route", "socc")
        one_sentence(said, 1, "there is no route 'socc' (did you mean 'soc'?)")
    assert live("outbox", "drop", "--route", "week").err == "0 messages dropped\n"


def test_all_dead_letters_of_a_route_are_dropped_and_what_waits_is_kept(live: Live) -> None:
    task_id = submitted(live, "192.0.2.42", "--name", "refuse me")

    def dead() -> set[str]:
        found = asked(live, "outbox list", "outbox", "list", "--dead", "--route", "soc")
        return {each["message_id"] for each in found["messages"] if each["task_id"] == task_id}

    ids = until(dead)
    first = asked(live, "outbox list", "outbox", "list", "-n", "1")
    assert len(first["messages"]) == 1
    assert ids <= set(asked(live, "outbox drop", "outbox", "drop", "--route", "soc")["message_ids"])
    assert dead() == set()
    rows = {each["name"]: each for each in asked(live, "routes list", "routes", "list")["routes"]}
    assert rows["soc"]["dead"] == 0


def test_doctor_reports_messages_that_nobody_takes(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"state_directory: {tmp_path / 'state'}\nhttp: {{bind: null}}\n")

    async def fill() -> None:
        (tmp_path / "state").mkdir(mode=0o700)
        async with TaskStore.open(tmp_path / "state", now=lambda: START) as store:
            for number, name in enumerate(("dead", "waits", "new")):
                message = Message(
                    message_id=name, route=name, kind=MessageKind.EVENT, at=START, title=name,
                    document={},
                )  # fmt: skip
                stored = system_now() if name == "new" else START
                position = RoutePosition(route=name, seq=0, digest_at=START)
                await store.outbox.put(position, [message], at=stored)
                if name == "dead":
                    entry = JournalEntry(at=START, event="message_dead")
                    await store.outbox.failed(number + 1, "no", entry=entry)

    trio.run(fill)
    said = typed("doctor", "--config", str(file), "--json")
    steps = [step["message"] for step in said.json["steps"] if step["check"] == "messages"]
    assert steps[0] == "route dead has 1 dead letter"
    assert steps[1].startswith("route waits has not delivered for ")
    assert len(steps) == 2
