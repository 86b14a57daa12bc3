"""Charts of the figures, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from tests.bench.figures import Figure

Found = Mapping[str, Sequence[Figure]]
"""Figures by the part that they are of."""
Lines = dict[str, list[tuple[float, float]]]

LEFT_OUT = {"processor time until then", "submit_scan by the official client, p50"}
"""What others say too."""

mpl.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "nessus-sched", "font.size": 9,
    "font.family": "sans-serif", "axes.grid": True, "grid.alpha": 0.3,
    "axes.spines.top": False, "axes.spines.right": False, "figure.figsize": (7.2, 3.8),
})  # fmt: skip


def draw(directory: Path, found: Found) -> None:
    """One file for each chart whose figures are there."""
    charts: dict[str, tuple[str, Callable[[Axes], None]]] = {}
    if "submissions" in found:
        charts["submissions"] = (
            "Durable submissions per second",
            lambda axes: _lines(axes, _by(found["submissions"], "per second"), "callers"),
        )
    if "slow_disk" in found:
        charts["slow-disk"] = (
            "Durable submissions per second when a sync takes 8 ms, 256 callers",
            lambda axes: _bars(axes, [f for f in found["slow_disk"] if f.at == 256]),
        )
    growth = growing(found)
    if growth:
        charts["growth"] = ("Cost by size", lambda axes: _lines(axes, growth, "size"))
    for name, (title, plot) in charts.items():
        figure, axes = plt.subplots(layout="constrained")
        axes.set_prop_cycle(
            color=plt.get_cmap("tab20").colors[::2] + plt.get_cmap("tab20").colors[1::2]
        )
        axes.set_title(title, loc="left", fontweight="bold")
        plot(axes)
        figure.savefig(directory / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)


def growing(found: Found) -> Lines:
    """What was measured at several sizes, in seconds or milliseconds."""
    lines: Lines = {}
    for name in ("reads", "findings", "startup"):
        for figure in found.get(name, ()):
            if figure.unit in {"s", "ms"} and figure.at and figure.what not in LEFT_OUT:
                seconds = figure.value if figure.unit == "s" else figure.value / 1000
                lines.setdefault(f"{figure.what} ({figure.of})", []).append((figure.at, seconds))
    return {name: points for name, points in lines.items() if len(points) > 1}


def _by(figures: Sequence[Figure], unit: str) -> Lines:
    lines: Lines = {}
    for figure in figures:
        if figure.unit == unit and figure.at:
            lines.setdefault(figure.who, []).append((figure.at, figure.value))
    return lines


def _lines(axes: Axes, lines: Lines, of: str) -> None:
    for (name, points), marker in zip(lines.items(), "osD^vPX*<>hpd8" * 3, strict=False):
        ours = name == "nessus-sched"
        axes.plot(
            *zip(*points, strict=True), marker=marker, markersize=4, label=name,
            linewidth=2.5 if ours else 1.2,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(of)
    axes.set_ylabel("seconds" if of == "size" else "")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _bars(axes: Axes, figures: Sequence[Figure]) -> None:
    figures = sorted(figures, key=lambda figure: figure.value)
    bars = axes.barh([f.who for f in figures], [f.value for f in figures])
    axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)
    axes.grid(visible=False)
