"""Figures as JSON, as tables and as charts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import attrs
import cattrs

from tests.bench.figures import Figure

RESULTS = "results.json"
PAGE = "README.md"
INTRODUCTION = """\
Made by `python -m tests.bench`: medians, and in brackets latencies in milliseconds
(median / 99th percentile; beside a median in milliseconds only the 99th percentile)."""


@attrs.frozen
class Part:
    """Figures that were measured together, and the machine they hold for."""

    machine: Mapping[str, str]
    figures: Sequence[Figure]


Parts = Mapping[str, Part]
"""By name, in the order of the page."""


def write(directory: Path, name: str, part: Part) -> None:
    """Replaces the figures of this part, and makes page and charts of all parts."""
    directory.mkdir(exist_ok=True)
    file = directory / RESULTS
    kept = json.loads(file.read_text()) if file.exists() else {}
    kept[name] = {
        "machine": part.machine, "figures": [_compact(figure) for figure in part.figures]
    }  # fmt: skip
    file.write_text(json.dumps(kept, indent=1) + "\n")
    parts = read(file.read_text())
    (directory / PAGE).write_text(markdown(parts))
    if find_spec("matplotlib"):
        from tests.bench.charts import draw

        draw(directory, {name: part.figures for name, part in parts.items()})


def read(results: str | bytes) -> dict[str, Part]:
    """From the JSON that `write` keeps."""
    return cattrs.structure(json.loads(results), dict[str, Part])


def _compact(figure: Figure) -> dict[str, object]:
    """Without what is absent, and with the digits that mean something."""
    row = attrs.asdict(figure, filter=lambda _, value: value is not None and value != "")
    return {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in row.items()}


def markdown(parts: Parts) -> str:
    machines = [part.machine for part in parts.values()]
    common = {
        what: value
        for what, value in machines[0].items()
        if all(machine.get(what) == value for machine in machines)
    }
    lines = ["# Measurements", "", INTRODUCTION]
    if common:
        lines += ["", *(f"- {what}: {value}" for what, value in common.items())]
    for name, part in parts.items():
        lines += ["", f"## {name.replace('_', ' ').capitalize()}"]
        own = [f"{what} {value}" for what, value in part.machine.items() if what not in common]
        if own:
            lines += ["", f"Measured with {', '.join(own)}."]
        units = dict.fromkeys((figure.of, figure.unit) for figure in part.figures)
        for of, unit in units:
            chosen = [f for f in part.figures if (f.of, f.unit) == (of, unit)]
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
