"""Reports from ledgers that are empty, small or hostile, through the command line."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio

from nessus_sched.core.clock import system_now
from support.command import one_sentence, typed
from support.ledger_book import INFORMATION, LOGIN
from support.nessus_xml import document, element, host, item, output
from support.reading import Page
from support.report_network import DAY, books

HOSTILE = "<script>alert(1)</script>]]>\"'</title></style><svg onload=alert(1)>{{ 7*7 }}"
NETWORK = "192.0.2.0/29"
KINDS = (("management",), ("team",), ("comparison",), ("technical", "last"))


def config_in(directory: Path) -> Path:
    config = directory / "config.yaml"
    config.write_text(f"state_directory: {directory}\ntargets: {{allow: [{NETWORK}]}}\n")
    return config


async def _entered(directory: Path, *reports: bytes) -> None:
    now = system_now()
    async with books(directory, now) as opened:
        for number, data in enumerate(reports):
            at = int(now - (len(reports) - number) * DAY)
            await opened.enter(number, data, at=at, targets=NETWORK)


def pages(directory: Path, *reports: bytes) -> dict[str, Page]:
    trio.run(partial(_entered, directory, *reports))
    config = config_in(directory)
    found = {}
    for words in KINDS:
        said = typed("report", *words, "-c", str(config), "-o", "-")
        assert said.code == 0, said
        found[words[0]] = Page(said.out)
    return found


def dated(name: str, *items: str, at: float) -> str:
    return host(name, *items, tags={"HOST_END_TIMESTAMP": str(int(at)), "host-ip": name})


@pytest.mark.slow
def test_an_empty_ledger(tmp_path: Path) -> None:
    trio.run(partial(_entered, tmp_path))
    config = config_in(tmp_path)
    for kind in ("management", "team", "comparison"):
        said = typed("report", kind, "-c", str(config), "-o", "-")
        assert said.code == 0, said
        page = Page(said.out)
        assert "is open" in page.words or "or higher changed" in page.words
        table = typed("report", kind, "-c", str(config), "-o", "-", "--format", "csv")
        assert table.out == ""
    management = Page(typed("report", "management", "-c", str(config), "-o", "-").out)
    assert "nothing was scanned" in management.words
    assert "8 more may be scanned but never were." in management.words
    one_sentence(typed("report", "technical", "last", "-c", str(config)), 1, "task")


@pytest.mark.slow
def test_one_host_without_findings(tmp_path: Path) -> None:
    found = pages(tmp_path, document(dated("192.0.2.1", LOGIN, INFORMATION, at=system_now() - DAY)))
    assert set(found["management"].texts("div.tile b")) == {"0"}
    assert "scanned: 1 (12%)" in found["management"].words
    assert "Nothing of severity low or higher is open" in found["team"].words


@pytest.mark.slow
@pytest.mark.parametrize("answered", [True, False])
def test_hostile_texts_stay_texts(tmp_path: Path, answered: bool) -> None:
    texts = [
        *(element(name, HOSTILE) for name in ("synopsis", "solution", "description", "cve")),
        output(HOSTILE),
    ]
    given = {"severity": 4, "pluginName": HOSTILE, "pluginFamily": HOSTILE, "port": 1}
    bad = item(7, *texts, **given)
    before = dated("192.0.2.1", bad, at=system_now() - 2 * DAY)
    after = dated("192.0.2.1", *([bad] if answered else []), at=system_now() - DAY)
    named = host(HOSTILE, bad, tags={"HOST_END_TIMESTAMP": str(int(system_now() - DAY))})
    for kind, page in pages(tmp_path, document(before, named), document(after, named)).items():
        assert "script" not in {tag for tag, _ in page.tags}, kind
        assert not page.attributes("onload")
        assert "<script>" in page.text, kind
        assert "49" not in page.texts("section.card h3")


@pytest.mark.slow
def test_more_findings_than_a_page_of_the_store(tmp_path: Path) -> None:
    items = [
        item(number, element("solution", f"Do {number}."), severity=2, port=number)
        for number in range(1, 1502)
    ]
    data = document(dated("192.0.2.1", *items, LOGIN, INFORMATION, at=system_now() - DAY))
    found = pages(tmp_path, data)
    assert len(found["technical"].texts("section.card h3")) == 1501
    assert "1501 findings of severity low or higher on 1 host" in found["team"].words
    assert "1,501" in found["management"].texts("div.tile b")
