"""Stories of many lives by the thousand, told in as many processes as there are processors."""

from __future__ import annotations

import logging
import multiprocessing
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import structlog

from support.life_story import HOUR, MINUTE, Story

MEMORY = Path("/dev/shm")  # noqa: S108 - only a fresh directory of our own in it
LONG = 20
"""One story in so many is a long one with many tasks."""


@contextmanager
def directory() -> Iterator[Path]:
    """In memory where there is such a place: the disk's own safety is proved elsewhere."""
    place = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as name:
        yield Path(name)


def story_of(seed: int, place: Path) -> Story:
    if seed % LONG == 0:
        return Story(seed, place, tasks=10, lasts=HOUR)
    return Story(seed, place, tasks=3, lasts=10 * MINUTE)


def troubles(seeds: Iterable[int]) -> list[str]:
    """What went wrong in the stories of these seeds."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(mp_context=context, initializer=_hush) as pool:
        return [trouble for trouble in pool.map(_trouble, seeds, chunksize=LONG) if trouble]


def _trouble(seed: int) -> str | None:
    with directory() as place:
        try:
            story_of(seed, place).tell()
        except Exception:  # noqa: BLE001 - whatever it is, it is the finding
            return f"seed {seed}\n{traceback.format_exc()}"
    return None


def _hush() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
