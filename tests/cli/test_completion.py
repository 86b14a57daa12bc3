"""Shell completion, as the shells ask for it and in the shells themselves."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import click
import pytest
from click.shell_completion import CompletionItem

from nessus_sched.cli.completion import candidates
from support.command import typed
from support.live_daemon import Live, submitted


def offered(live: Live, *words: str) -> list[str]:
    """What is offered for the last word, without files."""
    asked = {
        "COMP_WORDS": " ".join(["nessus-sched", *words]),
        "COMP_CWORD": str(len(words)),
        "_NESSUS_SCHED_COMPLETE": "bash_complete",
        "NESSUS_SCHED_CONFIG": str(live.place.file),
        "NESSUS_SCHED_SOCKET": None,
        "XDG_RUNTIME_DIR": live.place.environ["XDG_RUNTIME_DIR"],
    }
    said = typed(env=asked)
    assert not said.err
    lines = [line.partition(",") for line in said.out.splitlines()]
    return [value for kind, _, value in lines if kind == "plain"]


@contextmanager
def nothing_starts(live: Live) -> Iterator[None]:
    live("pause-all")
    try:
        yield
    finally:
        live("cancel", "--all", "--yes")
        live("resume-all")


_ROUNDS = itertools.count()


@attrs.frozen
class Queue:
    """Waiting tasks, and how the names of two of them begin; no earlier task has these names."""

    prefix: str
    ids: Mapping[str, str]

    @property
    def names(self) -> set[str]:
        return {f"{self.prefix}one", f"{self.prefix}two"}


@pytest.fixture
def queued(live: Live) -> Iterator[Queue]:
    prefix = f"tab{next(_ROUNDS)}-"
    names = [f"{prefix}one", f"{prefix}two", "twice", "twice ", "$(reboot)", "two words"]
    with nothing_starts(live):
        yield Queue(
            prefix,
            {
                name: submitted(live, f"192.0.2.{place}", "--name", name.strip())
                for place, name in enumerate(names, 40)
            },
        )


def test_unfinished_tasks_are_offered_by_name(live: Live, queued: Queue) -> None:
    one, two = sorted(queued.names)
    assert sorted(offered(live, "cancel", queued.prefix)) == [one, two]
    every = offered(live, "cancel", "''")
    assert "last" in every
    assert {queued.ids[name] for name in queued.ids if name not in queued.names} <= set(every)
    assert not {"twice", "$(reboot)", "two words", queued.ids[one]} & set(every)
    assert offered(live, "status", queued.ids[one]) == [queued.ids[one]]
    assert not offered(live, "dlq", "retry", queued.prefix)
    assert not offered(live, "results", "show", queued.prefix)
    assert live("cancel", one).code == 0
    assert offered(live, "cancel", queued.prefix) == [two]
    assert sorted(offered(live, "status", queued.prefix)) == [one, two]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["submit", "--scanner", "e"], ["east"]),
        (["scanners", "drain", "w"], ["west"]),
        (["tasks", "--scanner", "n"], ["north"]),
        (["submit", "-k", "trusted", "--credential", "l"], ["linux"]),
        (["verify", "--credential", "st"], ["stale"]),
        (["submit", "--audit", "c"], ["cis"]),
        (["routes", "test", "so"], ["soc"]),
        (["submit", "--kind", "tr"], ["trusted"]),
        (["canc"], ["cancel"]),
    ],
)
def test_configured_names_are_offered(
    live: Live, words: Sequence[str], expected: Sequence[str]
) -> None:
    assert offered(live, *words) == expected


def test_schedules_are_offered(live: Live) -> None:
    live("schedules", "add", "tab-nightly", "192.0.2.1", "--every", "12h")
    try:
        assert offered(live, "schedules", "show", "tab-n") == ["tab-nightly"]
        assert offered(live, "schedules", "pause", "tab-n") == ["tab-nightly"]
        assert offered(live, "report", "team", "--schedule", "tab-n") == ["tab-nightly"]
    finally:
        live("schedules", "remove", "tab-nightly")


@pytest.mark.parametrize("word", ["$(reboot)", "a b", "a;b", "`x`", "a:b", "-rf", "a\nb", "*", ""])
def test_what_a_shell_would_interpret_is_never_offered(
    live: Live, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setenv("NESSUS_SCHED_SOCKET", str(live.place.socket))
    complete = candidates.completing(lambda _api, _text: map(CompletionItem, (word, "safe")))
    context = click.Context(click.Command("x"))
    found = complete(context, click.Argument(["x"]), "")
    assert [item.value for item in found] == ["safe"]


def asked_of(socket_path: Path) -> tuple[str, str, float]:
    began = time.monotonic()
    said = typed(
        env={
            "COMP_WORDS": "nessus-sched cancel ",
            "COMP_CWORD": "2",
            "_NESSUS_SCHED_COMPLETE": "bash_complete",
            "NESSUS_SCHED_SOCKET": str(socket_path),
            "NESSUS_SCHED_CONFIG": None,
        }
    )
    return said.out.strip(), said.err, time.monotonic() - began


def test_without_a_daemon_nothing_is_offered_or_said(tmp_path: Path) -> None:
    assert asked_of(tmp_path / "none")[:2] == ("", "")


@pytest.mark.slow
def test_a_daemon_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        out, err, seconds = asked_of(path)
    assert (out, err) == ("", "")
    assert candidates.ANSWER_WITHIN <= 0.3
    assert seconds < 30, "it waited as long as commands do"


BASH = """
eval "$(nessus-sched completion bash)"
COMP_WORDS=(nessus-sched cancel $PREFIX)
COMP_CWORD=2
_nessus_sched_completion nessus-sched cancel $PREFIX
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = """
nessus-sched completion fish | source
complete -C "nessus-sched cancel $PREFIX"
"""
ZSH = """
autoload -Uz compinit; compinit -D -u
eval "$(nessus-sched completion zsh)"
words=(nessus-sched cancel $PREFIX); CURRENT=3
_describe() { print -rl -- ${(P)@[-2]} }
compadd() { :; }
_nessus_sched_completion
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shell", "script"),
    [
        (["bash", "--norc", "-c"], BASH),
        (["fish", "--no-config", "-c"], FISH),
        (["zsh", "-f", "-c"], ZSH),
    ],
)
def test_in_the_shell(
    live: Live, queued: Queue, tmp_path: Path, shell: Sequence[str], script: str
) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PREFIX": queued.prefix,
        "NESSUS_SCHED_CONFIG": str(live.place.file),
        "XDG_RUNTIME_DIR": live.place.environ["XDG_RUNTIME_DIR"],
    }
    done = subprocess.run(
        [*shell, script], env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    names = {line.replace("\t", ":").split(":")[0] for line in done.stdout.splitlines()}
    assert names == queued.names, done
