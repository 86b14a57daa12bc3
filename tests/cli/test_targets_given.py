"""Targets from files and standard input, and what is typed by mistake for them."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from nessus_sched.cli.scan_options import targets_given
from support.command import one_sentence, typed


def test_a_file_has_targets_comments_and_empty_lines(tmp_path: Path) -> None:
    file = tmp_path / "targets"
    file.write_bytes(
        b"\xef\xbb\xbf# web tier\r\n192.0.2.1, 192.0.2.2\r\n\r\n\t198.51.100.0/28 # office\n"
        b"host.example.com"
    )
    found = ["192.0.2.1", "192.0.2.2", "198.51.100.0/28", "host.example.com"]
    assert targets_given([], file) == found
    assert targets_given(["203.0.113.7"], file) == ["203.0.113.7", *found]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"192.0.2.1\n192.0.2.300\n", "line 2: 192.0.2.300: "),
        (b"192.0.2.1\n\n# x\nhost_\xc3\xa9\n", "line 4: "),
        (b"192.0.2.1\nh\xe9\n", "line 2: not UTF-8 text"),
        (b"# nothing yet\n", "contains no targets"),
        (b"", "contains no targets"),
        (b"192.0.2.1\n" * 100_001, "larger than 1000000 bytes"),
        (b"x@\n" * 30, "and 20 more lines"),
    ],
)
def test_mistakes_in_a_file_are_told_by_line(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "targets"
    file.write_bytes(content)
    with pytest.raises(click.ClickException) as told:
        targets_given([], file)
    assert problem in told.value.message
    assert told.value.message.startswith(str(file))


def test_targets_come_through_standard_input() -> None:
    said = typed("submit", "--targets-file", "-", stdin="192.0.2.1\n192.0.2.300\n")
    one_sentence(said, 1, "line 2: 192.0.2.300")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    one_sentence(typed("submit", "--targets-file", str(tmp_path / "no")), 1, "cannot be read")


@pytest.mark.parametrize("word", ["600.txt", "@600.txt", "@600", "-", "nets.CSV"])
def test_what_is_meant_as_a_file_is_answered_with_the_option(word: str) -> None:
    one_sentence(typed("submit", "--", word), 2, "--targets-file")


def test_no_targets_at_all() -> None:
    one_sentence(typed("submit"), 2, "no targets")


def test_a_zone_that_does_not_exist_is_refused() -> None:
    one_sentence(typed("--tz", "Mars/Olympus", "tasks"), 2, "'Mars/Olympus' is not a time zone")
