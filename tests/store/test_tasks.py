"""The task store through its door: submit, record, read back."""

from __future__ import annotations

import attrs
import pytest
import trio

from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import LIVE, IllegalTransition, TaskState
from nessus_sched.core.store_errors import (
    DuplicateTask,
    IdempotencyConflict,
    StaleTransition,
    StoreClosed,
    UnknownTask,
)
from nessus_sched.core.task import Priority, RequestedState, ScanKind, Task, TaskError
from nessus_sched.store.tasks.codec import decode_task, encode_task, request_digest
from nessus_sched.store.tasks.store import TaskStore
from support.engines import Stores
from support.stored import START, a_request, a_task, moved, submitted


async def submit(store: TaskStore, task: Task) -> Task:
    submission = await store.submit(task, submitted(task))
    assert submission.created
    return submission.task


@pytest.mark.parametrize("name", ["Käse \x00", "half a \ud800 character"])
async def test_a_submitted_task_reads_back_as_it_was(store: TaskStore, name: str) -> None:
    task = a_task(
        request=a_request(
            kind=ScanKind.COMPLIANCE,
            name=name,
            settings={"a": "1"},
            priority=Priority.HIGH,
            max_runtime=3600.0,
        ),
        desired=RequestedState.PAUSE,
        scanner_instance="local",
        nessus_scan_id=7,
        last_error=TaskError(kind="x", message="y", transient=True, at=START),
        summary={"hosts": [{"host": "192.0.2.1", "score": 1.5, "known": None}]},
    )
    assert await submit(store, task) == task
    assert await store.get(task.task_id) == task


def test_a_key_taken_before_an_upgrade_is_known_after_it() -> None:
    digest = request_digest(a_request(name="Käse", settings={"b": "2", "a": "1"}))
    assert digest.hex() == "bb8c6a2589e7a7fb2e4c8065850a3bdd6c0c23bf2889905f343f90c67c6ebe48"


ONE = '"credential":"linux"'


def test_one_credential_is_stored_as_before_there_could_be_several() -> None:
    one = a_task(request=a_request(kind=ScanKind.TRUSTED, credentials=("linux",)))
    document = encode_task(one, updated_at=START).document
    assert ONE in document
    assert decode_task(document) == one
    assert request_digest(one.request).hex() == (
        "b1c247c0ed0d1a781271c4e5f232ad8286801e2afd531caff150f2e05443012d"
    )
    several = decode_task(document.replace(ONE, '"credential":["linux","windows"]'))
    assert several.request.credentials == ("linux", "windows")
    assert decode_task(encode_task(several, updated_at=START).document) == several
    assert request_digest(several.request) != request_digest(one.request)


def test_a_document_with_a_field_that_is_no_more_still_reads() -> None:
    task = a_task()
    document = encode_task(task, updated_at=START).document
    assert decode_task(f'{document[:-1]},"cleaned":true}}') == task


def test_a_summary_that_counted_checks_by_severity_reads_without_them() -> None:
    old = {"severity_counts": {"high": 5}, "compliance": {"FAILED": 4}}
    task = a_task(summary={**old, "compliance_severities": {"high": 4}})
    read = decode_task(encode_task(task, updated_at=START).document)
    assert read.summary == {
        **old, "severity_counts": {"high": 1}, "compliance_counts": {"FAILED": 4},
    }  # fmt: skip


async def test_what_was_stored_is_there_after_reopening(stores: Stores) -> None:
    task = a_task()
    async with stores.open() as store:
        await submit(store, task)
    async with stores.open() as store:
        assert await store.get(task.task_id) == task
        assert await store.last_order() == 1
        assert store.counts()[TaskState.QUEUED] == 1


async def test_an_unknown_task_is_none_and_an_empty_store_has_no_last_order(
    store: TaskStore,
) -> None:
    assert await store.get("nobody") is None
    assert await store.last_order() == 0
    assert [task async for task in store.unfinished()] == []
    assert await store.journal_of("nobody") == ()


@pytest.mark.parametrize("other", [a_task(1, task_id="other"), a_task(2, task_id="t00000001")])
async def test_a_taken_id_or_order_is_refused_without_harm_to_others(
    store: TaskStore, other: Task
) -> None:
    await submit(store, a_task(1))
    innocent = a_task(50)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(submit, store, innocent)
        with pytest.raises(DuplicateTask):
            await store.submit(other, submitted(other))
    assert await store.get(innocent.task_id) == innocent
    assert store.counts()[TaskState.QUEUED] == 2
    assert (await store.verify()).ok


async def test_record_moves_the_task_and_journals_why(store: TaskStore) -> None:
    task = await submit(store, a_task())
    launching, entry = moved(task, TaskState.LAUNCHING, attempt=1, scanner_instance="local")
    await store.record(launching, entry)
    assert await store.get(task.task_id) == launching
    assert [record.entry for record in await store.journal_of(task.task_id)] == [
        submitted(task),
        entry,
    ]
    assert store.counts()[TaskState.QUEUED] == 0
    assert store.counts()[TaskState.LAUNCHING] == 1


async def test_an_event_without_a_change_of_state_is_recorded(store: TaskStore) -> None:
    task = await submit(store, a_task())
    asked = attrs.evolve(task, desired=RequestedState.CANCEL)
    entry = JournalEntry(at=START, event="cancel_asked", task_id=task.task_id)
    await store.record(asked, entry)
    assert await store.get(task.task_id) == asked


