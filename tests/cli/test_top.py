"""What fits on the screen of `top`, and the picture of it in the documentation."""

from __future__ import annotations

import re
from typing import Any

import click
import pytest
from rich.console import Console

from nessus_sched.cli.client import NoDaemon, Refused
from nessus_sched.cli.output import build_table
from nessus_sched.cli.top import Shown, fetch_plan, fitted, plan_lines, screen
from support.pictures import FILE, picture, seen
from support.plans import answered, night

PLAN = answered(night())


def shown(*counts: int) -> list[Shown]:
    return [("title", ("one", "two"), [(number,) for number in range(count)]) for count in counts]


@pytest.mark.parametrize(
    ("counts", "height", "left"),
    [
        ((2, 3), 11, [2, 3]),
        ((2, 3), 10, [2, 2]),
        ((2, 30, 4), 19, [2, 4, 4]),
        ((2, 30, 4), 16, [2, 3, 2]),
        ((5, 5), 0, [1, 1]),
        ((), 0, []),
    ],
)
def test_the_longest_table_is_cut_first(
    counts: tuple[int, ...], height: int, left: list[int]
) -> None:
    found = fitted(shown(*counts), height)
    assert [len(rows) for _, _, rows, _ in found] == left
    assert [len(rows) + more for _, _, rows, more in found] == list(counts)


@pytest.mark.parametrize("width", [80, 60])
def test_a_table_folds_its_cells_and_loses_nothing(width: int) -> None:
    row = ("high", "192.0.2.4", "445/tcp", "97833", "MS17-010: Security Update for SMB Server",
           "8.1", "CVE-2017-0143 CVE-2017-0144", "known exploited")  # fmt: skip
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(
            build_table(("severity", "host", "port", "id", "name", "score", "cve", ""), [row])
        )
    drawn_row = capture.get()[capture.get().index("high") :].replace("|", "")
    assert sorted("".join(drawn_row.split())) == sorted("".join("".join(row).split()))


@pytest.mark.slow
@pytest.mark.parametrize("planned", [True, False])
@pytest.mark.parametrize("size", [(100, 30), (80, 27), (60, 26)])
def test_it_fits_the_terminal_line_by_line(size: tuple[int, int], *, planned: bool) -> None:
    width, height = size
    console = Console(width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(screen({**seen(), "plan": PLAN if planned else None}, size))
    lines = capture.get().rstrip("\n").split("\n")
    assert len(lines) <= height
    assert all(len(line.rstrip()) <= width for line in lines)
    for title in ("Scanners", "Running", "Waiting", "Finished", *["Plan"] * planned):
        assert any(line.startswith(title) for line in lines)
    assert any("t-aypb2m97k3m9pq" in line for line in lines)


def test_a_plan_that_has_no_room_is_left_out() -> None:
    console = Console(width=80, height=24, color_system=None)
    drawn = []
    for plan in (PLAN, None):
        with console.capture() as capture:
            console.print(screen({**seen(), "plan": plan}, (80, 24)))
        drawn.append(capture.get())
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("error", [Refused("no", "not_permitted"), click.ClickException("unknown")])
def test_a_user_without_the_plan_sees_the_rest(error: Exception) -> None:
    assert fetch_plan(Refusing(error)) is None
    assert plan_lines({"plan": None}, 80) == []


def test_a_lost_daemon_is_not_a_missing_plan() -> None:
    with pytest.raises(NoDaemon):
        fetch_plan(Refusing(NoDaemon("gone")))


class Refusing:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        assert (tool, arguments) == ("get_plan", {"timeline": True})
        raise self._error

    operate = call


def test_the_picture_is_current_and_loads_nothing() -> None:
    drawn = picture()
    assert not re.search(r"url\((?!#)|href=|@import|src=", drawn)
    texts = [re.findall(r">([^<>]+)</text>", svg) for svg in (drawn, FILE.read_text("utf-8"))]
    assert texts[0] == texts[1], "run: PYTHONPATH=tests/lib .venv/bin/python -m support.pictures"
