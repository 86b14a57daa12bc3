"""The collection of real reports, which lies beside the repository and not in it."""

from __future__ import annotations

from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[3] / ".." / "shared" / "data" / "nessus"


def find_sample(name: str) -> Path:
    """Skips the test where the collection is not there."""
    path = SAMPLES / f"{name}.nessus"
    if not path.exists():
        pytest.skip("the collection of real reports is not here")
    return path
