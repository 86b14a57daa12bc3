"""What `sim` is told to be, when it cannot be that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from support.command import one_sentence, typed


@pytest.mark.parametrize(
    "words",
    [
        ("--port", "65536"),
        ("--port", "-1"),
        ("--scans-take", "-1"),
        ("--scans-take", "nan"),
        ("--loading-seconds", "inf"),
        ("--max-scans", "-1"),
        ("--drift", "1.1"),
        ("--drift", "nan"),
    ],
)
def test_numbers_out_of_range_are_wrong_usage(words: Sequence[str]) -> None:
    one_sentence(typed("sim", *words), 2, words[0])


def test_a_directory_without_reports_is_one_sentence(tmp_path: Path) -> None:
    one_sentence(
        typed("sim", "--port", "0", "--replay", str(tmp_path)), 1, "there is no .nessus file in"
    )


def test_an_address_that_is_not_ours_is_one_sentence() -> None:
    one_sentence(typed("sim", "--port", "0", "--host", "192.0.2.1"), 1, "cannot listen on")
