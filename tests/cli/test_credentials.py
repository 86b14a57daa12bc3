"""Adding logins to the configuration file, and testing them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from nessus_sched.cli.credentials.check import judged
from nessus_sched.config.loading import load
from nessus_sched.core.credentials import Credential
from support.command import Said, one_sentence, typed
from support.live_daemon import Live, asked, submitted

SECRET = "canary-7781 $x"
CONFIG = """\
# The network team's.
state_directory: state
targets: {allow: [192.0.2.0/24]}   # nothing else
credentials:
  # the old ones
  - name: linux
    kind: ssh_password
    username: "scan"
    password: 'in the file'  # until it has a file of its own

# scanners come last
scanners: []
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    path.chmod(0o640)
    return path


def add(file: Path, *words: str, stdin: str = SECRET, kind: str = "ssh_password") -> Said:
    said = typed(
        "credentials", "add", *words, "--kind", kind, "--username", "scan", "--config", str(file),
        stdin=stdin,
    )  # fmt: skip
    assert SECRET not in said.out + said.err
    return said


def credential(file: Path, name: str) -> Credential:
    (found,) = (each for each in load(file, environ={}).credentials if each.name == name)
    return found


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def revealed(secret: Any) -> str:
    return str(secret.reveal())


def test_the_secret_gets_a_file_and_the_rest_of_the_configuration_stays(file: Path) -> None:
    said = add(file, "web", "--set", "escalation.method=sudo", stdin=SECRET + "\n")
    assert said.code == 0
    added = """\
  - name: web
    kind: ssh_password
    username: scan
    escalation:
      method: sudo
    password: ${file:credentials/web}
"""
    text = file.read_text()
    assert text.replace(added, "") == CONFIG
    assert revealed(credential(file, "web").password) == SECRET
    secret = file.parent / "credentials" / "web"
    assert (mode(secret), mode(secret.parent), mode(file)) == (0o600, 0o700, 0o640)


def test_the_first_credential_of_a_file(file: Path) -> None:
    file.write_text('{"state_directory": "state", "targets": {"allow": ["192.0.2.0/24"]}}')
    assert add(file, "web").code == 0
    assert revealed(credential(file, "web").password) == SECRET


def test_a_reference_is_written_as_it_is(file: Path) -> None:
    (file.parent / "pw").write_text(SECRET)
    assert add(file, "web", "--reference", "${file:pw}", stdin="").code == 0
    assert "password: ${file:pw}" in file.read_text()
    assert not (file.parent / "credentials").exists()
    assert revealed(credential(file, "web").password) == SECRET


def test_a_credential_is_replaced_only_by_force(file: Path) -> None:
    one_sentence(add(file, "linux"), 1, "credential linux exists; replace it with --force")
    assert file.read_text() == CONFIG
    assert add(file, "linux", "--force").code == 0
    assert revealed(credential(file, "linux").password) == SECRET
    assert add(file, "linux", "--force", stdin="another").code == 0
    assert revealed(credential(file, "linux").password) == "another"
    assert len(load(file, environ={}).credentials) == 1


@pytest.mark.parametrize("words", [["web"], ["web", "--force"], ["linux", "--force"]])
def test_a_file_that_is_something_else_is_never_replaced(file: Path, words: list[str]) -> None:
    other = file.parent / "credentials" / words[0]
    other.parent.mkdir()
    other.write_text("of a scanner")
    one_sentence(add(file, *words), 1, "it exists")
    assert other.read_text() == "of a scanner"
    assert file.read_text() == CONFIG


@pytest.mark.parametrize(
    ("words", "kind", "stdin", "code", "part"),
    [
        (["web"], "ssh_password", "", 1, "empty"),
        (["web"], "ssh_password", "\n", 1, "empty"),
        (["web"], "ssh_password", "x" * 70_000, 1, "longer than"),
        (["web"], "ssh_password", "a\0b", 1, "NUL"),
        (["../web"], "ssh_password", SECRET, 2, "is not a name for a credential"),
        (["web", "--reference", SECRET], "ssh_password", "", 2, "--reference takes"),
        (["web", "--reference", "${file:none}"], "ssh_password", "", 1, "nothing was written"),
        (["web", "--set", f"passphrase={SECRET}"], "ssh_key", SECRET, 2, "give a reference"),
        (["web", "--set", f"password={SECRET}"], "windows", SECRET, 2, "you are prompted"),
        (["web", "--set", "domain"], "windows", SECRET, 2, "KEY=VALUE"),
        (["web", "--set", "domain=LAB"], "ssh_password", SECRET, 1, "does not belong"),
        (["web", "--set", "colour=red"], "windows", SECRET, 1, "colour"),
    ],
)
def test_what_is_wrong_leaves_everything_as_it_was(
    file: Path, words: list[str], kind: str, stdin: str, code: int, part: str
) -> None:
    one_sentence(add(file, *words, kind=kind, stdin=stdin), code, part)
    assert file.read_text() == CONFIG
    assert [path.name for path in file.parent.iterdir()] == ["config.yaml"]


