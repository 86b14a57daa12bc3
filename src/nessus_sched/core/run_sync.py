"""How blocking work is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class RunSync(Protocol):
    """Does blocking work. Virtual time does not see threads, so a simulation brings its own."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...
