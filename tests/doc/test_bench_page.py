"""The page of measurements says what was measured."""

from __future__ import annotations

from pathlib import Path

from tests.bench.report import PAGE, markdown, read

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "etc/doc/bench"


def test_the_page_is_made_of_the_figures() -> None:
    assert (BENCH / PAGE).read_text() == markdown(*read(BENCH))


def test_every_chart_of_the_page_on_performance_is_there() -> None:
    page = (BENCH.parent / "performance.md").read_text()
    shown = [part.split(")")[0] for part in page.split("](bench/")[1:]]
    assert shown
    for name in shown:
        assert (BENCH / name).exists(), name
