"""Which figures differ from those of an earlier revision."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import cattrs

from tests.bench.figures import Figure
from tests.bench.report import number, read

FILE = "etc/doc/bench/results.json"
NOTABLE = 1.15
"""The smallest ratio that is shown: two runs of one program differ by as much."""

Cells = Mapping[tuple[str, str, str], Figure]
"""By part, by what was measured, and by size."""


def figures_of(root: Path, revision: str | None) -> Cells:
    """Those in the repository's history; without `revision` those in the working tree."""
    if revision is None:
        return cells((root / FILE).read_text())
    command = ["git", "show", f"{revision}:{FILE}"]
    return cells(subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True).stdout)


def cells(results: str | bytes) -> Cells:
    """From the JSON that `report.write` keeps, or kept until 0.2.0: one machine for all parts."""
    document = json.loads(results)
    parts = (
        cattrs.structure(document["parts"], dict[str, list[Figure]])
        if "parts" in document
        else {name: part.figures for name, part in read(results).items()}
    )
    return {
        (name, f"{figure.what}, {figure.who}", _size(figure)): figure
        for name, figures in parts.items()
        for figure in figures
    }


def changes(before: Cells, now: Cells) -> Iterator[str]:
    """A table in Markdown of what differs notably, then what has only one side."""
    yield "| part | | at | before | now | ratio |"
    yield "|---|---|---|---:|---:|---:|"
    for key, new in now.items():
        old = before.get(key)
        if old is None or old.value == new.value:
            continue
        ratio = new.value / old.value if old.value else float("inf")
        if not 1 / NOTABLE < ratio < NOTABLE:
            values = f"{number(old.value)} | {number(new.value)} {new.unit} | {number(ratio)}"
            yield f"| {' | '.join(key)} | {values} |"
    for word, only in (("new", now.keys() - before.keys()), ("gone", before.keys() - now.keys())):
        if only:
            yield ""
            yield from sorted({f"- {word}: {part}, {what}" for part, what, _ in only})


def _size(figure: Figure) -> str:
    return f"{figure.at:,} {figure.of}" if figure.at else ""
