"""Broken and hostile reports: what is whole is read, the rest is told; memory stays small."""

from __future__ import annotations

import io
import re
import tracemalloc
from collections.abc import Iterator

import pytest

from nessus_sched.core.text import pluralize
from nessus_sched.results.model import HostEnd
from nessus_sched.results.parser.limits import Limits
from nessus_sched.results.parser.problems import KEPT, ParseProblemKind, ParseReport, Problem
from nessus_sched.results.parser.reader import Event, Reader, parse
from support.nessus_xml import document, element, findings_of, host, item, output, read

WHOLE = document(
    host("192.0.2.1", *(f"{item(number, output('ok'))}\n" for number in range(1, 6))),
    host("192.0.2.2", *(f"{item(number, output('ok'))}\n" for number in range(6, 11))),
)


def plugins(events: list[Event]) -> list[int | None]:
    return [finding.plugin.plugin_id for finding in findings_of(events)]


def ends(events: list[Event]) -> list[HostEnd]:
    return [event for event in events if isinstance(event, HostEnd)]


def place_of(data: bytes, offset: int) -> tuple[int, int]:
    before = data[:offset]
    return before.count(b"\n") + 1, offset - (before.rfind(b"\n") + 1)


@pytest.mark.slow
@pytest.mark.parametrize("chunk_size", [1, 50, 2**18])
def test_every_truncation_keeps_what_is_whole(chunk_size: int) -> None:
    step = 97 if chunk_size == 1 else 13
    for size in range(0, len(WHOLE) - len(b"\n"), step):
        events, report = read(WHOLE[:size], chunk_size=chunk_size)
        whole = WHOLE[:size].count(b"</ReportItem>")
        assert plugins(events) == list(range(1, whole + 1))
        assert not report.complete
        problem = report.problems[-1]
        assert problem.kind is ParseProblemKind.TRUNCATED
        assert problem.saved is not None
        assert f"kept {pluralize(whole, 'finding')}" in problem.saved
        closed = WHOLE[:size].count(b"</ReportHost>")
        assert [end.complete for end in ends(events)].count(True) == closed


def test_a_truncated_report_names_the_finding_that_was_cut() -> None:
    cut = WHOLE.index(b'pluginID="8"') + 90
    events, report = read(WHOLE[:cut])
    assert plugins(events) == [1, 2, 3, 4, 5, 6, 7]
    (problem,) = report.problems
    assert problem.line == place_of(WHOLE, cut)[0]
    assert "plugin 8 was left out" in str(problem)
    assert [end.complete for end in ends(events)] == [True, False]


@pytest.mark.slow
@pytest.mark.parametrize("chunk_size", [1, 7, 64, 2**18])
@pytest.mark.parametrize("damage", [b"a & b", b"<", b"</oops>", b"&nbsp;", b"]]>", b"<a b=c>"])
def test_damage_costs_one_finding_and_is_located(damage: bytes, chunk_size: int) -> None:
    offset = WHOLE.index(b"ok", WHOLE.index(b'pluginID="3"'))
    data = WHOLE[:offset] + damage + WHOLE[offset:]
    events, report = read(data, chunk_size=chunk_size)
    assert plugins(events) == [1, 2, 4, 5, 6, 7, 8, 9, 10]
    (problem,) = report.problems
    assert problem.kind is ParseProblemKind.MALFORMED
    line, column = place_of(data, offset)
    assert problem.line == line
    assert column <= problem.column <= column + len(damage) + 4
    assert problem.saved is not None
    assert "plugin 3 was left out" in problem.saved
    assert f"resumed at line {line + 1}, column 0" in problem.saved
    assert not report.complete
    assert [end.complete for end in ends(events)] == [False, True]


@pytest.mark.parametrize("chunk_size", [1, 64, 2**18])
def test_places_are_right_after_damage_too(chunk_size: int) -> None:
    first = WHOLE.index(b"ok", WHOLE.index(b'pluginID="3"'))
    data = WHOLE[:first] + b"&" + WHOLE[first:]
    second = data.index(b"ok", data.index(b'pluginID="4"'))
    data = data[:second] + b"&" + data[second:]
    events, report = read(data, chunk_size=chunk_size)
    assert plugins(events) == [1, 2, 5, 6, 7, 8, 9, 10]
    lines = [problem.line for problem in report.problems]
    assert lines == [place_of(data, first)[0], place_of(data, second)[0]]
    columns = [problem.column for problem in report.problems]
    assert abs(columns[1] - place_of(data, second)[1]) <= 4


