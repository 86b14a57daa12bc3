"""Delivery: at least once, in order, whatever dies; what is refused, and what waits."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import trio

from nessus_sched.config.schema import RetentionSettings
from nessus_sched.core.delivery.message import Message
from nessus_sched.core.delivery.outbox import MessageState
from nessus_sched.core.states import TaskState
from nessus_sched.delivery import lanes, router, service
from nessus_sched.delivery.service import UnknownRoute
from nessus_sched.delivery.sinks.port import Failure, SinkFailed
from support.mortality import Life, mortal, mortal_connect
from support.post_office import PostOffice, TestSink, config, down, post_office, route
from support.stored import START, a_request

DAY = 86400.0


async def some_ends(office: PostOffice, count: int) -> list[str]:
    """Dead tasks, for routes to report; their names in order."""
    names = [f"task {number}" for number in range(count)]
    for name in names:
        await office.end(TaskState.DEAD, request=a_request(name=name))
    return [f"Task {number} (failed)" for number in range(count)]


async def test_a_sink_that_was_down_for_a_day_gets_everything_in_order(
    tmp_path: Path, autojump_clock: object
) -> None:
    """Another route is not held up."""
    async with post_office(config(tmp_path, route(), route("other"))) as office:
        await trio.sleep(3)
        sink = office.sinks["soc"]
        sink.fails = down
        expected = await some_ends(office, 5)
        await trio.sleep(60)
        assert office.sinks["other"].titles == expected
        await trio.sleep(DAY)
        (status, _) = await office.delivery.statuses()
        assert (status.error, status.backlog.waiting) == ("nobody answers", 5)
        assert status.since is not None
        assert status.since < START + 100
        sink.fails = lambda _: None
        await trio.sleep(lanes.LONGEST_WAIT + 60)
        (status, _) = await office.delivery.statuses()
    assert sink.titles == expected
    assert (status.error, status.since, status.backlog.waiting) == (None, None, 0)
    waits = [later - earlier for earlier, later in zip(sink.tries, sink.tries[1:], strict=False)]
    assert waits[0] < 3
    assert lanes.LONGEST_WAIT / 2 <= max(waits) <= lanes.LONGEST_WAIT
    assert len(sink.tries) < 80


async def test_what_a_sink_refuses_steps_aside(tmp_path: Path, autojump_clock: object) -> None:
    def refuses_first(message: Message) -> SinkFailed | None:
        first = message.title.startswith("Task 0")
        return SinkFailed("it said a secret of the sink", Failure.REFUSED) if first else None

    async with post_office(config(tmp_path, route())) as office:
        await trio.sleep(3)
        office.sink.fails = refuses_first
        _, *expected = await some_ends(office, 3)
        await trio.sleep(60)
        assert office.sink.titles == expected
        (dead,) = await office.store.outbox.items()
        assert (dead.state, dead.tries, dead.error) == (MessageState.DEAD, 1, "it said ***")
        rows = await office.store.journal(limit=100)
        assert rows[-1].entry.event == "message_dead"
        office.sink.fails = lambda _: None
        retried = await office.delivery.retry([dead.message.message_id], None, actor="cli:bob")
        assert retried == [dead.message.message_id]
        await trio.sleep(1)
        assert office.sink.titles == [*expected, "Task 0 (failed)"]
        rows = await office.store.journal(limit=100)
        assert (rows[-1].entry.event, rows[-1].entry.actor) == ("messages_retried", "cli:bob")
        assert rows[-1].entry.detail["message_ids"] == retried


async def test_a_reload_may_give_a_route_another_sink(
    tmp_path: Path, autojump_clock: object
) -> None:
    """What waits goes there."""
    async with post_office(config(tmp_path, route(), route("other"))) as office:
        await trio.sleep(3)
        office.sinks["soc"].fails = down
        expected = await some_ends(office, 2)
        await trio.sleep(60)
        office.sinks["other"].taken.clear()
        office.configure(config(tmp_path, route(sink="other"), route("other")))
        await trio.sleep(3)
    assert office.sinks["other"].titles == expected


async def test_trouble_is_what_lasts(tmp_path: Path, autojump_clock: object) -> None:
    async with post_office(config(tmp_path, route())) as office:
        await trio.sleep(3)
        office.sink.fails = down
        await some_ends(office, 1)
        await trio.sleep(service.PATIENCE - 10)
        assert office.delivery.troubles() == []
        await trio.sleep(60)
        (trouble,) = office.delivery.troubles()
        assert trouble == "route soc has failed for 5 min: nobody answers"
        office.configure(config(tmp_path))
        await trio.sleep(3)
        (trouble,) = office.delivery.troubles()
        assert trouble == "1 message of route soc, which is no longer configured"
        (orphan,) = (await office.delivery.orphans()).items()
        assert (orphan[0], orphan[1].waiting) == ("soc", 1)


async def test_a_message_is_stored_once(tmp_path: Path, autojump_clock: object) -> None:
    async with post_office(config(tmp_path, route())) as office:
        await trio.sleep(3)
        office.sink.fails = down
        await some_ends(office, 1)
        await trio.sleep(60)
        (item,) = await office.store.outbox.items()
        position = (await office.store.outbox.positions())["soc"]
        await office.store.outbox.put(position, [item.message], at=START)
        assert await office.store.outbox.items() == [item]


async def test_what_needs_an_operator_is_tried_rarely_and_at_once_when_asked(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with post_office(config(tmp_path, route())) as office:
        await trio.sleep(3)
        office.sink.fails = lambda _: SinkFailed("wrong password", Failure.HOLD)
        await some_ends(office, 1)
        await trio.sleep(lanes.HOLD_WAIT * 3)
        assert len(office.sink.tries) == 3
        (status,) = await office.delivery.statuses()
        assert status.next_try is not None
        office.sink.fails = lambda _: None
        await office.delivery.retry([], "soc", actor="cli:bob")
        await trio.sleep(1)
    assert office.sink.titles == ["Task 0 (failed)"]


@pytest.mark.slow
async def test_it_is_given_up_after_a_week(tmp_path: Path, autojump_clock: object) -> None:
    async with post_office(config(tmp_path, route())) as office:
        await trio.sleep(3)
        office.sink.fails = down
        await some_ends(office, 2)
        await trio.sleep(4 * DAY)
        assert (await office.store.outbox.backlogs())["soc"].dead == 0
        await trio.sleep(4 * DAY)
        backlog = (await office.store.outbox.backlogs())["soc"]
        assert (backlog.waiting, backlog.dead) == (1, 1)
        dropped = await office.delivery.drop([], "soc", actor="cli:bob")
        assert len(dropped) == 1
        assert (await office.store.outbox.backlogs())["soc"].dead == 0


async def test_dead_letters_are_kept_for_their_time(tmp_path: Path, autojump_clock: object) -> None:
    kept = RetentionSettings(dead=3 * DAY)
    async with post_office(config(tmp_path, route(), retention=kept)) as office:
        await trio.sleep(3)
        office.sink.fails = lambda _: SinkFailed("no", Failure.REFUSED)
        await some_ends(office, 2)
        await trio.sleep(2 * DAY)
        assert (await office.store.outbox.backlogs())["soc"].dead == 2
        await trio.sleep(2 * DAY)
        assert await office.store.outbox.backlogs() == {}
        rows = await office.store.journal(limit=100)
        assert [row.entry.event for row in rows].count("messages_expired") == 1


async def test_a_sink_may_ask_to_wait_but_not_for_ever(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with post_office(config(tmp_path, route())) as office:
        await trio.sleep(3)
        office.sink.fails = lambda _: SinkFailed("busy", Failure.TRY_AGAIN, retry_after=1e9)
        await some_ends(office, 1)
        await trio.sleep(lanes.LONGEST_WAIT * 2.5)
    assert [round(at - office.sink.tries[0], -2) for at in office.sink.tries] == [0, 3600, 7200]


async def test_the_outbox_of_a_route_is_bounded_and_the_journal_keeps_the_rest(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router, "MOST_WAITING", 5)
    monkeypatch.setattr(router, "PAGE", 4)
    async with post_office(config(tmp_path, route())) as office:
        await trio.sleep(3)
        office.sink.fails = down
        expected = await some_ends(office, 30)
        await trio.sleep(60)
        assert (await office.store.outbox.backlogs())["soc"].waiting <= 8
        pruned = await office.store.prune_journal(before=START + 9e9, at=START)
        assert pruned == 0  # its tasks are stored
        await office.store.purge(list(TaskState), before=START + 9e9, at=START)
        await office.store.prune_journal(before=START + 9e9, at=START)
        (position,) = (await office.store.outbox.positions()).values()
        rows = await office.store.outbox.journal(after=0, limit=1)
        assert rows[0].seq == position.seq + 1
        office.sink.fails = lambda _: None
        await trio.sleep(2 * lanes.LONGEST_WAIT)
    # What is said of purged tasks is lost, not the rows of those that are read.
    assert office.sink.titles == expected[: len(office.sink.titles)]


async def test_rows_that_no_route_reads_are_pruned(tmp_path: Path, autojump_clock: object) -> None:
    async with post_office(config(tmp_path)) as office:
        await some_ends(office, 3)
        await office.store.purge(list(TaskState), before=START + 9e9, at=START)
        assert await office.store.prune_journal(before=START + 9e9, at=START) == 9


async def test_every_message_survives_a_death_at_any_step(
    tmp_path: Path, autojump_clock: object
) -> None:
    """A death before and after each commit, and before and after each message is taken: all are
    delivered, the first time in order, and a repetition has the id of the first."""
    for index, when in enumerate(("before", "after")):
        step = 0
        while await _dies_at(tmp_path / f"{index}-{step}", step, when):
            step += 1
        assert step >= 12


async def _dies_at(directory: Path, death: int, when: str) -> bool:
    """Whether it died: at that step of reading and delivering three ends of tasks."""
    directory.mkdir()
    settings = config(directory, route(), route("other", on=("dead",)))
    async with post_office(settings) as office:
        await trio.sleep(3)
    async with post_office(settings, running=False) as office:
        expected = await some_ends(office, 3)
    life, steps = Life(), 0

    def step(_what: str, moment: str) -> None:
        nonlocal steps
        if moment == when and not life.dead:
            if steps == death:
                life.die()
            steps += 1

    sinks = {name: TestSink(name, step=step) for name in ("soc", "other")}
    connect = mortal_connect(life, step)
    async with mortal(life), post_office(settings, sinks=sinks, connect=connect):
        await trio.sleep(60)
    for sink in sinks.values():
        sink.step = lambda _what, _when: None
    async with post_office(settings, sinks=sinks) as office:
        await trio.sleep(60)
        assert await office.store.outbox.items() == []
    for sink in sinks.values():
        first = {message.message_id: message.title for message in reversed(sink.taken)}
        assert list(dict.fromkeys(sink.titles)) == expected, (death, when)
        assert sorted(first.values()) == sorted(expected)
        assert len(sink.taken) <= len(expected) + 1
    return life.dead


async def test_the_id_of_a_message_is_not_that_of_another_store(
    tmp_path: Path, autojump_clock: object
) -> None:
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        async with post_office(config(tmp_path / name, route())) as office:
            await trio.sleep(3)
            await office.end(TaskState.DEAD, actor=f"cli:{name}")
            await trio.sleep(3)
        found += [message.message_id for message in office.sink.taken]
    assert len(set(found)) == 2


async def test_a_disk_that_fails_for_a_while(tmp_path: Path, autojump_clock: object) -> None:
    life, random = Life(), Random(3)
    connect = mortal_connect(life, lambda _what, _when: None)
    async with post_office(config(tmp_path, route()), connect=connect) as office:
        await trio.sleep(3)
        expected = await some_ends(office, 4)
        for _ in range(10):
            life.disk_fails = not life.disk_fails
            await trio.sleep(random.uniform(0, 20))
        life.disk_fails = False
        await trio.sleep(60)
    assert list(dict.fromkeys(office.sink.titles)) == expected


async def test_what_was_taken_is_not_sent_again_while_the_disk_is_full(
    tmp_path: Path, autojump_clock: object
) -> None:
    life = Life()
    connect = mortal_connect(life, lambda _what, _when: None)
    async with post_office(config(tmp_path, route()), connect=connect) as office:
        await trio.sleep(3)
        office.sink.seconds = 30.0
        expected = await some_ends(office, 2)
        await trio.sleep(20)
        life.disk_fails = True
        await trio.sleep(3600)
        assert office.sink.titles == expected[:1]
        life.disk_fails = False
        await trio.sleep(120)
        assert office.sink.titles == expected
        assert await office.store.outbox.items() == []


async def test_a_full_disk_and_a_sink_that_is_down_at_once(
    tmp_path: Path, autojump_clock: object
) -> None:
    """Attempts that cannot be counted are not repeated every few seconds."""
    life = Life()
    connect = mortal_connect(life, lambda _what, _when: None)
    async with post_office(config(tmp_path, route()), connect=connect) as office:
        await trio.sleep(3)
        office.sink.fails = down
        expected = await some_ends(office, 1)
        await trio.sleep(20)
        life.disk_fails = True
        await trio.sleep(3600)
        assert len(office.sink.tries) < 10
        life.disk_fails, office.sink.fails = False, lambda _: None
        await trio.sleep(120)
        assert office.sink.titles == expected


async def test_a_sample_passes_the_outbox(tmp_path: Path, autojump_clock: object) -> None:
    async with post_office(config(tmp_path, route())) as office:
        assert await office.delivery.test("soc", actor="cli:bob") is None
        (message,) = office.sink.taken
        assert message.kind == "sample"
        assert message.title == "This is a test of route soc: nothing has happened"
        office.sink.fails = lambda _: SinkFailed("a secret of the sink", Failure.HOLD)
        assert await office.delivery.test("soc", actor="cli:bob") == "***"
        with pytest.raises(UnknownRoute, match="did you mean 'soc'"):
            await office.delivery.test("sock", actor="cli:bob")


async def test_a_preview_sends_nothing(tmp_path: Path, autojump_clock: object) -> None:
    async with post_office(config(tmp_path, route())) as office:
        await some_ends(office, 2)
        await trio.sleep(DAY)
        await office.note("scanner_down", scanner_instance="east")
        await trio.sleep(60)
        before = list(office.sink.taken)
        whole = await office.delivery.preview("soc", START - DAY)
        part = await office.delivery.preview("soc", office.wall() - DAY / 2)
        assert office.sink.taken == before
    assert whole.title == "2 tasks to look at, 1 event"
    assert part.title == "Scanner east cannot be used"
