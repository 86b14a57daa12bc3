"""What the journal says, as the lines of the story (pure)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import attrs

from nessus_sched.core.journal import JournalEntry, JournalRecord
from nessus_sched.core.text import pluralize
from nessus_sched.results.untrusted import clean_line


class Chapter(StrEnum):
    SCHEDULE = "schedule"
    SPLIT = "split"
    WINDOW = "window"
    LOST = "lost"
    EXCEPTION = "exception"
    FIX = "fix"
    RESULTS = "results"
    DIGEST = "digest"
    REPORT = "report"


@attrs.frozen(kw_only=True)
class Line:
    """`at` is the story's time in epoch seconds. `details` go below the text."""

    at: float
    chapter: Chapter
    text: str
    details: tuple[str, ...] = ()


def moment(at: float) -> str:
    """Such as `Mon 01 Jun 02:00`."""
    return f"{datetime.fromtimestamp(at, UTC):%a %d %b %H:%M}"


@attrs.define
class Reader:
    """Makes lines of rows of the journal. `names` are those of tasks and their parts by id; a
    part's has its number."""

    names: Mapping[str, str]
    scanner_of: dict[str, str] = attrs.field(factory=dict)
    lost_by: dict[str, str] = attrs.field(factory=dict)
    """Parts that were given up, and the scanner that was lost."""

    def lines(self, records: Sequence[JournalRecord]) -> list[Line]:
        """The lines for rows of about the same time, each kind of row in one line."""
        entries = [record.entry for record in records]
        for entry in entries:
            if entry.event == "taken" and entry.task_id is not None:
                self.scanner_of[entry.task_id] = str(entry.detail["scanner_instance"])
        single = [line for entry in entries for line in self._single(entry)]
        first = [line for line in single if line.chapter is Chapter.SCHEDULE]
        last = [line for line in single if line.chapter in _AT_THE_END]
        between = [line for line in single if line not in first and line not in last]
        ended, started = self._finished(entries), self._started(entries)
        return [*first, *ended, *between, *started, *last]

    def _single(self, entry: JournalEntry) -> Iterator[Line]:
        name, known = self._name(entry), _TOLD.get(entry.event)
        if known is None:
            return
        chapter, text = known
        made = text(name, entry)
        if made is None:
            return
        if entry.event == "requeued":
            self.lost_by[str(entry.task_id)] = self.scanner_of.get(str(entry.task_id), "a scanner")
        yield Line(at=entry.at, chapter=chapter, text=clean_line(made))

    def _started(self, entries: Sequence[JournalEntry]) -> Iterator[Line]:
        started = defaultdict(list)
        for entry in entries:
            task_id = str(entry.task_id)
            if entry.event != "launched" or task_id not in self.scanner_of:
                continue
            scanner, lost = self.scanner_of[task_id], self.lost_by.pop(task_id, None)
            if lost is not None:
                text = f"{scanner} takes {self._name(entry)}, which {lost} had not finished"
                yield Line(at=entry.at, chapter=Chapter.LOST, text=text)
            else:
                started[self._whole(entry)].append((entry.at, scanner))
        for name, found in started.items():
            scanners = ", ".join(sorted(each for _, each in found))
            text = f"{name}: {pluralize(len(found), 'scan')} started, on {scanners}"
            yield Line(at=found[0][0], chapter=Chapter.SPLIT, text=text)

    def _finished(self, entries: Sequence[JournalEntry]) -> Iterator[Line]:
        finished = defaultdict(list)
        for entry in entries:
            if entry.event == "scan_finished":
                finished[self._whole(entry)].append((entry.at, int(entry.detail["hosts"])))
        for name, found in finished.items():
            hosts = sum(each for _, each in found)
            text = f"{name}: {pluralize(len(found), 'scan')} ended, with {pluralize(hosts, 'host')}"
            yield Line(at=found[0][0], chapter=Chapter.SPLIT, text=text)

    def _name(self, entry: JournalEntry) -> str:
        return self.names.get(str(entry.task_id), "")

    def _whole(self, entry: JournalEntry) -> str:
        return self._name(entry).partition(_PART)[0]


def _results(outcome: Mapping[str, object]) -> str:
    results = outcome.get("results")
    if not isinstance(results, Mapping):
        return "no results"
    coverage, counts = results["coverage"], results["severity_counts"]
    told = ", ".join(f"{counts[each]} {each}" for each in ("critical", "high", "medium"))
    return f"{coverage['answered']} of {coverage['requested']} addresses answered, {told}"


def _fired(_name: str, entry: JournalEntry) -> str:
    return f"schedule {entry.detail['schedule']} fires: {entry.detail['task_id']}"


def _paused(name: str, _entry: JournalEntry) -> str | None:
    return f"{name} is paused" if _PART in name else None


def _given_up(name: str, entry: JournalEntry) -> str | None:
    return f"{name} is given up: {entry.cause}" if "has not answered" in entry.cause else None


def _kept(name: str, _entry: JournalEntry) -> str | None:
    return f"{name}: what the lost scanner had found is kept" if _PART in name else None


def _exception(_name: str, entry: JournalEntry) -> str:
    what = entry.event.removeprefix("exception_")
    text = f"exception {entry.detail['exception_id']} is {what}"
    if what == "approved":
        return f"{text}, for {(entry.detail['expires'] - entry.at) / _DAY:.0f} days"
    return f"{text}: {entry.detail['reason']}"


def _completed(name: str, entry: JournalEntry) -> str | None:
    outcome = entry.detail.get("outcome")
    return None if outcome is None else f"{name} is completed: {_results(outcome)}"


_DAY: Final = 86400.0
_PART: Final = ", part "
_AT_THE_END: Final = frozenset({Chapter.SPLIT, Chapter.RESULTS})
_TOLD: Final[Mapping[str, tuple[Chapter, Callable[[str, JournalEntry], str | None]]]] = {
    "schedule_fired": (Chapter.SCHEDULE, _fired),
    "closed": (Chapter.WINDOW, lambda name, entry: f"{name}: {entry.cause}"),
    "paused": (Chapter.WINDOW, _paused),
    "opened": (Chapter.WINDOW, lambda name, _: f"the window is open again: {name} continues"),
    "stopped_by_calendar": (Chapter.WINDOW, lambda name, entry: f"{name} is {entry.cause}"),
    "straggler_stopped": (Chapter.SPLIT, lambda name, entry: f"{name} is divided: {entry.cause}"),
    "scanner_down": (Chapter.LOST, lambda _, entry: f"scanner {_scanner(entry)} is down"),
    "scanner_up": (Chapter.LOST, lambda _, entry: f"scanner {_scanner(entry)} is back"),
    "requeued": (Chapter.LOST, _given_up),
    "partial_results_kept": (Chapter.LOST, _kept),
    "exception_proposed": (Chapter.EXCEPTION, _exception),
    "exception_approved": (Chapter.EXCEPTION, _exception),
    "completed": (Chapter.RESULTS, _completed),
}


def _scanner(entry: JournalEntry) -> str:
    return str(entry.detail["scanner_instance"])
