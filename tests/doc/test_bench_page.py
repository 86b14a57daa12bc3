"""The page of measurements says what was measured."""

from __future__ import annotations

from pathlib import Path

from tests.bench.changes import cells, changes
from tests.bench.figures import Figure
from tests.bench.report import PAGE, RESULTS, Part, markdown, read, write

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "etc/doc/bench"


def figure(value: float) -> Figure:
    return Figure(what="ping", who="nessus-sched", unit="ms", value=value, at=16, of="callers")


def test_the_page_is_made_of_the_figures() -> None:
    assert (BENCH / PAGE).read_text() == markdown(read((BENCH / RESULTS).read_text()))


def test_every_chart_of_the_page_on_performance_is_there() -> None:
    page = (BENCH.parent / "performance.md").read_text()
    shown = [part.split(")")[0] for part in page.split("](bench/")[1:]]
    assert shown
    for name in shown:
        assert (BENCH / name).exists(), name


def test_a_part_that_is_measured_again_keeps_the_machine_of_the_others(tmp_path: Path) -> None:
    write(tmp_path, "reads", Part({"date": "2026-11-24", "cores": "2"}, [figure(3)]))
    write(tmp_path, "health", Part({"date": "2026-11-29", "cores": "2"}, [figure(4)]))
    assert (tmp_path / PAGE).read_text().partition("\n\n- ")[2].splitlines() == [
        "cores: 2",
        "",
        "## Reads",
        "",
        "Measured with date 2026-11-24.",
        "",
        "| ms | | 16 callers |",
        "|---|---|---:|",
        "| ping | nessus-sched | 3 |",
        "",
        "## Health",
        "",
        "Measured with date 2026-11-29.",
        "",
        "| ms | | 16 callers |",
        "|---|---|---:|",
        "| ping | nessus-sched | 4 |",
    ]


def test_figures_that_hardly_differ_are_no_changes(tmp_path: Path) -> None:
    write(tmp_path, "reads", Part({}, [figure(3)]))
    before = cells((tmp_path / RESULTS).read_text())
    for value, shown in ((3.3, 0), (2.7, 0), (3.6, 1), (1.5, 1)):
        write(tmp_path, "reads", Part({}, [figure(value)]))
        now = cells((tmp_path / RESULTS).read_text())
        assert len(list(changes(before, now))) == 2 + shown, value
    assert list(changes(before, now))[2] == (
        "| reads | ping, nessus-sched | 16 callers | 3 | 1.5 ms | 0.5 |"
    )