def test_a_damaged_host_tag_keeps_its_findings_apart() -> None:
    data = WHOLE.replace(b'<ReportHost name="192.0.2.2">', b'<ReportHost name="192.0.2.2>')
    events, report = read(data)
    assert plugins(events) == list(range(1, 11))
    assert [end.host.name for end in ends(events)] == ["192.0.2.1", ""]
    assert report.problem_counts == {"malformed": 1, "misplaced": 1}
    assert not report.complete


def test_damage_in_the_policy_costs_no_finding() -> None:
    data = document(host("192.0.2.1", item(1)), policy="<Policy><a>&</a></Policy>")
    events, report = read(data)
    assert plugins(events) == [1]
    assert not report.complete


def test_too_much_damage_ends_the_reading() -> None:
    items = "".join(item(number, "&") for number in range(300))
    events, report = read(document(host("192.0.2.1", items)))
    assert plugins(events) == []
    assert "too much damage" in report.problems[-1].message


def test_text_after_the_end_loses_nothing() -> None:
    events, report = read(WHOLE + b"\x00\x00 trailing")
    assert len(plugins(events)) == 10
    assert report.problem_counts == {"control": 1, "trailing": 1}
    assert report.complete


def test_a_second_document_in_the_file_is_read_and_reported() -> None:
    events, report = read(WHOLE + WHOLE.replace(b'ReportHost name="', b'ReportHost name="other-'))
    assert len(plugins(events)) == 20
    assert report.problems


# -- encodings


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8", ""),
        ("utf-8", ' encoding="UTF-8"'),
        ("utf-8-sig", ""),
        ("latin-1", ' encoding="ISO-8859-1"'),
        ("cp1252", ' encoding="windows-1252"'),
        ("utf-16", ' encoding="UTF-16"'),
        ("utf-16-le", ' encoding="UTF-16"'),
    ],
)
def test_encodings(encoding: str, declared: str) -> None:
    head = f'<?xml version="1.0"{declared}?>'
    text = document(host("192.0.2.1", item(1, output("Grüße"))), head=head).decode()
    events, report = read(text.encode(encoding))
    assert [finding.plugin_output for finding in findings_of(events)] == ["Grüße"]
    assert report.problems == ()


@pytest.mark.parametrize("chunk_size", [1, 64, 2**18])
def test_bytes_of_another_encoding_are_marked_not_guessed(chunk_size: int) -> None:
    data = WHOLE.replace(b"ok", "Grüße".encode("latin-1"), 1)
    events, report = read(data, chunk_size=chunk_size)
    assert findings_of(events)[0].plugin_output == "Gr\ufffd\ufffde"
    assert len(plugins(events)) == 10
    assert set(report.problem_counts) == {"encoding"}
    assert (report.problems[0].line, report.problems[0].column) == place_of(
        data, data.index(b"\xfc")
    )
    assert report.complete


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 64])
def test_a_mark_of_the_document_itself_is_no_problem(chunk_size: int) -> None:
    events, report = read(WHOLE.replace(b"ok", "\ufffd".encode()), chunk_size=chunk_size)
    assert findings_of(events)[0].plugin_output == "\ufffd"
    assert report.problems == ()


def test_a_declared_encoding_we_do_not_know_is_told() -> None:
    data = document(host("a", item(1)), head='<?xml version="1.0" encoding="EBCDIC-US"?>')
    events, report = read(data)
    assert plugins(events) == [1]
    assert "EBCDIC-US" in report.problems[0].message


@pytest.mark.slow
@pytest.mark.parametrize("chunk_size", [1, 64, 2**18])
@pytest.mark.parametrize(
    "hostile", [b"\x00", b"\x1b", b"\x08", b"&#0;", b"&#x1B;", b"&#27;", "\uffff".encode()]
)
def test_forbidden_characters_are_marked(hostile: bytes, chunk_size: int) -> None:
    data = WHOLE.replace(b"ok", b"[" + hostile + b"]", 1)
    events, report = read(data, chunk_size=chunk_size)
    assert findings_of(events)[0].plugin_output == "[\ufffd]"
    assert len(plugins(events)) == 10
    assert report.problem_counts == {"control": 1}
    assert report.problems[0].line == place_of(data, data.index(hostile))[0]
    assert report.complete


