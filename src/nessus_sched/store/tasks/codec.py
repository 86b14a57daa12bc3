"""Encodes tasks and journal entries as JSON and decodes them.

Fields with default values are left out. So a document from before a field existed reads as if
it had the default, and equal requests have equal documents whichever version wrote them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

import attrs
import cattrs
import msgspec
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from nessus_sched.core.calendar.schedule import Schedule
from nessus_sched.core.exceptions.exception import FindingException
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.states import TaskState, check_transition
from nessus_sched.core.task import ScanRequest, Task
from nessus_sched.results.older_summary import upgraded

T = TypeVar("T")

_CONVERTER: Final = cattrs.Converter(omit_if_default=True, detailed_validation=False)
# cattrs would structure each of a task's thousands of targets separately.
_CONVERTER.register_structure_hook_func(
    lambda kind: kind == tuple[str, ...], lambda texts, _: tuple(map(str, texts))
)


def _one_or_several(names: Sequence[str]) -> str | list[str]:
    """A single credential as its name alone, as it was before a request could have several: so
    old documents can be read, and digests of equal requests are equal."""
    return names[0] if len(names) == 1 else list(names)


def _several(found: str | Sequence[str], _type: object) -> tuple[str, ...]:
    return (found,) if isinstance(found, str) else tuple(map(str, found))


_CREDENTIALS: Final = override(
    rename="credential", unstruct_hook=_one_or_several, struct_hook=_several
)
_CONVERTER.register_unstructure_hook(
    ScanRequest,
    make_dict_unstructure_fn(
        ScanRequest, _CONVERTER, _cattrs_omit_if_default=True, credentials=_CREDENTIALS
    ),
)
_CONVERTER.register_structure_hook(
    ScanRequest, make_dict_structure_fn(ScanRequest, _CONVERTER, credentials=_CREDENTIALS)
)
# Looked up once instead of for every task.
_plain_task: Final = _CONVERTER.get_unstructure_hook(Task)
_plain_entry: Final = _CONVERTER.get_unstructure_hook(JournalEntry)
_structure_task: Final = _CONVERTER.get_structure_hook(Task)
_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder()


class DocumentTable(StrEnum):
    """The tables that have a row for each of a few things: its id and its document."""

    SCHEDULE = "schedule"
    EXCEPTION = "exception"


class EncodedEntry(NamedTuple):
    """A journal entry ready to be chained; `digest` is that of the task's document afterwards.

    `order` is the task's position in the order of submission; `purged_id` is its id if the
    entry records its deletion.
    """

    order: int | None
    purged_id: str | None
    digest: bytes | None
    content: str


class EncodedTask(NamedTuple):
    """A task's row in the table, except for its position in the journal."""

    order: int
    task_id: str
    state: TaskState
    scanner: str | None
    kind: str
    pool: str
    priority: str
    actor: str
    created_at: float
    updated_at: float
    words: str
    owed: int
    part_of: str | None
    document: str
    digest: bytes


def encode_task(task: Task, *, updated_at: float) -> EncodedTask:
    """Raises TypeError if the summary is not JSON."""
    document = _encode(_plain_task(task))
    request = task.request
    return EncodedTask(
        order=task.order,
        task_id=task.task_id,
        state=task.state,
        scanner=task.scanner_instance or request.scanner_instance,
        kind=str(request.kind),  # SQLite takes plain strings three times as fast
        pool=request.pool,
        priority=str(request.priority),
        actor=task.actor,
        created_at=task.created_at,
        updated_at=updated_at,
        words=casefold_for_search(f"{request.name}\n{request.description}"),
        owed=len(task.owed),
        part_of=None if task.part is None else task.part.task_id,
        document=document,
        digest=digest_of(document),
    )


def decode_task(document: str) -> Task:
    task: Task = _structure_task(_decode(document), Task)
    if task.summary is None:
        return task
    summary = upgraded(task.summary)
    return task if summary is task.summary else attrs.evolve(task, summary=summary)


def encode_document(stored: Schedule | FindingException) -> str:
    return _encode(_CONVERTER.unstructure(stored))


def decode_document(document: str, kind: type[T]) -> T:
    return _CONVERTER.structure(_decode(document), kind)


def encode_entry(
    entry: JournalEntry,
    task: EncodedTask | None = None,
    *,
    purged_order: int | None = None,
) -> EncodedEntry:
    """Encodes an entry for a task's row, for a deleted task, or for no task. Raises TypeError
    if the detail is not JSON."""
    content = _encode(_plain_entry(entry))
    if task is not None:
        return EncodedEntry(task.order, None, task.digest, content)
    purged_id = None if purged_order is None else entry.task_id
    return EncodedEntry(purged_order, purged_id, None, content)


def decode_entry(content: str) -> JournalEntry:
    return _CONVERTER.structure(_decode(content), JournalEntry)


def digest_of(document: str) -> bytes:
    return hashlib.sha256(document.encode()).digest()


def request_digest(request: ScanRequest) -> bytes:
    """A digest that is the same for equal requests, whatever the order of their settings."""
    plain = _CONVERTER.unstructure(request)
    return digest_of(json.dumps(plain, separators=(",", ":"), sort_keys=True, allow_nan=False))


def _encode(plain: object) -> str:
    try:
        return _ENCODER.encode(plain).decode()
    except UnicodeEncodeError:  # a lone surrogate, which can be stored only as an escape
        return json.dumps(plain, separators=(",", ":"), allow_nan=False)


def _decode(document: str) -> object:
    try:
        return _DECODER.decode(document)
    except msgspec.DecodeError:  # a lone surrogate
        return json.loads(document)


def casefold_for_search(text: str) -> str:
    """Text for case-insensitive search. What cannot be stored becomes question marks: lone
    surrogates in SQLite, and zeros in PostgreSQL."""
    return text.casefold().encode("utf-8", "replace").decode().replace("\0", "?")


def encode_change(task: Task, entry: JournalEntry) -> tuple[EncodedTask, EncodedEntry, TaskState]:
    """A changed task, the entry that says why, and the state it has to be in before. Raises
    `IllegalTransition`."""
    before = entry.before or task.state
    if entry.task_id != task.task_id or entry.after not in (None, task.state):
        raise ValueError("the entry is of another task or leads to another state")
    if before != task.state:
        check_transition(before, task.state, split=task.split is not None)
    encoded = encode_task(task, updated_at=entry.at)
    return encoded, encode_entry(entry, encoded), before
