"""References in values: environment, files, credentials, and what is not a reference."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nessus_sched.config.loading import load_text
from nessus_sched.config.problems import ConfigError


def password(
    written: str, environ: Mapping[str, str], folder: Path = Path("/"), store: Path | None = None
) -> str:
    """What a password written like that becomes."""
    quoted = written.replace("'", "''")
    text = f"credentials: [{{name: c, kind: windows, username: u, password: '{quoted}'}}]"
    config = load_text(text, file="f", folder=folder, environ=environ, credentials_directory=store)
    found = config.credentials[0].password
    assert found is not None
    return found.reveal()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("${A}", "alpha"),
        ("x${A}y${B}z", "xalphaybetaz"),
        ("${A:-other}", "alpha"),
        ("${NONE:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${NONE:-a:-b c}", "a:-b c"),
        ("x${NONE:-}", "x"),
        ("x${EMPTY}", "x"),
        ("$$", "$"),
        ("a$$b", "a$b"),
        ("$${A}", "${A}"),
        ("$$${A}", "$alpha"),
        ("$A", "$A"),
        ("a$", "a$"),
        ("${NESTED}", "${A}"),
        ("${DOLLARS}", "a$$b"),
        ("{A}", "{A}"),
    ],
)
def test_references(written: str, expected: str) -> None:
    environ = {"A": "alpha", "B": "beta", "EMPTY": "", "NESTED": "${A}", "DOLLARS": "a$$b"}
    assert password(written, environ) == expected


def test_files_and_credentials(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes("-----\nk\u00e9y\n-----\n".encode())
    (tmp_path / "dos").write_bytes(b"secret\r\n")
    (tmp_path / "empty").write_bytes(b"\n")
    assert password("${file:key}", {}, tmp_path) == "-----\nk\u00e9y\n-----"
    assert password(f"${{file:{tmp_path}/dos}}", {}) == "secret"
    assert password("<${credential:dos}>", {}, store=tmp_path) == "<secret>"
    assert password("${credential:dos}", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "secret"
    with pytest.raises(ConfigError, match="it is empty"):
        password("${file:empty}", {}, tmp_path)


def test_files_that_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "big").write_bytes(b"x" * 65537)
    (tmp_path / "latin").write_bytes(b"\xe9")
    (tmp_path / "nul").write_bytes(b"a\0b")
    for name, reason in (
        ("fifo", "is not a regular file"),
        ("big", "is longer than 65536 bytes"),
        ("latin", "is not UTF-8 text"),
        ("nul", "has a NUL character"),
        ("none", "cannot be read: No such file or directory"),
    ):
        with pytest.raises(ConfigError, match=reason):
            password(f"${{file:{name}}}", {}, tmp_path)
        with pytest.raises(ConfigError, match=reason):
            password(f"${{credential:{name}}}", {}, store=tmp_path)


@pytest.mark.parametrize("name", ["", "..", "../x", "/etc/passwd", ".hidden", "a/b", "a b"])
def test_credentials_are_names_not_paths(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs the name of a systemd credential"):
        password(f"${{credential:{name}}}", {}, store=tmp_path)


def test_every_unset_variable_is_named_once() -> None:
    text = """
        credentials:
          - {name: "${ONE}", kind: windows, username: "${TWO:-u}", password: "${THREE}"}
    """
    with pytest.raises(ConfigError) as caught:
        load_text(text, file="f", folder=Path("/"), environ={})
    assert [(problem.line, problem.column) for problem in caught.value.problems] == [
        (3, 20),
        (3, 78),
    ]
    assert [problem.message for problem in caught.value.problems] == [
        "credentials[0].name: environment variable ONE is not set",
        "credentials[0].password: environment variable THREE is not set",
    ]
    assert caught.value.problems[0].hint == "set it, or write ${ONE:-default}"


def test_what_was_substituted_is_one_value_and_no_yaml() -> None:
    text = "targets: {allow: ['${RULES}']}"
    with pytest.raises(ConfigError, match=r"targets.allow\[0\]: expected an address"):
        load_text(text, file="f", folder=Path("/"), environ={"RULES": "192.0.2.1, 192.0.2.2"})


def url_of(template: str, **environ: str) -> str:
    """What a URL of Apprise becomes."""
    text = f"sinks: [{{name: mail, apprise: '{template}'}}]"
    config = load_text(text, file="f", folder=Path("/"), environ=environ)
    found = config.sinks[0].apprise
    assert found is not None
    return found.reveal()


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20))
@example("p@ss:w/rd?#[x] 50%")
@example("100%4")
def test_a_login_in_a_url_needs_no_percent_encoding(secret: str) -> None:
    raw = f"mailtos://me:{quote(secret, safe='')}@mail.example.com"
    assert url_of("mailtos://me:${P}@mail.example.com", P=quote(secret, safe="")) == raw
    user = f"mailtos://{quote(secret, safe='')}:x@mail.example.com"
    assert url_of("mailtos://${P}:${Q}@mail.example.com", P=quote(secret, safe=""), Q="x") == user
    if not re.search("%[0-9A-Fa-f]{2}", secret):
        assert url_of("mailtos://me:${P}@mail.example.com", P=secret) == raw
        assert url_of("mailtos://${P}:${Q}@mail.example.com", P=secret, Q="x") == user


@pytest.mark.parametrize(
    "template",
    [
        "${P}",
        "mailtos://${P}",
        "mailtos://${P}@mail.example.com",
        "json://x/${P}:${P}@y",
        "a:${P}@b",
    ],
)
def test_references_elsewhere_are_left_as_they_are(template: str) -> None:
    told = "u:p@ss/w0rd?to=me@example.com"
    assert url_of(template, P=told) == template.replace("${P}", told)
