"""Times in a pack: UTC, ISO 8601, whole seconds."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache
from typing import overload


@overload
def iso(at: float) -> str: ...
@overload
def iso(at: None) -> None: ...
def iso(at: float | None) -> str | None:
    """Of epoch seconds, such as `2026-07-01T00:00:00Z`."""
    return None if at is None else _iso(at)


@lru_cache(maxsize=4096)
def _iso(at: float) -> str:
    return f"{datetime.fromtimestamp(math.floor(at), UTC):%Y-%m-%dT%H:%M:%SZ}"
