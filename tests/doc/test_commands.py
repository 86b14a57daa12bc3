"""Every command in the documentation exists, with the options and values that it shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest

from nessus_sched.cli.main import cli
from support.documents import FOLDER

CHECKOUT = FOLDER.parents[1]
PAGES = sorted([CHECKOUT / "README.md", *(CHECKOUT / "etc").rglob("*.md")])
PROGRAM = "nessus-sched"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_QUOTED = re.compile(r"`((?:[^`\s]*/)?nessus-sched [^`]+)`")
_CALL = re.compile(r"(^|[\s/(])nessus-sched [a-z-]")
_WORDS_OF_USAGE = re.compile(r"\[|\||\.\.\.")


def lines(text: str) -> Iterator[str]:
    """The lines of blocks that call the program, and the calls quoted in sentences."""
    for language, block in _BLOCK.findall(text):
        if language in ("", "sh", "console"):
            joined = block.replace("\\\n", " ")
            yield from (
                line for line in joined.splitlines() if _CALL.search(line) and line.isascii()
            )
    for quoted in _QUOTED.findall(_BLOCK.sub("", text)):
        if not _WORDS_OF_USAGE.search(quoted):
            yield " ".join(quoted.split())


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of each call of the program on a page."""
    for line in lines(page.read_text(encoding="utf-8")):
        words = shlex.split(line.removeprefix("$ "), comments=True)
        (start, *_) = (n for n, word in enumerate(words) if word.rpartition("/")[2] == PROGRAM)
        while words[start + 1 : start + 2] == [PROGRAM]:
            start += 1  # `docker exec nessus-sched nessus-sched tasks`
        rest = words[start + 1 :]
        end = next((n for n, each in enumerate(rest) if each in {"|", "&", "&&"}), None)
        yield rest[:end]


def parse(command: click.Command, words: Sequence[str], parent: click.Context | None) -> None:
    """Parses as the program does, and calls nothing."""
    context = command.make_context(command.name, list(words), parent=parent)
    with context:
        if isinstance(command, click.Group):
            rest = [*context._protected_args, *context.args]
            if rest:
                _, chosen, rest = command.resolve_command(context, rest)
                assert chosen is not None, words
                parse(chosen, rest, context)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_command_on_a_page_can_be_typed(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NESSUS_SCHED_CONFIG", str(CHECKOUT / "etc" / "nessus-sched.yaml"))
    for words in commands(page):
        try:
            parse(cli, words, None)
        except (click.exceptions.Exit, click.MissingParameter):
            pass  # `nessus-sched status` in a sentence names the command
        except click.UsageError as error:
            if "does not exist" in error.format_message():
                continue  # a file of the reader's
            pytest.fail(f"nessus-sched {shlex.join(words)}: {error.format_message()}")


def test_there_are_commands_on_the_pages() -> None:
    assert sum(len(list(commands(page))) for page in PAGES) > 50