def test_allowed_references_and_breaks_stay() -> None:
    data = document(
        host("a", item(1, "<plugin_output>&#10;&#x9;&#13;&lt;&#128512;</plugin_output>"))
    )
    events, report = read(data)
    assert findings_of(events)[0].plugin_output == "\n\t\r<😀"
    assert report.problems == ()


# -- refusals

LAUGHS = b"".join(
    b'<!ENTITY l%d "%s">' % (level, b"&l%d;" % (level - 1) * 10) for level in range(1, 10)
)


@pytest.mark.parametrize(
    "doctype",
    [
        b'<!DOCTYPE NessusClientData_v2 [<!ENTITY l0 "lol">%s]>' % LAUGHS,
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
        b'<!DOCTYPE x SYSTEM "http://192.0.2.1/x.dtd">',
        b'<!DOCTYPE x [<!ENTITY %% p SYSTEM "http://192.0.2.1/"> %%p;]>',
        b"<!DOCTYPE NessusClientData_v2>",
    ],
)
def test_document_types_are_refused(doctype: bytes) -> None:
    data = WHOLE.replace(b"?>\n", b"?>\n" + doctype, 1).replace(b"ok", b"&l9;&e;")
    events, report = read(data)
    assert events == []
    assert not report.complete
    assert [problem.kind for problem in report.problems] == [ParseProblemKind.DOCTYPE]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"<html><body/></html>", "html"),
        (b"<NessusClientData><Report/></NessusClientData>", "version 1"),
    ],
)
def test_other_documents_are_no_reports(data: bytes, word: str) -> None:
    events, report = read(data)
    assert events == []
    assert report.problems[0].kind is ParseProblemKind.NOT_A_REPORT
    assert word in report.problems[0].message
    assert not report.complete


@pytest.mark.parametrize("data", [b"", b"   ", b'{"json": 1}', b"\x1f\x8b\x08gzip"])
def test_what_is_no_xml_is_incomplete(data: bytes) -> None:
    events, report = read(data)
    assert events == []
    assert not report.complete
    assert report.problems


# -- bounds


