"""Whatever the file holds, loading it gives a configuration or a `ConfigError`.

The number of tries is a twentieth of `NESSUS_SCHED_FUZZ` (20,000 by default).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nessus_sched.config.loading import load_text
from nessus_sched.config.problems import ConfigError
from nessus_sched.config.render import to_yaml
from nessus_sched.config.schema import Config

TRIES = int(os.environ.get("NESSUS_SCHED_FUZZ", "20000")) // 20
SAMPLE = """\
targets: {allow: [192.0.2.0/24, "*.example.com"], deny: []}
log:
  level: info
scanners:
  - id: local
    url: https://127.0.0.1:8834
    auth: {api_keys: {access_key: "${A:-x}", secret_key: 's'}}
    max_concurrent_scans: 2
  - id: lab
    url: https://lab.example.com
    auth:
      ui_session: {username: u, password: |
        text
        }
"""
PIECES = (
    "\n", "  ", "\t", "- ", ": ", "? ", "{", "}", "[", "]", ",", "#", "&a", "*a", "!", "!!str ",
    "|", ">", "'", '"', "%YAML 1.1\n", "%TAG ! x\n", "---\n", "...\n", "@", "`", "\\x", "\\uD800",
    "\\U00110000", "\0", "\x85", "\u2028", "\ufeff", "\ud7ff", "<<: ", "=", "~", "null", ".inf",
    "-.NaN", "0x1F", "0o17", "1_000", "12e03", "2001-01-01", "yes", "${", "}", "$$", "${A}",
    "${file:", "é", "9" * 400, "1e999", "- - - - ", "[[[[[[", "{{{{", "\r", "\r\n", "\U0001f600",
)  # fmt: skip


def outcome(text: str) -> Config | None:
    try:
        return load_text(text, file="f", folder=Path("/nonexistent"), environ={"A": "a"})
    except ConfigError as error:
        problems = error.problems
    assert problems
    for problem in problems:
        assert problem.line >= 1, problem
        assert problem.column >= 1, problem
        assert str(problem).isprintable(), problem
    return None


def mutated(random: Random) -> str:
    text = SAMPLE if random.random() < 0.8 else ""
    for _ in range(random.randint(1, 6)):
        place = random.randint(0, len(text))
        cut = random.choice((0, 0, 1, 1, 5, 40))
        text = text[:place] + random.choice(PIECES) + text[place + cut :]
    return text


@pytest.mark.slow
def test_only_config_errors_come_out() -> None:
    loaded = 0
    for seed in range(TRIES):
        loaded += outcome(mutated(Random(seed))) is not None
    assert loaded < TRIES


keys = st.sampled_from(
    [
        "scanners", "targets", "credentials", "roles", "log", "allow", "deny", "id", "url", "auth",
        "api_keys", "ui_session", "name", "kind", "password", "tls", "users", "level", "on", "x",
    ]
)  # fmt: skip
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["ssh_key", "info", "${A}", "${B:-1}", "192.0.2.1", "https://a.example"])
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=25,
)


@pytest.mark.slow
@settings(deadline=None)
@given(trees)
def test_any_tree_gives_a_config_or_a_config_error(tree: Any) -> None:
    outcome(json.dumps(tree))


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_a_config_or_a_config_error(text: str) -> None:
    outcome(text)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]",
        "[" * 100_000,
        "{" * 100_000,
        "- " * 20_000,
        "a: " + "x" * 900_000,
        "? " * 20_000,
        "a: |\n" + "  \n" * 100_000,
        "#" * 1_000_001,
        "log: {" + ", ".join(f"k{n}: 1" for n in range(5_000)) + "}",
    ],
    ids=["bomb", "brackets", "braces", "dashes", "long", "questions", "blank", "huge", "many keys"],
)
@pytest.mark.timeout(20)
def test_bombs_are_refused_in_time(text: str) -> None:
    assert outcome(text) is None


def test_what_is_rendered_loads_again() -> None:
    for seed in range(300):
        config = outcome(mutated(Random(seed)))
        if config is not None:
            again = outcome(to_yaml(config))
            assert again is not None
            assert to_yaml(again) == to_yaml(config)
