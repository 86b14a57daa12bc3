"""Reads the journal for a pack: where the period begins and ends in it, and its scans.

Rows are in the order of the chain. Their times nearly are, too, but a clock may have been set
back: the period begins with the first row that is not before it, and ends before the first row
that is not before its end. So a row that is written later never moves either of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import attrs
import msgspec

from nessus_sched.core.outcome import OUTCOME
from nessus_sched.core.states import SETTLED, TaskState

_ENDS: Final = frozenset(map(str, SETTLED))
_SYSTEM: Final = "system"
_DECODER: Final = msgspec.json.Decoder()


class ChainRow(NamedTuple):
    """A row of the journal as stored; see `store.tasks.journal`."""

    seq: int
    digest: bytes | None
    content: str
    hash: bytes

    @property
    def entry(self) -> Mapping[str, Any]:
        """The entry; fields that have their default are left out."""
        try:
            found = _DECODER.decode(self.content)
        except msgspec.DecodeError:  # a lone surrogate, which is written as an escape
            found = json.loads(self.content)
        assert isinstance(found, dict)
        return found


class Head(NamedTuple):
    """A position in the chain: number and hash of a row, (0, zeros) before the first."""

    seq: int
    hash: bytes

    @property
    def text(self) -> str:
        return f"{self.seq}:{self.hash.hex()}"


@attrs.frozen(kw_only=True)
class Bounds:
    """The rows of a period are those after `before`, up to `head`. `unfinished` are the tasks whose
    scans began before its end and still run. `first_at` is the time of the first row that there
    is, None if there are none."""

    before: Head
    head: Head
    unfinished: tuple[str, ...]
    last: int
    """The last row that has to be read: a scan of the period may have ended after it."""
    first_at: float | None


@attrs.frozen(kw_only=True)
class ScanEnd:
    """The end of a task that had begun, or had not. `began` is when its first scan was launched;
    moments are epoch seconds. `outcome` is what the journal has about it."""

    seq: int
    task_id: str
    began: float | None
    settled: float
    state: str
    cause: str
    scanners: tuple[str, ...]
    outcome: Mapping[str, Any] | None


@attrs.define
class _Live:
    """A task between two ends."""

    began: float | None = None
    began_seq: int = 0
    scanners: set[str] = attrs.field(factory=set)


class _Follower:
    """Follows the tasks through the journal."""

    def __init__(self) -> None:
        self.live: dict[str, _Live] = {}

    def ended(self, seq: int, entry: Mapping[str, Any]) -> ScanEnd | None:
        """The end of a task, if the row is one."""
        task_id, after = entry.get("task_id"), entry.get("after")
        if task_id is None:
            return None
        whole = whole_of(task_id)
        detail = entry.get("detail", {})
        if entry["event"] == "taken" and detail.get("scanner_instance"):
            self._of(whole).scanners.add(detail["scanner_instance"])
        if whole != task_id:
            return None
        if after == TaskState.RUNNING and (live := self._of(task_id)).began is None:
            live.began, live.began_seq = entry["at"], seq
        if after not in _ENDS or entry.get("before") in _ENDS:
            return None
        live = self.live.pop(task_id, _Live())
        return ScanEnd(
            seq=seq, task_id=task_id, began=live.began, settled=entry["at"], state=after,
            cause=entry.get("cause", ""), scanners=tuple(sorted(live.scanners)),
            outcome=detail.get(OUTCOME),
        )  # fmt: skip

    def _of(self, task_id: str) -> _Live:
        return self.live.setdefault(task_id, _Live())


def whole_of(task_id: str) -> str:
    """The task that a part belongs to; any other task itself (`core.ids.part_id`)."""
    parts = task_id.split("-")
    return "-".join(parts[:2]) if len(parts) > 2 else task_id


def find_bounds(rows: Iterable[ChainRow], base: Head, since: float, until: float) -> Bounds:
    """`rows` are all there are, after `base`."""
    follower, before, head = _Follower(), None, None
    at = base
    first_at: float | None = None
    waiting: dict[str, int] = {}
    last = base.seq
    for row in rows:
        entry = row.entry
        first_at = entry["at"] if first_at is None else first_at
        before = at if before is None and entry["at"] >= since else before
        if head is None and entry["at"] >= until:
            head = at
            begun = follower.live.items()
            waiting = {name: each.began_seq for name, each in begun if each.began is not None}
        end = follower.ended(row.seq, entry)
        if head is not None:
            if end is not None and waiting.pop(end.task_id, None) is not None:
                last = row.seq
            if not waiting:
                break
        at = Head(row.seq, row.hash)
    if head is None:
        head = at
        begun = follower.live.items()
        waiting = {name: each.began_seq for name, each in begun if each.began is not None}
    return Bounds(
        before=head if before is None else before, head=head, unfinished=tuple(sorted(waiting)),
        last=max(last, head.seq), first_at=first_at,
    )  # fmt: skip


def scan_ends(rows: Iterable[ChainRow], bounds: Bounds) -> Iterator[ScanEnd]:
    """The ends in the period, and those of scans that began before its end, in the order of the
    journal. `rows` are those up to `bounds.last`."""
    follower, begun = _Follower(), None
    for row in rows:
        if row.seq > bounds.last:
            return
        if row.seq > bounds.head.seq and begun is None:
            live = follower.live.items()
            begun = {name for name, each in live if each.began is not None}
        end = follower.ended(row.seq, row.entry)
        if end is None or row.seq <= bounds.before.seq:
            continue
        if begun is None:
            yield end
        elif end.task_id in begun:
            begun.discard(end.task_id)
            yield end
