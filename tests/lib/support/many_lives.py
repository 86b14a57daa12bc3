"""Stories of many lives by the thousand, told in as many processes as there are processors."""

from __future__ import annotations

import logging
import multiprocessing
import tempfile
import traceback
from collections import Counter
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


def told(seeds: Iterable[int]) -> tuple[list[str], Counter[str]]:
    """What went wrong in the stories of these seeds, and how often what happened in them."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(mp_context=context, initializer=_hush) as pool:
        found = list(pool.map(_told, seeds, chunksize=LONG))
    happened = sum((each for _, each in found), Counter[str]())
    return [trouble for trouble, _ in found if trouble], happened


def _told(seed: int) -> tuple[str | None, Counter[str]]:
    with directory() as place:
        story = story_of(seed, place)
        try:
            story.tell()
        except Exception:  # noqa: BLE001 - whatever it is, it is the finding
            return f"seed {seed}\n{traceback.format_exc()}", story.judge.happened
    return None, story.judge.happened


def _hush() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
