"""Figures as JSON, as tables and as charts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import attrs
import cattrs

from tests.bench.figures import Figure

Found = Mapping[str, Sequence[Figure]]
"""Figures by the part that they are of."""
RESULTS = "results.json"
PAGE = "README.md"
INTRODUCTION = """\
Made by `python -m tests.bench`: medians, and in brackets latencies in milliseconds
(median / 99th percentile; beside a median in milliseconds only the 99th percentile)."""


def write(directory: Path, machine: Mapping[str, str], found: Found) -> None:
    """Puts the figures with those of other parts that were kept, and the page and the charts
    anew. The machine is taken to be the one of before."""
    directory.mkdir(exist_ok=True)
    file = directory / RESULTS
    kept = json.loads(file.read_text())["parts"] if file.exists() else {}
    kept |= {name: [_compact(figure) for figure in figures] for name, figures in found.items()}
    file.write_text(json.dumps({"machine": machine, "parts": kept}, indent=1) + "\n")
    machine, found = read(directory)
    (directory / PAGE).write_text(markdown(machine, found))
    if find_spec("matplotlib"):
        from tests.bench.charts import draw

        draw(directory, found)


def read(directory: Path) -> tuple[dict[str, str], dict[str, list[Figure]]]:
    document = json.loads((directory / RESULTS).read_text())
    return document["machine"], cattrs.structure(document["parts"], dict[str, list[Figure]])


def _compact(figure: Figure) -> dict[str, object]:
    """Without what is absent, and with the digits that mean something."""
    row = attrs.asdict(figure, filter=lambda _, value: value is not None and value != "")
    return {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in row.items()}


def markdown(machine: Mapping[str, str], found: Found) -> str:
    lines = [
        "# Measurements",
        "",
        INTRODUCTION,
        "",
        *(f"- {what}: {value}" for what, value in machine.items()),
    ]
    for name, figures in found.items():
        lines += ["", f"## {name.replace('_', ' ').capitalize()}"]
        units = dict.fromkeys((figure.of, figure.unit) for figure in figures)
        for of, unit in units:
            chosen = [f for f in figures if (f.of, f.unit) == (of, unit)]
            lines += ["", *table(of, unit, chosen)]
    return "\n".join(lines) + "\n"


def table(of: str, unit: str, figures: Sequence[Figure]) -> Iterable[str]:
    """One row for each thing measured, one column for each size."""
    sizes = sorted({figure.at or 0 for figure in figures})
    heads = [f"{size:,} {of}".strip() if of else "" for size in sizes]
    yield f"| {unit} | | {' | '.join(heads)} |"
    yield "|---|---|" + "---:|" * len(sizes)
    rows: dict[tuple[str, str], dict[int, Figure]] = {}
    for figure in figures:
        rows.setdefault((figure.what, figure.who), {})[figure.at or 0] = figure
    for (what, who), cells in rows.items():
        shown = [_cell(cells.get(size)) for size in sizes]
        yield f"| {what} | {who} | {' | '.join(shown)} |"


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    if figure.p50 is None or figure.p99 is None:
        return number(figure.value)
    if figure.unit == "ms":
        return f"{number(figure.p50)} ({number(figure.p99)})"
    return f"{number(figure.value)} ({number(figure.p50)} / {number(figure.p99)})"


def number(value: float) -> str:
    """Three digits, or all in front of the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1g}"