def test_a_broken_file_is_not_touched(file: Path) -> None:
    file.write_text(CONFIG + "nonsense: 1\n")
    one_sentence(add(file, "web"), 1, "nonsense")
    assert not (file.parent / "credentials").exists()


def test_on_a_terminal_the_secret_is_asked_for_twice_and_not_shown(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
    said = add(file, "web", stdin=f"{SECRET}\nother\n{SECRET}\n{SECRET}\n")
    assert said.code == 0
    assert revealed(credential(file, "web").password) == SECRET
    one_sentence(add(file, "key", kind="ssh_key"), 2, "through stdin")


def key_text(passphrase: str | None = None) -> str:
    how = BestAvailableEncryption(passphrase.encode()) if passphrase else None
    key = Ed25519PrivateKey.generate()
    if how is None:
        from cryptography.hazmat.primitives.serialization import NoEncryption

        return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how).decode()


def checked(file: Path, name: str, code: int) -> str:
    """The result for the secret; no daemon runs."""
    said = typed("credentials", "test", name, "--config", str(file), "--json")
    assert said.code == code, said
    assert SECRET not in said.out + said.err
    return said.out + said.err


@pytest.mark.parametrize("phrase", [None, SECRET])
def test_a_private_key_is_opened(file: Path, phrase: str | None) -> None:
    words = [] if phrase is None else ["--set", "passphrase=${file:phrase}"]
    (file.parent / "phrase").write_text(phrase or "")
    assert add(file, "key", *words, kind="ssh_key", stdin=key_text(phrase)).code == 0
    assert "no daemon answers" in checked(file, "key", 3)
    (file.parent / "phrase").write_text("wrong")
    (file.parent / "credentials" / "key").write_text(key_text("other"))
    assert "private_key cannot be opened" in checked(file, "key", 1)


def test_a_secret_that_is_gone(file: Path) -> None:
    assert add(file, "web").code == 0
    os.unlink(file.parent / "credentials" / "web")
    assert "cannot be read" in checked(file, "web", 1)
    assert "no credential nobody" in checked(add_again(file), "nobody", 1)


def add_again(file: Path) -> Path:
    (file.parent / "credentials" / "web").write_text(SECRET)
    return file


def steps(live: Live, *words: str, code: int) -> dict[str, str]:
    found = asked(
        live, "credentials test", "credentials", "test", *words, "--scanner", "east", code=code
    )
    assert found["ok"] == (code == 0)
    return {each["check"]: each["message"] for each in found["steps"]}


def test_a_login_is_tried_by_a_scan(live: Live) -> None:
    scan = submitted(
        live, "192.0.2.0/27", "-k", "trusted", "--credential", "linux", "--scanner", "east"
    )
    live("watch", scan)
    page = asked(live, "results show", "results", "show", scan, "--group-by", "host", "--all")
    hosts = {row["host"]: row["login"] for row in page["findings"]}
    linux = next(host for host, login in hosts.items() if login == "full")
    assert steps(live, "linux", "--target", linux, code=0)["login"] == f"logged in to {linux}"
    assert "no full login" in steps(live, "stale", "--target", linux, code=1)["login"]
    assert "203.0.113.9" in steps(live, "linux", "--target", "203.0.113.9", code=1)["login"]
    ports = asked(live, "status", "status", "last")["asked"]["port_range"]
    assert ports == "22"


def test_credentials_are_listed_with_and_without_a_word(live: Live) -> None:
    found = asked(live, "credentials list", "credentials", "list")
    assert found == asked(live, "credentials", "credentials")


@pytest.mark.parametrize(
    ("hosts", "counts", "status", "part"),
    [
        (1, {"full": 1}, "ok", "logged in to web.example.com"),
        (0, {}, "failed", "web.example.com did not answer"),
        (1, {"partial": 1}, "failed", "no full login to web.example.com: 1 partial"),
        (2, {"full": 1, "not_provided": 1}, "failed", "1 full, 1 not provided"),
    ],
)
def test_only_a_full_login_on_every_host_passes(
    hosts: int, counts: dict[str, int], status: str, part: str
) -> None:
    summary = {"hosts": hosts, "verdict": {"counts": counts}}
    step = judged(summary, "web.example.com", "t-1")
    assert step.status == status
    assert part in step.message