class Generated(io.RawIOBase):
    """A document that is made while it is read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, size: int = -1) -> bytes:
        return next(self._pieces, b"")


def read_bounded(pieces: Iterator[bytes], *, most: int) -> tuple[ParseReport, int]:
    """Reads a generated document; fails if more than `most` bytes were in use at once."""
    findings = 0

    def count(event: Event) -> None:
        nonlocal findings
        findings += bool(findings_of([event]))

    tracemalloc.start()
    try:
        report = parse(Generated(pieces), count)  # type: ignore[arg-type]  # all it does is read
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most
    return report, findings


HEAD = b"<NessusClientData_v2><Report><ReportHost name='a'><HostProperties></HostProperties>"
TAIL = b"</ReportHost></Report></NessusClientData_v2>"
ITEM = b"<ReportItem pluginID='1' port='0' severity='1'>"
MIB = 2**20


@pytest.mark.slow
def test_a_giant_text_is_cut_within_bounds() -> None:
    def pieces() -> Iterator[bytes]:
        yield HEAD + ITEM + b"<plugin_output>"
        for _ in range(256):
            yield b"x" * (MIB // 4)
        yield b"</plugin_output></ReportItem>" + ITEM + b"</ReportItem>" + TAIL

    report, findings = read_bounded(pieces(), most=24 * MIB)
    assert findings == 2
    (problem,) = report.problems
    assert problem.kind is ParseProblemKind.TOO_LARGE
    assert f"plugin_output of {64 * MIB} characters was cut short" in problem.message


def test_much_white_space_is_nobodys_text() -> None:
    space = " " * 10_000
    data = document(host("a", space, item(1, space, output("x"), space, element("synopsis", "y"))))
    events, report = read(data, limits=Limits(text=100), chunk_size=50)
    (finding,) = findings_of(events)
    assert (finding.plugin_output, finding.plugin.synopsis) == ("x", "y")
    assert report.problems == ()


@pytest.mark.slow
def test_a_giant_tag_is_refused_within_bounds() -> None:
    def pieces() -> Iterator[bytes]:
        yield HEAD + b"<ReportItem "
        for number in range(500_000 // 2000):
            yield b"".join(b"a%d='1' " % (number * 2000 + each) for each in range(2000))
        yield b"></ReportItem>" + ITEM + b"</ReportItem>" + TAIL

    report, findings = read_bounded(pieces(), most=48 * MIB)
    assert findings == 1
    assert report.problems[0].kind is ParseProblemKind.TOO_LARGE
    assert not report.complete


@pytest.mark.slow
def test_a_comment_without_end_is_refused_within_bounds() -> None:
    def pieces() -> Iterator[bytes]:
        yield HEAD + b"<!--"
        for _ in range(128):
            yield b"-x" * (MIB // 8)

    report, _ = read_bounded(pieces(), most=24 * MIB)
    assert report.problems[0].kind is ParseProblemKind.TOO_LARGE


@pytest.mark.slow
@pytest.mark.parametrize(
    "where", [HEAD, HEAD + ITEM, HEAD + ITEM + b"<cve>", b"<NessusClientData_v2><Policy>"]
)
def test_deep_nesting_is_refused_within_bounds(where: bytes) -> None:
    def pieces() -> Iterator[bytes]:
        yield where
        for _ in range(64):
            yield b"<a>" * 50_000

    report, _ = read_bounded(pieces(), most=16 * MIB)
    assert report.problems[0].kind in (ParseProblemKind.TOO_LARGE, ParseProblemKind.BAD_VALUE)
    assert not report.complete


@pytest.mark.slow
def test_too_many_children_are_left_out_within_bounds() -> None:
    def pieces() -> Iterator[bytes]:
        yield HEAD + ITEM
        for _ in range(40):
            yield b"<cve>CVE-2024-0001</cve>" * 5000
        yield b"</ReportItem>" + TAIL

    report, findings = read_bounded(pieces(), most=32 * MIB)
    assert findings == 1
    assert report.problem_counts == {"too_large": 1}


@pytest.mark.slow
def test_endless_new_names_end_the_reading_within_bounds() -> None:
    def pieces() -> Iterator[bytes]:
        yield HEAD + ITEM
        for number in range(200):
            yield b"".join(b"<n%d/>" % (number * 5000 + each) for each in range(5000))

    report, _ = read_bounded(pieces(), most=32 * MIB)
    assert "too many different names" in report.problems[-1].message


@pytest.mark.slow
def test_many_properties_are_left_out_within_bounds() -> None:
    def pieces() -> Iterator[bytes]:
        yield HEAD.removesuffix(b"</HostProperties>")
        for number in range(30):
            yield b"".join(b"<tag name='%d-%d'>x</tag>" % (number, each) for each in range(5000))
        yield b"</HostProperties>" + ITEM + b"</ReportItem>" + TAIL

    report, findings = read_bounded(pieces(), most=32 * MIB)
    assert findings == 1
    assert report.problem_counts == {"too_large": 1}


def test_many_problems_are_counted_and_few_are_kept() -> None:
    items = (item(number, element("cvss_base_score", "x")) for number in range(KEPT + 50))
    _, report = read(document(host("a", *items)))
    assert report.problem_counts == {"bad_value": KEPT + 50}
    assert len(report.problems) == KEPT


@pytest.mark.slow
def test_memory_does_not_grow_with_the_document() -> None:
    body = (item(5, element("description", "d" * 2000), output("o" * 500)).encode()) * 90

    def pieces() -> Iterator[bytes]:
        yield HEAD
        for _ in range(100):
            yield body
        yield TAIL

    _, findings = read_bounded(pieces(), most=6 * MIB)
    assert findings == 9000


def test_limits_can_be_chosen() -> None:
    events, report = read(document(host("a", item(1, output("x" * 50)))), limits=Limits(text=10))
    assert findings_of(events)[0].plugin_output == "x" * 10
    assert re.search("50 characters", report.problems[0].message)


def test_the_report_can_be_asked_before_the_end() -> None:
    reader = Reader(io.BytesIO(WHOLE), chunk_size=400)
    events = iter(reader)
    for _ in range(4):
        next(events)
    assert not reader.report.complete
    assert 0 < reader.report.findings < 10


def test_a_problem_reads_as_a_sentence() -> None:
    problem = Problem(
        kind=ParseProblemKind.TRUNCATED, message="cut", line=3, column=5, saved="kept 1"
    )
    assert str(problem) == "line 3, column 5: cut (kept 1)"
