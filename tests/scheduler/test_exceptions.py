"""The register of exceptions in virtual time: decisions, ends, notices, the clock and the disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock

from nessus_sched.config.exceptions import ExceptionSettings
from nessus_sched.config.schema import Config
from nessus_sched.core.exceptions.exception import Decision, FindingException, PluginFacts
from nessus_sched.core.exceptions.rule import ExceptionKind, read_rule
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.errors import NotPossible, RequestError, StoreDown
from nessus_sched.scheduler.exceptions import (
    Decider,
    Exceptions,
    SecondPersonNeeded,
    UnknownException,
)
from nessus_sched.store.executor import Inline
from nessus_sched.store.tasks.store import TaskStore
from support.bare import bare_context
from support.world import EPOCH, virtual_now

BOB = Decider(actor="uid:1001")
HOUR = 3600.0


@attrs.frozen
class Bare:
    """A store and a context: no scanner is polled while days pass."""

    context: Context
    store: TaskStore


@asynccontextmanager
async def bare(directory: Path) -> AsyncIterator[Bare]:
    now = virtual_now()
    config = Config(exceptions=ExceptionSettings(notice=14 * HOUR))
    async with TaskStore.open(directory, now=now, executor=Inline()) as store:
        context = bare_context(store, now, config)
        context.clock_checks = 60.0
        yield Bare(context, store)


def wanted(w: Bare, plugin: int = 51192, **changes: Any) -> FindingException:
    now = w.context.wall()
    usual: dict[str, Any] = {
        "exception_id": "",
        "rule": read_rule(
            kind=ExceptionKind.ACCEPTED, plugins=[plugin], hosts=["192.0.2.0/24"], port="443"
        ),
        "reason": "behind a proxy",
        "owner": "web team",
        "actor": "uid:1000",
        "proposed_at": now,
        "expires": now + 30 * HOUR,
    }
    return FindingException(**{**usual, **changes})


@asynccontextmanager
async def registered(w: Bare) -> AsyncIterator[Exceptions]:
    exceptions = Exceptions(w.context)
    await exceptions.restore()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exceptions.run)
        yield exceptions
        nursery.cancel_scope.cancel()


def change(w: Bare, **changes: Any) -> None:
    w.context.config = attrs.evolve(w.context.config, exceptions=ExceptionSettings(**changes))


async def journal(w: Bare) -> list[tuple[str, str, str]]:
    return [
        (each.entry.event.removeprefix("exception_"), each.entry.actor, each.entry.cause)
        for each in await w.store.journal()
        if each.entry.event.startswith("exception_")
    ]


@pytest.mark.slow
async def test_from_proposal_to_expiry(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with bare(tmp_path) as w, registered(w) as exceptions:
        made = await exceptions.propose(wanted(w))
        assert exceptions.in_force() == []
        with capture_logs() as logs:
            await exceptions.decide(made.exception_id, Decision.APPROVE, BOB)
            assert [each.exception_id for each in exceptions.in_force()] == [made.exception_id]
            await trio.sleep_until(16 * HOUR - 60)
            assert [each["event"] for each in logs].count("exception_expiring") == 0
            await trio.sleep_until(16 * HOUR + 60)
            (notice,) = [each for each in logs if each["event"] == "exception_expiring"]
            assert notice["owner"] == "web team"
            assert notice["seconds"] == pytest.approx(14 * HOUR, abs=5)
            await trio.sleep_until(30 * HOUR - 1)
            assert len(exceptions.in_force()) == 1
            await trio.sleep_until(30 * HOUR + 1)
        assert exceptions.in_force() == []
        ended = exceptions.named(made.exception_id)
        assert ended.status == "expired"
        assert ended.ended_at == pytest.approx(EPOCH + 30 * HOUR, abs=2)
        assert [each["event"] for each in logs].count("exception_expiring") == 1
        assert await journal(w) == [
            ("proposed", "uid:1000", "behind a proxy"),
            ("approved", "uid:1001", ""),
            ("expiring", "system", ""),
            ("expired", "system", ""),
        ]
        assert (await w.store.verify()).ok


@pytest.mark.slow
async def test_a_restart_changes_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with bare(tmp_path) as w:
        async with registered(w) as exceptions:
            await exceptions.propose(wanted(w), approver=BOB)
            await exceptions.propose(wanted(w, 2))
            await trio.sleep(20 * HOUR)  # with the notice
            before = exceptions.all()
        with capture_logs() as logs:
            async with registered(w) as exceptions:
                assert exceptions.all() == before
                await trio.sleep(HOUR)
        assert logs == []
        await trio.sleep(20 * HOUR)  # it ends while no daemon runs
        async with registered(w) as exceptions:
            await trio.sleep(1)
            assert [each.status for each in exceptions.all()] == ["expired", "expired"]
        assert exceptions.all()[1].cause == "it was not approved in time"


async def test_a_wall_clock_that_is_set_brings_none_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with bare(tmp_path) as w:
        now, ahead = w.context.wall, 0.0
        w.context.wall = lambda: now() + ahead
        async with registered(w) as exceptions:
            made = await exceptions.propose(wanted(w), approver=BOB)
            ahead = 31 * HOUR
            await trio.sleep(61)
            assert exceptions.in_force() == []
            ahead = 0.0
            await trio.sleep(61)
            assert exceptions.in_force() == []
            assert exceptions.named(made.exception_id).status == "expired"
            again = await exceptions.decide(
                made.exception_id, Decision.EXTEND, BOB, expires=w.context.wall() + 10 * HOUR
            )
            assert exceptions.in_force() == [again]
            assert (again.ended_at, again.announced, again.known) == (None, False, {})
            await trio.sleep(5 * HOUR + 60)
            assert exceptions.named(made.exception_id).announced
            await trio.sleep(5 * HOUR)
            assert exceptions.in_force() == []
        assert [event for event, _, _ in await journal(w)] == [
            "proposed", "approved", "expired", "extended", "expiring", "expired",
        ]  # fmt: skip


async def test_what_may_not_be_decided_changes_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with bare(tmp_path) as w, registered(w) as exceptions:
        made = await exceptions.propose(wanted(w))
        for decision, said in (
            (Decision.REVOKE, "is proposed"),
            (Decision.EXTEND, "was never approved"),
        ):
            with pytest.raises(NotPossible, match=said):
                await exceptions.decide(made.exception_id, decision, BOB, expires=1e10)
        with pytest.raises(NotPossible, match="has the same rule and is proposed"):
            await exceptions.propose(wanted(w, reason="another", expires=EPOCH + HOUR))
        with pytest.raises(UnknownException, match="did you mean"):
            exceptions.named(f"{made.exception_id}x")
        await exceptions.decide(made.exception_id, Decision.REJECT, BOB, cause="fix it")
        for decision in Decision:
            with pytest.raises(NotPossible):
                await exceptions.decide(made.exception_id, decision, BOB, expires=1e10)
        assert exceptions.named(made.exception_id).cause == "fix it"
        await exceptions.propose(wanted(w))  # a new one like it is possible now
        assert [event for event, _, _ in await journal(w)] == ["proposed", "rejected", "proposed"]


async def test_one_whose_end_has_passed_is_not_approved(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with bare(tmp_path) as w:
        exceptions = Exceptions(w.context)  # its loop has not looked yet
        made = await exceptions.propose(wanted(w, expires=w.context.wall() + 10))
        await trio.sleep(11)
        with pytest.raises(NotPossible, match="has passed"):
            await exceptions.decide(made.exception_id, Decision.APPROVE, BOB)


@pytest.mark.slow
async def test_an_expired_one_is_not_extended_next_to_one_like_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with bare(tmp_path) as w, registered(w) as exceptions:
        first = await exceptions.propose(wanted(w), approver=BOB)
        await trio.sleep(31 * HOUR)
        await exceptions.propose(wanted(w))
        with pytest.raises(NotPossible, match="same rule"):
            await exceptions.decide(
                first.exception_id, Decision.EXTEND, BOB, expires=w.context.wall() + HOUR
            )


async def test_a_second_person_where_that_is_configured(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    alice = Decider(actor="uid:1000")
    async with bare(tmp_path) as w, registered(w) as exceptions:
        change(w, second_person=True)
        made = await exceptions.propose(wanted(w))
        with pytest.raises(SecondPersonNeeded):
            await exceptions.decide(made.exception_id, Decision.APPROVE, alice)
        with pytest.raises(SecondPersonNeeded):
            await exceptions.propose(wanted(w, 2), approver=alice)
        await exceptions.decide(made.exception_id, Decision.APPROVE, BOB)
        with pytest.raises(SecondPersonNeeded):
            await exceptions.decide(made.exception_id, Decision.EXTEND, alice, expires=1e10)
        await exceptions.decide(made.exception_id, Decision.REVOKE, alice)
        assert len(exceptions.all()) == 1


async def test_there_is_a_bound_and_the_latest_ended_are_kept(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with bare(tmp_path) as w, registered(w) as exceptions:
        change(w, max_exceptions=2)
        ids = []
        for plugin in range(1, 7):
            made = await exceptions.propose(wanted(w, plugin))
            ids.append(made.exception_id)
            await exceptions.decide(made.exception_id, Decision.REJECT, BOB)
            await trio.sleep(1)
        assert [each.exception_id for each in exceptions.all()] == ids[-2:]
        await exceptions.propose(wanted(w, 8))
        await exceptions.propose(wanted(w, 9), approver=BOB)
        with pytest.raises(NotPossible, match=r"2 open exceptions .*"):
            await exceptions.propose(wanted(w, 10))
        assert {each.exception_id for each in await w.store.exceptions()} == {
            each.exception_id for each in exceptions.all()
        }
        assert len(await journal(w)) == 15  # the journal has them all


async def test_one_that_lapses_says_why_and_does_not_come_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with bare(tmp_path) as w, registered(w) as exceptions:
        made = await exceptions.propose(wanted(w), approver=BOB)
        first = PluginFacts(severity=2)
        await exceptions.observed({made.exception_id: {51192: first}, "x-gone": {1: first}})
        assert exceptions.named(made.exception_id).known == {51192: first}
        for severity in (1, 2):
            await exceptions.observed({made.exception_id: {51192: PluginFacts(severity=severity)}})
            assert len(exceptions.in_force()) == 1
        before = EPOCH - 60  # such as a report that is imported later
        await exceptions.observed({made.exception_id: {51192: PluginFacts(severity=4)}}, before)
        assert len(exceptions.in_force()) == 1
        await trio.sleep(1)
        for _ in range(2):
            await exceptions.observed({made.exception_id: {51192: PluginFacts(severity=3)}})
        ended = exceptions.named(made.exception_id)
        assert (ended.status, ended.cause) == ("lapsed", "the severity of plugin 51192 has risen")
        with pytest.raises(NotPossible, match="is lapsed"):
            await exceptions.decide(made.exception_id, Decision.EXTEND, BOB, expires=1e10)
        assert (await journal(w))[-1] == ("lapsed", "system", ended.cause)


@pytest.mark.slow
async def test_while_the_store_fails_nothing_is_decided_and_none_stays_in_force(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bare(tmp_path) as w, registered(w) as exceptions:
        made = await exceptions.propose(wanted(w), approver=BOB)
        before = exceptions.all()

        async def refuse(*_args: Any, **_options: Any) -> None:
            raise StoreUnavailable("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(w.store, "save_exception", refuse)
            with pytest.raises(StoreDown, match="nothing was changed"):
                await exceptions.decide(made.exception_id, Decision.REVOKE, BOB)
            with pytest.raises(StoreDown):
                await exceptions.propose(wanted(w, 2))
            assert exceptions.all() == before
            await trio.sleep(31 * HOUR)
            assert exceptions.in_force() == []
            assert exceptions.named(made.exception_id).status == "approved"
        await trio.sleep(61)
        assert exceptions.named(made.exception_id).status == "expired"


steps = st.lists(
    st.tuples(
        st.sampled_from(["propose", "propose_approved", "pass", "observe", "restart", *Decision]),
        st.integers(0, 5),
        st.sampled_from([0.5, 3.0, 11.0]),
    ),
    max_size=25,
)


@given(steps)
def test_whatever_happens_the_register_agrees_with_the_store_and_itself(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[str, int, float]]
) -> None:
    async def live() -> None:
        async with bare(tmp_path_factory.mktemp("life")) as w:
            exceptions = Exceptions(w.context)
            ended: dict[str, str] = {}
            for what, which, days in story:
                ids = [each.exception_id for each in exceptions.all()]
                chosen = ids[which % len(ids)] if ids else "x-none"
                try:
                    if what.startswith("propose"):
                        until = w.context.wall() + days * HOUR
                        approver = BOB if what == "propose_approved" else None
                        await exceptions.propose(wanted(w, which + 1, expires=until), approver)
                    elif what == "pass":
                        await trio.sleep(days * HOUR)
                        await exceptions.look()
                    elif what == "observe":
                        facts = {51192: PluginFacts(severity=which)}
                        await exceptions.observed({chosen: facts})
                    elif what == "restart":
                        exceptions = Exceptions(w.context)
                        await exceptions.restore()
                    else:
                        until = w.context.wall() + days * HOUR
                        terms: dict[str, Any] = {"expires": until} if what == "extend" else {}
                        await exceptions.decide(chosen, Decision(what), BOB, **terms)
                except RequestError:
                    pass
                for each in exceptions.all():
                    was = ended.get(each.exception_id)
                    extended = was == "expired" and each.status == "approved"
                    assert was is None or was == each.status or (extended and what == "extend")
                    if each.open:
                        ended.pop(each.exception_id, None)
                    else:
                        ended[each.exception_id] = each.status
                    assert each.open or each.ended_at is not None
                    assert each.status != "approved" or each.approved_at is not None
                rules = [each.rule for each in exceptions.all() if each.open]
                assert len(rules) == len(set(rules))
            stored = {each.exception_id: each for each in await w.store.exceptions()}
            assert stored == {each.exception_id: each for each in exceptions.all()}
            assert (await w.store.verify()).ok

    trio.run(live, clock=MockClock(autojump_threshold=0))


async def test_what_was_learned_is_stored(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with bare(tmp_path) as w:
        known = {51192: PluginFacts(severity=2, version="1.9")}
        exceptions = Exceptions(w.context)
        made = await exceptions.propose(wanted(w, known=known), approver=BOB)
        again = Exceptions(w.context)
        await again.restore()
        assert again.named(made.exception_id) == made
        assert again.named(made.exception_id).known == known
