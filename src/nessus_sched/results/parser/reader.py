"""Reads `.nessus` version 2 documents of any size as a stream of findings.

    report = parse(stream, verdicts.add, rows.append)

Memory does not grow with the document: no tree is built, the scan's policy (often half of the
file) is skipped, and texts, depth and names are limited. DOCTYPE is refused, so no entity is
ever expanded. Malformed XML is reported, and reading resumes at the next finding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, TypeAlias
from xml.parsers import expat

import attrs

from nessus_sched.core.text import pluralize
from nessus_sched.results.model import Finding, HostEnd, HostReport
from nessus_sched.results.parser.cleaning import Cleaner, detect_encoding
from nessus_sched.results.parser.handlers import Handlers
from nessus_sched.results.parser.limits import Damage, Fatal, Limits
from nessus_sched.results.parser.position import Position
from nessus_sched.results.parser.problems import ParseProblemKind, ParseReport, Problem, ProblemList

Event: TypeAlias = HostReport | Finding | HostEnd
Sink: TypeAlias = Callable[[Event], object]

_CHUNK: Final = 2**18
_RESUME: Final = re.compile(rb"<(?:ReportItem|ReportHost)[\s>]|</(?:ReportHost|Report)\s*>")
_MARKER: Final = 32
"""Bytes that are enough for such a marker."""
_MOST_RESUMES: Final = 100
_TO_REPORT: Final = b"<NessusClientData_v2><Report>"
_TO_HOST: Final = _TO_REPORT + b"<ReportHost>"
_WHAT: Final = {
    "encoding": "invalid byte",
    "control": "invalid XML character",
}


def parse(stream: BinaryIO, *sinks: Sink) -> ParseReport:
    """Reads a document and passes every event to every sink. Never raises because of the
    document's content: see the report's `complete` and `problems`."""
    reader = Reader(stream)
    for event in reader:
        for sink in sinks:
            sink(event)
    return reader.report


class Reader:
    """Iterates over the events of a document: each host, its findings, its end.

    `report` describes what has been read so far; it is final after the iteration. Blocks while
    reading `stream` in pieces. Use it once, in one thread.
    """

    def __init__(
        self, stream: BinaryIO, *, limits: Limits | None = None, chunk_size: int = _CHUNK
    ) -> None:
        self._stream = stream
        self._chunk_size = chunk_size
        self._limits = limits or Limits()
        self._problems = ProblemList()
        self._handlers = Handlers(self._limits, self._add_here)
        self._place = Position()
        self._bytes_read = 0
        self._encoding = "utf-8"
        self._damage: Problem | None = None
        self._carry = b""
        self._resumes = 0
        self._stopped = False
        self._new_parser(b"", 1, 0)

    def __iter__(self) -> Iterator[Event]:
        events = self._handlers.events
        for data in self._cleaned():
            self._feed(data)
            yield from events
            events.clear()
            if self._stopped:
                return
        self._finish()
        yield from events
        events.clear()

    @property
    def report(self) -> ParseReport:
        handlers = self._handlers
        return ParseReport(
            complete=handlers.finished and not self._problems.lost_something(),
            hosts=handlers.hosts,
            findings=handlers.findings,
            bytes_read=self._bytes_read,
            encoding=self._encoding,
            report_name=handlers.report_name,
            policy_name=handlers.policy.name,
            requested=handlers.policy.targets,
            problems=self._problems.kept,
            problem_counts=self._problems.counts,
            plugin_set=handlers.policy.plugin_set,
            preferences=handlers.policy.preferences,
            families=handlers.policy.families,
        )

    def _cleaned(self) -> Iterator[bytes]:
        """The document in pieces, cleaned for the parser."""
        chunk = self._stream.read(self._chunk_size)
        self._encoding, unknown = detect_encoding(chunk[:1024])
        if unknown is not None:
            self._add(
                ParseProblemKind.ENCODING, f"declared encoding {unknown!r} is read as UTF-8", 1, 0
            )
        notes: list[tuple[str, int, int]] = []
        cleaner = Cleaner(self._encoding, lambda *note: notes.append(note))
        while True:
            self._bytes_read += len(chunk)
            data = cleaner.feed(chunk, final=not chunk)
            for kind, count, offset in notes:
                message = f"from here on, {pluralize(count, _WHAT[kind])}, shown as U+FFFD"
                self._add(ParseProblemKind(kind), message, *self._place.at(data, offset))
            notes.clear()
            if data:
                yield data
                self._place.advance(data)
            if not chunk:
                return
            chunk = self._stream.read(self._chunk_size)

    # -- parsing

    def _new_parser(self, prefix: bytes, line: int, column: int) -> None:
        """A parser inside the elements that `prefix` opens, positioned before the text at `line`
        and `column`."""
        self._parser = parser = expat.ParserCreate("UTF-8", None, self._handlers.names)
        parser.buffer_text = True
        parser.buffer_size = 2**16
        if hasattr(parser, "SetReparseDeferralEnabled"):
            # expat 2.6 may defer parsing: damage would then be reported too late and cost
            # findings. The attack that deferral prevents is limited by `_check_pending`.
            parser.SetReparseDeferralEnabled(False)
        parser.Parse(prefix, False)
        self._fed = len(prefix)
        self._base = (line - 1, column - len(prefix))
        self._handlers.attach(parser, depth=prefix.count(b"<"))

    def _feed(self, data: bytes) -> None:
        """Parses the next bytes; after damage, continues at the next finding."""
        start = 0
        while not self._stopped:
            if self._damage is not None:
                found = self._search(data, start)
                if found is None:
                    return
                start, piece = found
            else:
                piece = data
            before = self._fed
            try:
                self._fed += len(piece)
                self._parser.Parse(piece, False)
                self._handlers.checkpoint()
                self._check_pending()
            except Fatal as fatal:
                self._stop(fatal.kind, str(fatal))
            except (expat.ExpatError, Damage) as error:
                after = self._parser.CurrentByteIndex - before + 1
                start += max(after, 0)
                self._note_damage(error)
            else:
                return

    def _check_pending(self) -> None:
        """Keeps an endless tag or comment from exhausting memory."""
        if self._fed - max(self._parser.CurrentByteIndex, 0) > self._limits.token:
            raise Damage(
                ParseProblemKind.TOO_LARGE, f"a tag of more than {self._limits.token} bytes"
            )
        if len(self._handlers.names) > self._limits.names:
            raise Fatal(ParseProblemKind.TOO_LARGE, "too many different names of elements")

    def _finish(self) -> None:
        """Handles the end of the document."""
        if self._damage is not None:
            self._settle_damage("nothing after this could be read")
        else:
            try:
                self._parser.Parse(b"", True)
            except expat.ExpatError as error:
                lost = self._handlers.abort_item()
                message = f"the document ends too early: {expat.ErrorString(error.code)}"
                self._add(
                    ParseProblemKind.TRUNCATED, message, *self._here(), saved=self._saved(lost)
                )
        self._handlers.end_host(whole=False)

    # -- damage

    def _note_damage(self, error: expat.ExpatError | Damage) -> None:
        line, column = self._here()
        if isinstance(error, Damage):
            kind, message = error.kind, str(error)
        elif self._handlers.finished:
            kind, message = ParseProblemKind.TRAILING, "text after the end of the document"
        else:
            kind, message = ParseProblemKind.MALFORMED, f"not XML: {expat.ErrorString(error.code)}"
        lost = self._handlers.abort_item()
        self._carry = b""
        self._damage = Problem(
            kind=kind, message=message, line=line, column=column, saved=self._saved(lost)
        )

    def _search(self, data: bytes, start: int) -> tuple[int, bytes] | None:
        """Searches for a place to resume: its offset in `data` (negative if the marker begins in
        the previous piece) and the bytes from there on."""
        joined = self._carry + data[start:]
        found = _RESUME.search(joined)
        if found is None:
            self._carry = joined[-_MARKER:]
            return None
        offset = found.start() - len(self._carry) + start
        self._carry = b""
        line, column = self._place.at(data, offset)
        self._settle_damage(f"reading resumed at line {line}, column {column}")
        self._resumes += 1
        if self._resumes > _MOST_RESUMES:
            self._stop(ParseProblemKind.MALFORMED, "too much damage; the rest was not read")
            return None
        marker = found[0]
        if marker.startswith((b"<ReportHost", b"</Report>", b"</Report ")):
            self._handlers.end_host(whole=False)
            self._new_parser(_TO_REPORT, line, column)
        else:
            self._new_parser(_TO_HOST, line, column)
        return offset, joined[found.start() :]

    def _settle_damage(self, outcome: str) -> None:
        assert self._damage is not None
        damage, self._damage = self._damage, None
        self._problems.add(attrs.evolve(damage, saved=f"{damage.saved}; {outcome}"))

    def _stop(self, kind: ParseProblemKind, message: str) -> None:
        self._add(kind, message, *self._here(), saved=self._saved(self._handlers.abort_item()))
        self._handlers.end_host(whole=False)
        self._stopped = True

    # -- problems

    def _here(self) -> tuple[int, int]:
        """The parser's line and column in the document."""
        line, column = self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber
        lines, columns = self._base
        return line + lines, max(column + columns, 0) if line == 1 else column

    def _saved(self, lost: str | None) -> str:
        handlers = self._handlers
        findings, hosts = pluralize(handlers.findings, "finding"), pluralize(handlers.hosts, "host")
        kept = f"kept {findings} of {hosts} before it"
        return f"{kept}; {lost}" if lost else kept

    def _add_here(self, kind: ParseProblemKind, message: str) -> None:
        self._add(kind, message, *self._here())

    def _add(
        self, kind: ParseProblemKind, message: str, line: int, column: int, saved: str | None = None
    ) -> None:
        self._problems.add(
            Problem(kind=kind, message=message, line=line, column=column, saved=saved)
        )