async def test_a_stale_or_illegal_transition_changes_nothing(store: TaskStore) -> None:
    task = await submit(store, a_task())
    canceled, entry = moved(task, TaskState.CANCELED)
    await store.record(canceled, entry)
    for wrong, error in (
        (moved(task, TaskState.LAUNCHING), StaleTransition),
        (moved(task, TaskState.COMPLETED), IllegalTransition),
        (moved(a_task(9), TaskState.LAUNCHING), UnknownTask),
        (moved(a_task(9, task_id=task.task_id), TaskState.LAUNCHING), DuplicateTask),
    ):
        with pytest.raises(error):
            await store.record(*wrong)
    assert await store.get(task.task_id) == canceled
    assert len(await store.journal_of(task.task_id)) == 2
    assert (await store.verify()).ok


async def test_an_entry_of_another_task_or_state_is_refused(store: TaskStore) -> None:
    task = await submit(store, a_task())
    launching, entry = moved(task, TaskState.LAUNCHING)
    for wrong in (attrs.evolve(entry, task_id="other"), attrs.evolve(entry, after=TaskState.DEAD)):
        with pytest.raises(ValueError, match="another"):
            await store.record(launching, wrong)
    with pytest.raises(ValueError, match="first"):
        await store.submit(a_task(2), submitted(task))


async def test_record_many_is_all_or_nothing(store: TaskStore) -> None:
    tasks = [await submit(store, a_task(order)) for order in (1, 2, 3)]
    first, *_, last = tasks
    await store.record(*moved(last, TaskState.CANCELED))
    changes = [moved(task, TaskState.LAUNCHING) for task in tasks]
    innocent = moved(await submit(store, a_task(4)), TaskState.LAUNCHING)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.record, *innocent)
        with pytest.raises(StaleTransition):
            await store.record_many(changes)
    assert await store.get(first.task_id) == first
    assert await store.get(innocent[0].task_id) == innocent[0]
    await store.record_many(changes[:2])
    assert store.counts() | {TaskState.LAUNCHING: 3, TaskState.CANCELED: 1} == store.counts()
    assert (await store.verify()).ok


async def test_notes_are_journaled_without_a_task(store: TaskStore) -> None:
    drained = JournalEntry(at=START, event="drained", actor="cli:bob", detail={"scanner": "a"})
    await store.note(drained)
    assert [record.entry for record in await store.journal()] == [drained]


async def test_unfinished_streams_live_tasks_in_the_order_of_acceptance(store: TaskStore) -> None:
    tasks = [await submit(store, a_task(order)) for order in (5, 3, 9, 1, 7)]
    await store.record(*moved(tasks[0], TaskState.CANCELED))
    launching, entry = moved(tasks[1], TaskState.LAUNCHING)
    await store.record(launching, entry)
    found = [task async for task in store.unfinished(page=2)]
    assert [task.order for task in found] == [1, 3, 7, 9]
    assert {task.state for task in found} <= LIVE
    assert found[1] == launching


async def test_the_same_key_and_request_return_the_first_task(store: TaskStore) -> None:
    first = await submit(store, a_task(1, idempotency_key="k"))
    again = a_task(2, idempotency_key="k")
    submission = await store.submit(again, submitted(again))
    assert (submission.created, submission.task) == (False, first)
    assert await store.get(again.task_id) is None


async def test_the_same_key_answers_with_the_task_as_it_is_now(store: TaskStore) -> None:
    first = await submit(store, a_task(1, idempotency_key="k"))
    canceled, entry = moved(first, TaskState.CANCELED)
    await store.record(canceled, entry)
    again = a_task(2, idempotency_key="k")
    assert (await store.submit(again, submitted(again))).task == canceled


async def test_the_same_key_with_another_request_names_the_task_that_has_it(
    store: TaskStore,
) -> None:
    first = await submit(store, a_task(1, idempotency_key="k"))
    other = a_task(2, idempotency_key="k", request=a_request(name="Another"))
    with pytest.raises(IdempotencyConflict, match=first.task_id) as caught:
        await store.submit(other, submitted(other))
    assert (caught.value.key, caught.value.task_id) == ("k", first.task_id)
    assert await store.get(other.task_id) is None


async def test_the_order_of_settings_does_not_make_another_request(store: TaskStore) -> None:
    await submit(
        store, a_task(1, idempotency_key="k", request=a_request(settings={"a": "1", "b": "2"}))
    )
    again = a_task(2, idempotency_key="k", request=a_request(settings={"b": "2", "a": "1"}))
    assert not (await store.submit(again, submitted(again))).created


async def test_a_key_lives_as_long_as_it_should(store: TaskStore) -> None:
    await store.submit((first := a_task(1, idempotency_key="k")), submitted(first), key_ttl=100.0)
    within = a_task(100, idempotency_key="k")
    assert not (await store.submit(within, submitted(within))).created
    after = a_task(101, idempotency_key="k")
    assert (await store.submit(after, submitted(after))).created


async def test_simultaneous_duplicates_make_one_task(store: TaskStore) -> None:
    answers = []

    async def one(order: int) -> None:
        task = a_task(order, idempotency_key="k")
        answers.append(await store.submit(task, submitted(task)))

    async with trio.open_nursery() as nursery:
        for order in range(1, 41):
            nursery.start_soon(one, order)
    assert len([answer for answer in answers if answer.created]) == 1
    assert len({answer.task.task_id for answer in answers}) == 1
    assert store.counts()[TaskState.QUEUED] == 1


async def test_a_closed_store_takes_nothing(stores: Stores) -> None:
    async with stores.open() as store:
        pass
    with pytest.raises(StoreClosed):
        await submit(store, a_task())
