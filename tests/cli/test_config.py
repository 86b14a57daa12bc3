"""Making, checking and showing a configuration, and what a client is given to paste."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from nessus_sched.cli import output, scanners
from nessus_sched.cli.main import COMMANDS
from nessus_sched.ipc import discovery
from nessus_sched.sim.options import SimOptions
from support.command import fits, one_sentence, typed
from support.processes import scanner_yaml, simulators, site
from support.web import free_port

PRINT = "00:" * 31 + "ff"
INIT = ("config", "init", "--url", "https://192.0.2.5:8834", "--allow", "192.0.2.0/24")
KEYS = ("--access-key", "canary$a{b}", "--secret-key", "${file:secret}")
UI_LOGIN = {"username": "admin", "password": "nessus"}
NOBODY = {"NESSUS_ACCESS_KEY": None, "NESSUS_SECRET_KEY": None}


@pytest.mark.slow
def test_help_is_quick_and_tells_every_command() -> None:
    said = typed("--help")
    for part in COMMANDS.values():
        for name, place in part.items():
            assert name in said.out
            assert typed(*name.split(), "--help").code == 0, place
    script = (
        "import sys\nfrom nessus_sched.cli.main import cli\n"
        "try: cli(['--help'])\nexcept SystemExit: pass\n"
        "slow = {'trio', 'httpx', 'rich', 'mcp', 'cattrs', 'nessus_sched.cli.results.command'}\n"
        "sys.exit(','.join(slow & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_check_says_what_is_wrong_where(tmp_path: Path) -> None:
    place = site(tmp_path, [])
    checked = typed("config", "check", "-c", str(place.file), "--json")
    fits("config check", checked.json)
    assert "no scanners" in checked.json["warnings"][0]
    assert "ok" in typed("config", "check", "-c", str(place.file)).out
    place.file.write_text("state_directory: /x\nscaners: []\n")
    one_sentence(typed("config", "check", "-c", str(place.file)), 78, ":2:1: ")
    checked = typed("config", "check", "-c", str(place.file), "--json")
    fits("config check", checked.json)
    assert (checked.code, checked.json["ok"]) == (78, False)
    one_sentence(typed("config", "check", "-c", str(tmp_path / "no")), 78, "cannot be read")


@pytest.mark.slow
def test_check_asks_apprise_about_its_urls(tmp_path: Path) -> None:
    good = {"name": "mail", "apprise": "mailtos://a:s3cr3t-one@example.com"}
    place = site(tmp_path, [], sinks=[good])
    assert typed("config", "check", "-c", str(place.file)).code == 0
    place = site(tmp_path, [], sinks=[good, {"name": "chat", "apprise": "slak://s3cr3t-two"}])
    said = typed("config", "check", "-c", str(place.file))
    one_sentence(said, 78, "sink chat: Apprise does not understand this URL")
    assert "s3cr3t" not in said.out + said.err
    checked = typed("config", "check", "-c", str(place.file), "--json")
    fits("config check", checked.json)
    assert not checked.json["ok"]


@pytest.mark.parametrize(
    "words",
    [("serve",), ("doctor",), ("config", "check"), ("config", "show"), ("journal", "verify"),
     ("backup", "copy.db")],
)  # fmt: skip
def test_without_any_configuration_it_is_said_where_one_was_looked_for(
    words: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "SYSTEM_CONFIG", str(tmp_path / "system.yaml"))
    nowhere = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": None, "NESSUS_SCHED_CONFIG": None}
    said = typed(*words, env=nowhere)
    one_sentence(said, 78, f"{tmp_path}/.config/nessus-sched/config.yaml")
    assert "system.yaml" in said.err


def test_without_configuration_and_daemon_the_first_step_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "SYSTEM_CONFIG", str(tmp_path / "system.yaml"))
    monkeypatch.setattr(discovery, "SYSTEM_SOCKETS", (str(tmp_path / "mcp.sock"),))
    nowhere = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": None, "NESSUS_SCHED_CONFIG": None,
               "NESSUS_SCHED_SOCKET": None}  # fmt: skip
    one_sentence(typed("tasks", env=nowhere), 3, "'nessus-sched config init' creates one")


def test_a_daemon_is_reached_by_those_who_may_not_read_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = site(tmp_path, [])
    monkeypatch.setattr(os, "access", lambda *_args, **_options: False)  # root may read anything
    one_sentence(typed("tasks", "-c", str(place.file), env=place.environ), 3, "no daemon answers")


def test_show_masks_and_loads_again(tmp_path: Path) -> None:
    auth = {"api_keys": {"access_key": "canary-one-1", "secret_key": "canary-two-2"}}
    place = site(tmp_path, [{"id": "a", "url": "https://192.0.2.1", "auth": auth}])
    shown = typed("config", "show", "-c", str(place.file))
    assert "canary" not in shown.out
    assert "***" in shown.out
    assert typed("config", "show", "-c", str(place.file), "--json").json["scanners"][0]["id"] == "a"
    place.file.write_text(shown.out)
    assert typed("config", "check", "-c", str(place.file)).code == 0


def test_reference_has_the_keys() -> None:
    assert "max_concurrent_scans" in typed("config", "reference").out


def test_init_writes_what_check_accepts(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "config.yaml"
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "secret").write_text("canary-two")
    words = (*INIT, *KEYS, "--fingerprint", PRINT, "-o", str(file), "--state-directory", "/x/y")
    said = typed(*words, env=NOBODY)
    assert said.code == 0, said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shown = typed("config", "show", "-c", str(file), "--json").json
    assert shown["scanners"][0]["tls"]["fingerprint"] == PRINT.replace(":", "")
    assert shown["targets"]["allow"] == ["192.0.2.0/24"]
    assert "canary" not in said.out + said.err
    assert json.dumps("canary$$a{b}") in file.read_text()
    one_sentence(typed(*words, env=NOBODY), 1, "--force")
    assert typed(*words, "--force", env=NOBODY).code == 0


def test_init_by_root_lets_the_service_read_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "etc" / "config.yaml"
    asked: list[str] = []
    given: list[tuple[int, int]] = []

    def service_user(name: str) -> pwd.struct_passwd:
        asked.append(name)
        return pwd.struct_passwd((name, "x", 4710, 4711, "", "/", "/bin/false"))

    def give(_what: object, user: int, group: int) -> None:
        given.append((user, group))

    monkeypatch.setattr(discovery, "SYSTEM_CONFIG", str(file))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", give)
    monkeypatch.setattr(os, "fchown", give)
    monkeypatch.setattr(pwd, "getpwnam", service_user)
    words = (*INIT, *KEYS[:3], "y", "--fingerprint", PRINT)
    with umask(0o077):
        said = typed(*words, env=NOBODY)
    assert said.code == 0, said
    assert set(asked) == {"nessus-sched"}
    assert given == [(-1, 4711)] * 2
    for path, mode in ((file, 0o640), (file.parent, 0o750)):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert "only you and the user nessus-sched can read it" in said.out


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("config", "init"), 2, "--url is required"),
        ((*INIT,), 2, "--login is required"),
        ((*INIT, "--login", "session"), 2, "--username is required"),
        ((*INIT, "--access-key", "x"), 2, "--secret-key is required"),
        ((*INIT, *KEYS[:3], "y", "--fingerprint", "12"), 1, "nothing was written"),
        ((*INIT[:3], "ftp://x", *INIT[4:], *KEYS[:3], "y"), 1, "https://"),
    ],
)
def test_init_asks_for_what_is_missing(
    words: Sequence[str], code: int, part: str, tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    one_sentence(typed(*words, "-o", str(file), env=NOBODY), code, part)
    assert not file.exists()


def test_init_asks_again_at_once_after_an_answer_that_cannot_be_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
    answers = {
        "192.0.2.5:8834": "it must begin with https://",
        "https://192.0.2.5:8834": None,
        "seesion": "is not one of 'api-keys', 'session'",
        "session": None,
        "admin": None,
        "nessus": None,
        "192.0.2.0/24, 300.1.1.1": "'300.1.1.1': expected",
        "y": "'y' has no network",
        "www.example.com *": "'www.example.com *' has no network",
        "192.0.2.0/24, 198.51.100.0/24": None,
    }
    file = tmp_path / "config.yaml"
    words = ("config", "init", "--fingerprint", PRINT, "-o", str(file))
    said = typed(*words, env=NOBODY, stdin="\n".join([*answers, ""]))
    assert said.code == 0, said
    complaints = re.findall(r"^Error: (.*)$", said.out + said.err, re.MULTILINE)
    for complaint, expected in zip(complaints, filter(None, answers.values()), strict=True):
        assert expected in complaint
    shown = typed("config", "show", "-c", str(file), "--json").json
    assert shown["targets"]["allow"] == ["192.0.2.0/24", "198.51.100.0/24"]
    assert "ui_session" in shown["scanners"][0]["auth"]


@pytest.mark.slow
async def test_init_asks_for_the_url_until_there_is_a_certificate_and_only_then_for_the_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
    file = tmp_path / "my config.yaml"
    async with simulators(SimOptions(seed=3)) as (sim,):
        nobody = f"https://127.0.0.1:{free_port()}"
        answers = [nobody, sim.url, "y", "session", "admin", "nessus", "192.0.2.0/24"]

        def with_simulator() -> None:
            said = typed("config", "init", "-o", str(file), env=NOBODY, stdin="\n".join(answers))
            assert said.code == 0, said
            assert re.search("No certificate received.*(refused)", said.err, re.DOTALL)
            shown = typed("config", "show", "-c", str(file), "--json").json
            (scanner,) = shown["scanners"]
            assert (scanner["url"], scanner["tls"]["fingerprint"]) == (sim.url, sim.fingerprint)
            assert f"doctor --config '{file}'" in said.out

        await trio.to_thread.run_sync(with_simulator)


def test_init_names_the_program_so_that_the_shell_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Path(sys.executable).with_name("nessus-sched")
    words = (*INIT, *KEYS[:3], "y", "--fingerprint", PRINT, "--force", "-o", str(tmp_path / "c"))
    for path, shown in ((program.parent, "nessus-sched"), (tmp_path, str(program))):
        monkeypatch.setenv("PATH", str(path))
        assert f"\n  {shown} doctor " in typed(*words, env=NOBODY).out


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_init_makes_folders_for_the_user_alone(tmp_path: Path) -> None:
    file = tmp_path / ".config" / "nessus-sched" / "config.yaml"
    with umask(0):
        said = typed(*INIT, *KEYS[:3], "y", "--fingerprint", PRINT, "-o", str(file), env=NOBODY)
    assert said.code == 0, said
    for folder in (file.parent, file.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.slow
async def test_init_fetches_the_certificate_and_doctor_is_content(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    async with simulators(SimOptions(seed=3)) as (sim,):
        words = ("config", "init", "--url", sim.url, "--allow", "192.0.2.0/24", "-o", str(file),
                 "--access-key", sim.access_key, "--secret-key", sim.secret_key,
                 "--state-directory", str(tmp_path / "state"))  # fmt: skip

        def with_simulator() -> None:
            said = typed(*words)
            assert said.code == 2
            assert sim.fingerprint[:2].upper() + ":" in said.err
            assert not file.exists()
            assert typed(*words, "--trust-shown").code == 0
            assert sim.fingerprint in file.read_text()
            with file.open("a") as more:
                more.write("http: {bind: null}\n")  # its usual port may be taken here
            said = typed("doctor", "-c", str(file), "--json")
            fits("doctor", said.json)
            assert said.json["ok"], said

        await trio.to_thread.run_sync(with_simulator)


@pytest.mark.slow
async def test_doctor_finds_what_is_wrong_with_a_scanner(tmp_path: Path) -> None:
    other = SimOptions(seed=5, permissions=16)
    async with simulators(SimOptions(seed=4, edition="professional"), other) as (sim, reader):
        real = reader.nessus.now
        reader.nessus.now = lambda: real() + 3600
        scanners = [
            scanner_yaml("reader", reader),
            scanner_yaml("keys", sim),
            scanner_yaml("pin", sim, tls={"fingerprint": PRINT}),
            scanner_yaml("login", sim, auth={"api_keys": {"access_key": "a", "secret_key": "b"}}),
            scanner_yaml("down", sim, url="https://127.0.0.1:9"),
            scanner_yaml("name", sim, url="https://nonesuch.example.com"),
            scanner_yaml("session", sim, auth={"ui_session": UI_LOGIN}),
        ]
        place = site(tmp_path, scanners)

        def with_simulator() -> None:
            said = typed("doctor", "-c", str(place.file), "--json")
            assert said.code == 1
            trouble = {step["check"]: step for step in said.json["steps"] if step["status"] != "ok"}
            assert trouble.keys() >= {
                "scanner keys: license",
                "scanner pin: certificate",
                "scanner login: login",
                "scanner down: reach",
                "scanner name: reach",
                "scanner reader: rights",
                "scanner reader: clock",
                "daemon",
            }
            assert all(step["remedy"] for step in trouble.values())
            assert not any("session" in check for check in trouble)
            assert "ahead of ours" in trouble["scanner reader: clock"]["message"]
            assert "only read" in trouble["scanner reader: rights"]["message"]
            assert trouble["scanner reader: rights"]["status"] == "failed"
            assert not reader.nessus.scans
            assert trouble["scanner keys: license"]["status"] == "failed"

        await trio.to_thread.run_sync(with_simulator)


def test_doctor_says_on_a_terminal_what_to_do_below_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = site(tmp_path, [])
    for module in (output, scanners):
        monkeypatch.setattr(module, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    lines = typed("doctor", "-c", str(place.file), "--offline").out.splitlines()
    assert max(map(len, lines)) <= 80
    (found,) = [at for at, line in enumerate(lines) if "not running" in line]
    assert lines[found].split() == ["daemon", "warning", "not", "running"]
    assert lines[found + 1].split()[:3] == ["->", "nessus-sched", "serve;"]


def test_doctor_finds_a_sink_that_nobody_understands(tmp_path: Path) -> None:
    place = site(tmp_path, [], sinks=[{"name": "mail", "apprise": "mailtox://x"}])
    said = typed("doctor", "-c", str(place.file), "--offline", "--json")
    (step,) = [step for step in said.json["steps"] if step["status"] == "failed"]
    assert (said.code, step["check"]) == (1, "config")
    assert "sink mail: Apprise does not understand this URL" in step["message"]
    assert any(each["check"] == "disk" for each in said.json["steps"])


def test_doctor_finds_an_occupied_http_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        place = site(tmp_path, [], http={"bind": bind})
        said = typed("doctor", "-c", str(place.file), "--offline")
        assert (said.code, f"cannot listen at {bind}" in said.out) == (1, True)
    said = typed("doctor", "-c", str(place.file), "--offline")
    assert f"{bind} is free" in said.out


def test_doctor_finds_what_is_wrong_on_this_machine(tmp_path: Path) -> None:
    place = site(tmp_path, [], http={"bind": "0.0.0.0:9834"})
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o777)
    (state / "tasks.db").write_text("not a database at all, but rather some text of a person")
    place.file.chmod(0o644)
    said = typed("doctor", "-c", str(place.file), "--offline")
    assert said.code == 1
    for part in ("can be reached", "every user", "chmod 700", "Restore a backup", "not running"):
        assert part in said.out, part
    place.file.write_text("scaners: []")
    said = typed("doctor", "-c", str(place.file), "--json")
    assert (said.code, said.json["steps"][0]["check"]) == (1, "config")
    place.file.unlink()
    place.file.mkdir()
    said = typed("doctor", "-c", str(place.file), "--json")
    assert (said.code, "--config" in said.json["steps"][0]["remedy"]) == (1, True)


def test_doctor_tells_a_closed_socket_from_a_daemon_that_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(self: object, path: str) -> None:
        raise PermissionError(path)

    monkeypatch.setattr("socket.socket.connect", closed)  # root may open any
    place = site(tmp_path, [])
    said = typed("doctor", "-c", str(place.file), "--offline", "--json")
    (step,) = [step for step in said.json["steps"] if step["check"] == "daemon"]
    assert (said.code, step["status"]) == (1, "failed")
    assert "not in the socket's group" in step["message"]
    assert "usermod" in step["remedy"]


def test_the_entry_for_claude_desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text("")
    entry = typed("mcp", "--print-config", "--config", "c.yaml").json["mcpServers"]["nessus"]
    assert os.access(entry["command"], os.X_OK)
    assert Path(entry["command"]).is_absolute()
    assert entry["args"][-3:] == ["mcp", "--config", str(tmp_path / "c.yaml")]
    entry = typed("mcp", "--print-config", "--ssh", "scan.example.com").json["mcpServers"]["nessus"]
    assert entry["args"][-3:] == ["scan.example.com", "nessus-sched", "mcp"]
    one_sentence(typed("mcp", "--ssh", "x"), 2, "--print-config")
    one_sentence(typed("mcp", "--print-config", "--ssh", "-oProxyCommand=x"), 2, "host name")
    assert "Claude Desktop" in typed("mcp", "--help").out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    assert "_NESSUS_SCHED_COMPLETE" in typed("completion", shell).out


@pytest.mark.slow
def test_completing_a_command() -> None:
    program = shutil.which("nessus-sched", path=str(Path(sys.executable).parent))
    assert program is not None
    env = {**os.environ, "_NESSUS_SCHED_COMPLETE": "bash_complete",
           "COMP_WORDS": "nessus-sched resu", "COMP_CWORD": "1"}  # fmt: skip
    done = subprocess.run([program], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["plain,resume", "plain,results", "plain,resume-all"]


def test_schemas_of_the_output() -> None:
    schema = typed("schema", "queue").json
    assert schema["type"] == "object"
    assert typed("shapes", "queue").json == schema  # its name in 0.1
    assert "tasks" in typed("schema").json
    one_sentence(typed("schema", "nonesuch"), 2, "there are:")


@pytest.mark.parametrize(
    "words",
    [
        ("submit", "192.0.2.1"), ("watch",), ("cancel", "t-1"), ("queue",), ("top",),
        ("scanners", "list"), ("scanners", "test", "a"), ("reload",), ("pause-all",),
        ("resume-all",), ("dlq", "retry", "t-1"), ("dlq", "purge", "--all"),
    ],
)  # fmt: skip
def test_no_daemon_is_one_sentence(words: Sequence[str], tmp_path: Path) -> None:
    place = site(tmp_path, [])
    env = {"XDG_RUNTIME_DIR": str(tmp_path), "NESSUS_SCHED_SOCKET": None}
    one_sentence(typed(*words, "-c", str(place.file), env=env), 3, "no daemon answers at")
    missing = str(tmp_path / "missing.yaml")
    one_sentence(typed(*words, "-c", missing, env=env), 78, "no such file")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("tasks",), 3, "no daemon answers at"),
        (("status", "t-1"), 3, "no daemon answers at"),
        (("dlq", "list"), 3, "no daemon answers at"),
        (("journal", "verify"), 1, "tasks.db"),
        (("backup", "copy.db"), 1, "no daemon has run"),
    ],
)
def test_no_daemon_and_no_store(words: Sequence[str], code: int, part: str, tmp_path: Path) -> None:
    place = site(tmp_path, [])
    env = {"XDG_RUNTIME_DIR": str(tmp_path), "NESSUS_SCHED_SOCKET": None}
    one_sentence(typed(*words, "-c", str(place.file), env=env), code, part)
