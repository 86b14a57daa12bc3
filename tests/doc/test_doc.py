"""The pages in etc/doc say what is: those made from the program are current, links lead
somewhere, and what is named as a proof is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nessus_sched.api.tools import ALL_TOOLS, TOOLS
from nessus_sched.results.exports import COLUMNS_OF_TASKS
from nessus_sched.results.ledger.fields import LEDGER
from nessus_sched.results.pack.findings import FIXED_COLUMNS, NEW_COLUMNS, OPEN_COLUMNS
from nessus_sched.results.query.model import JOINED, PROFILES
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
    assert rows == [f"P{number}" for number in range(1, 19)]


def test_the_guide_names_the_tools_that_there_are() -> None:
    text = (FOLDER / "assistant.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[a-z]+_)+[a-z]+)`", text)) - {
        "operator_tools", "approve_exceptions",
    }  # fmt: skip
    assert named <= {tool.name for tool in ALL_TOOLS}
    assert {tool.name for tool in TOOLS} - named <= {"rescan"}


def test_every_field_of_a_finding_is_explained_once() -> None:
    text = (FOLDER / "results.md").read_text(encoding="utf-8")
    table = text[text.index("| Field | Meaning |") :].split("\n\n")[0].splitlines()[2:]
    explained = [name for line in table for name in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert len(explained) == len(set(explained))
    shown = {name for name in PROFILES if name != "full" for name in PROFILES[name]}
    of_packs = {*OPEN_COLUMNS, *FIXED_COLUMNS, *NEW_COLUMNS} - {
        "since", "unverified_since", "host_scanned", "change", "at",
    }  # fmt: skip
    known = {*shown, *JOINED, *COLUMNS_OF_TASKS, *of_packs, *LEDGER.profiles["full"]}
    assert set(explained) == {*known, "imported_at"}
