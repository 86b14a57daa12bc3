"""The benchmarks still run; here with sizes that say nothing."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

LIB = Path(__file__).parents[1] / "lib"
pytestmark = pytest.mark.slow

SMALL: dict[str, dict[str, Any]] = {
    "findings": {"IMPORTED": (400, 600), "TIMES": 2, "SECONDS": 0.02},
    "ledger": {"ENTERED": (400,), "KEPT": (40_000,), "ASKED": 2},
    "reads": {"SIZES": (1_000,), "SECONDS": 0.02},
}


@pytest.mark.parametrize("part", SMALL)
def test_a_part_still_finds_figures(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(LIB))
    module = import_module(f"tests.bench.{part}")
    for name, value in SMALL[part].items():
        monkeypatch.setattr(module, name, value)
    assert module.measure()
