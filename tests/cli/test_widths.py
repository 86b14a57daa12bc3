"""Which columns of a table give way when there is little room."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from nessus_sched.cli.layout import fitted_widths
from nessus_sched.cli.output import build_table, wrapped
from support.command import typed

COLUMNS = ("task", "state", "name", "progress", "why")


@pytest.mark.slow
@given(st.lists(st.integers(0, 200), min_size=5, max_size=5), st.integers(0, 400))
def test_names_give_way_first_then_texts_and_nothing_else(natural: list[int], room: int) -> None:
    task, state, name, progress, why = fitted_widths(COLUMNS, natural, room)
    assert (task, state, progress) == (natural[0], natural[1], natural[3])
    assert name <= natural[2]
    assert why <= natural[4]
    if why < natural[4]:
        assert name <= max(8, min(natural[2], 8))
    fits = task + state + name + progress + why <= room
    assert fits or (name <= 8 and why <= 16)
    if sum(natural) <= room:
        assert [task, state, name, progress, why] == natural


def drawn(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(build_table(columns, rows))
    return captured.get().splitlines()


LONGEST = "Apache Log4Shell RCE detection via callback correlation"


def test_a_long_name_moves_below_its_row_before_any_word_is_broken() -> None:
    lines = drawn(
        ("severity", "host", "port", "plugin", "name", "score", "cve", "remark"),
        [("critical", "198.51.100.212", "443/tcp", "156014", LONGEST, "10.0", "-", "exploited")],
        80,
    )
    assert [line.split() for line in lines] == [
        ["severity", "host", "port", "plugin", "score", "cve", "remark"],
        ["name"],
        ["critical", "198.51.100.212", "443/tcp", "156014", "10.0", "-", "exploited"],
        LONGEST.split(),
    ]
    assert lines[3].index("Apache") == lines[2].index("198")


def test_what_a_row_is_about_stays_in_the_row() -> None:
    lines = drawn(
        ("change", "severity", "plugin", "host", "port", "state", "days",
         "last seen", "name", "why"),
        [("unverified", "critical", "156014", "198.51.100.75", "49152/tcp", "resurfaced", "400",
          "2026-11-29", LONGEST, "its name belongs to another host now")],
        80,
    )  # fmt: skip
    assert lines[0].split() == ["change", "severity", "plugin", "host", "port", "state", "days"]
    assert lines[1].split() == ["last", "seen", "|", "name", "|", "why"]
    assert lines[2].split()[3] == "198.51.100.75"
    below = " ".join(lines[3:]).split()
    assert " ".join(below) == f"2026-11-29 | {LONGEST} | its name belongs to another host now"


def test_errors_on_a_terminal_are_broken_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
    said = typed("status", "x", env={"NESSUS_SCHED_SOCKET": "/nonexistent/socket"})
    assert said.code == 3
    assert all(len(line) <= 60 for line in said.err.splitlines()), said.err
    assert "start it with" in " ".join(said.err.split())
    wrong = typed("tasks", "--since", "yesterday")
    assert wrong.code == 2
    assert all(len(line) <= 60 for line in wrong.err.splitlines()), wrong.err
    assert "Invalid value for '--since': 'yesterday'" in " ".join(wrong.err.split())
    help_text = typed("results").err
    assert "\n  export  " in help_text
    assert help_text.startswith("Usage: nessus-sched results")


def test_sentences_are_wrapped_in_their_column_if_there_is_room() -> None:
    why = "waits for a free slot of the scanner, which two scans hold"
    lines = drawn(("task", "why"), [("t-1", why)], 40)
    assert lines[0].split() == ["task", "why"]
    assert lines[1].startswith(" t-1   waits for")
    assert all(line.startswith("       ") for line in lines[2:])
    assert " ".join(lines[1:]).split() == ["t-1", *why.split()]


WORDS = st.text("abc.:/é漢", min_size=1, max_size=16)
CELLS = st.lists(WORDS, max_size=12).map(" ".join)


@pytest.mark.slow
@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS, CELLS), max_size=4), st.integers(40, 140))
def test_no_word_is_broken_and_no_line_too_long(rows: list[tuple[str, ...]], width: int) -> None:
    """The longest word has 32 cells, and a line has room for it."""
    lines = drawn(COLUMNS, rows, width)
    assert all(cell_len(line) <= width for line in lines)
    shown = Counter(word for line in lines for word in line.split() if word != "|")
    for row in [COLUMNS, *rows]:
        shown.subtract(word for cell in row for word in cell.split())
    assert set(shown.elements()) <= {"-"}
    assert min(shown.values(), default=0) >= 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_sentences_on_a_terminal_are_broken_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = "The hosts were scanned with different plugin sets: 202611280141, 202611280142."
    lines = wrapped(text, 13, Terminal()).split("\n")
    assert all(len(line) <= 40 for line in lines[1:])
    assert len(lines[0]) <= 40 - 13
    assert " ".join(lines).split() == text.split()
    assert all(line.startswith(" " * 13) for line in lines[1:])
    assert wrapped(text, 13, io.StringIO()) == text
