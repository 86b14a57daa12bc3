"""Written requests, and whether names and descriptions alone lead to the right tool."""

from __future__ import annotations

import tomllib
from pathlib import Path

from nessus_sched.api.tools import ALL_TOOLS
from support.tool_judge import Judge

MISUNDERSTOOD = 8
"""How many requests a judge of words alone may get wrong. A reader who understands them should get
at most two wrong; that has to be tried with a model, see requests.toml."""
NOT_ASKED_FOR = {"purge_dead_letters"}
REQUESTS = tomllib.loads(Path(__file__).with_name("requests.toml").read_text())["request"]


def test_words_lead_to_the_right_tool() -> None:
    judge = Judge.of({tool.name: tool.description for tool in ALL_TOOLS})
    wrong = [
        (each["ask"], choice, each["tools"])
        for each in REQUESTS
        if (choice := judge.choice(each["ask"])) not in each["tools"]
    ]
    for ask, choice, tools in wrong:
        print(f"{ask}\n    {choice}, not {' or '.join(tools)}")
    assert len(REQUESTS) == 60
    assert len(wrong) <= MISUNDERSTOOD


def test_the_expected_tools_exist() -> None:
    expected = {name for each in REQUESTS for name in each["tools"]}
    names = {tool.name for tool in ALL_TOOLS}
    assert expected <= names
    assert names - expected == NOT_ASKED_FOR
