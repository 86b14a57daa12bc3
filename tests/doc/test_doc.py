"""The pages in etc/doc say what is: those made from the program are current, links lead
somewhere, and what is named as a proof is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nessus_sched.api.tools import ALL_TOOLS, TOOLS
from support.documents import FOLDER, pages

CHECKOUT = FOLDER.parents[1]
PAGES = sorted([*FOLDER.glob("*.md"), CHECKOUT / "README.md", *(CHECKOUT / "etc").glob("*/*.md")])


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_made_pages_are_current(path: Path) -> None:
    advice = "run: PYTHONPATH=tests/lib .venv/bin/python -m support.documents"
    assert path.read_text(encoding="utf-8") == pages()[path], advice


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize("name", ["security.md", "track-record.md"])
def test_tests_that_are_named_exist(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    named = re.findall(r"\btests/[\w/]+\.py\b", text)
    assert named
    for path in named:
        assert (CHECKOUT / path).exists(), path


def test_every_promise_has_a_proof() -> None:
    rows = re.findall(r"^\| (P\d+) \|.*`pytest", (FOLDER / "track-record.md").read_text(), re.M)
    assert rows == [f"P{number}" for number in range(1, 18)]


def test_the_guide_names_the_tools_that_there_are() -> None:
    text = (FOLDER / "assistant.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[a-z]+_)+[a-z]+)`", text)) - {
        "operator_tools", "approve_exceptions",
    }  # fmt: skip
    assert named <= {tool.name for tool in ALL_TOOLS}
    assert {tool.name for tool in TOOLS} - named <= {"rescan"}
