"""The bundle for Claude Desktop: what its user reads before it is installed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from nessus_sched.api.tools import TOOLS
from nessus_sched.mcp.bundle import main


def test_every_tool_has_a_whole_description(tmp_path: Path) -> None:
    file = tmp_path / "x.mcpb"
    assert main([str(file)]) == 0
    with zipfile.ZipFile(file) as bundle:
        manifest = json.loads(bundle.read("manifest.json"))
        assert {info.date_time for info in bundle.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.external_attr >> 16 for info in bundle.infolist()} == {0o644}
        relay = bundle.read("server/nessus_sched/ipc/relay.py").decode()
        compile(bundle.read("server/main.py"), "main.py", "exec")
    assert "def main" in relay
    told = {tool["name"]: tool["description"] for tool in manifest["tools"]}
    assert list(told) == [tool.name for tool in TOOLS]
    for tool in TOOLS:
        text, words = told[tool.name], tool.description.split()
        assert 0 < len(text) <= 200
        assert text.removesuffix(" ...").removesuffix(".").split()[-1] in {
            word.rstrip(".,:;") if not text.endswith(" ...") else word for word in words
        }


@pytest.mark.parametrize("words", [[], ["-h"], ["--help", "x"], ["a", "b"]])
def test_how_to_call_it(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err == "usage: python -m nessus_sched.mcp.bundle OUT.mcpb\n"


def test_where_it_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"cannot write {tmp_path}: Is a directory\n"
