"""Twenty canaries: secrets in configuration, environment, calls and scanner answers, and a
search for them in everything that comes out of the daemon."""

from __future__ import annotations

import base64
import gzip
import json
import re
import signal
from base64 import b64encode
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import httpx
import pytest
import trio

from nessus_sched.mcp.client import CallFailed, Tools
from nessus_sched.sim.faults import Fault, FaultKind
from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.serve import RunningSim
from support.processes import (
    PROGRAM,
    Site,
    client,
    daemon,
    scanner_yaml,
    settled,
    simulators,
    site,
)

WORDS = (
    "access_key", "secret_key", "ui_password", "ssh_password", "sudo_password", "su_password",
    "private_key", "passphrase", "windows_password", "snmp_auth", "snmp_privacy", "webhook",
    "environment", "file", "wrong_access", "wrong_secret", "inline_password", "inline_key",
    "misplaced", "unused_environment",
)  # fmt: skip
CANARY: dict[str, str] = {
    word: f"cAnArY{number:02}x{'q7Z' * 6}" for number, word in enumerate(WORDS)
}
"""By what each of them is; the scanners' session tokens join them."""
TOLD = (
    "ssh_password", "sudo_password", "su_password", "private_key", "passphrase",
    "windows_password", "snmp_auth", "snmp_privacy", "environment", "file",
)  # fmt: skip
"""What the scanners are told of, besides their own logins."""
TARGET = ["192.0.2.4"]


def credentials() -> list[dict[str, Any]]:
    key = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY['private_key']}\n-----END-----\n"
    return [
        {
            "name": "linux",
            "kind": "ssh_password",
            "username": "scan",
            "password": CANARY["ssh_password"],
            "escalation": {"method": "sudo", "password": CANARY["sudo_password"]},
        },
        {
            "name": "key",
            "kind": "ssh_key",
            "username": "scan",
            "private_key": key,
            "passphrase": CANARY["passphrase"],
            "escalation": {"method": "su", "password": CANARY["su_password"]},
        },
        {
            "name": "windows",
            "kind": "windows",
            "username": "scan",
            "password": CANARY["windows_password"],
            "privileged": True,
        },
        {
            "name": "snmp",
            "kind": "snmpv3",
            "username": "scan",
            "auth_password": CANARY["snmp_auth"],
            "privacy_password": CANARY["snmp_privacy"],
        },
        {"name": "env", "kind": "ssh_password", "username": "s", "password": "${CANARY_ENV}"},
        {"name": "file", "kind": "ssh_password", "username": "s", "password": "${file:secret}"},
    ]


class Watch:
    """Everything that the daemon told anybody."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []

    def hear(self, where: str, what: str | bytes) -> None:
        self.heard.append((where, what if isinstance(what, bytes) else what.encode()))

    async def ask(self, tools: Tools, tool: str, **arguments: Any) -> dict[str, Any]:
        """The answer, an empty one for a refusal."""
        try:
            answer = await tools.call(tool, **arguments)
        except CallFailed as error:
            self.hear(f"refusal of {tool}", str(error))
            return {}
        self.hear(f"answer of {tool}", json.dumps(answer))
        return answer

    def found(self) -> list[str]:
        return [
            f"{word} in {where}"
            for where, what in self.heard
            for word, canary in CANARY.items()
            if any(form in what for form in forms(canary))
        ]


def forms(canary: str) -> list[bytes]:
    """As it is, and as it may be hidden in other texts."""
    plain = canary.encode()
    return [plain, base64.b64encode(plain)[:16], plain.hex().encode(), canary[::-1].encode()]


def scanners(good: RunningSim, ui: RunningSim, failing: RunningSim) -> list[dict[str, Any]]:
    wrong = {"access_key": CANARY["wrong_access"], "secret_key": CANARY["wrong_secret"]}
    login = {"username": "admin", "password": CANARY["ui_password"]}
    return [
        scanner_yaml("good", good, 8),
        scanner_yaml("ui", ui, 8, auth={"ui_session": login}),
        scanner_yaml("failing", failing, 8),
        scanner_yaml("wrong", good, auth={"api_keys": wrong}),
    ]


def make_site(directory: Path, *sims: RunningSim) -> Site:
    (directory / "secret").write_text(CANARY["file"])
    hook = {"url": "https://127.0.0.1:9/hook", "secret": CANARY["webhook"]}
    place = site(
        directory,
        scanners(*sims),
        credentials=credentials(),
        notifications=[hook],
        http={"bind": "127.0.0.1:0"},
        log={"level": "debug"},
        scheduling={"backoff_base": "1s", "max_attempts": 2, "overlap_guard": False},
        polling={"fastest": "0.2s", "slowest": "0.5s", "probe": "0.3s", "probe_max": "1s"},
    )
    for entry in place.config["credentials"]:
        if entry["name"] == "file":
            entry["password"] = f"${{file:{directory / 'secret'}}}"
    place.write()
    return DaemonSite(directory=directory, config=place.config)


class DaemonSite(Site):
    """Its daemon has secrets in its environment."""

    @property
    def environ(self) -> dict[str, str]:
        return {
            **super().environ,
            "CANARY_ENV": CANARY["environment"],
            "CANARY_UNUSED": CANARY["unused_environment"],
        }


def inject(sim: RunningSim, told: list[str], path: str, status: int, times: int = 1) -> None:
    """Errors in which the scanner repeats what it was told."""
    says = " ".join(["bad", *told])
    for method in ("POST", "GET"):
        fault = Fault(
            kind=FaultKind.STATUS, method=method, path=path, status=status, message=says,
            times=times,
        )  # fmt: skip
        sim.nessus.faults.inject(fault)


async def submit_all_kinds(
    tools: Tools, watch: Watch, scanner: str, most: int | None = None
) -> list[str]:
    place = {"targets": TARGET, "scanner_instance": scanner}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("submit_scan", {}),
        ("submit_quick_scan", {}),
        ("submit_trusted_scan", {"credential": "key"}),
        ("submit_trusted_scan", {"credential": "env"}),
        ("submit_privileged_scan", {"credential": "linux"}),
        ("submit_privileged_scan", {"credential": "windows"}),
        ("submit_custom_scan", {"template": "advanced", "credential": "file"}),
        ("submit_custom_scan", {"template": "advanced", "credential": "snmp"}),
    ]
    answers = [await watch.ask(tools, tool, **place, **own) for tool, own in calls[:most]]
    return [answer["task_id"] for answer in answers if answer]


async def bad_requests(tools: Tools, watch: Watch) -> None:
    """A model that passes secrets, in every way it might think of."""
    inline = CANARY["inline_password"]
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY['inline_key']}\n-----END-----"
    tries: list[dict[str, Any]] = [
        {"password": inline},
        {"credential": f"root:{inline}"},
        {"credential": {"username": "root", "password": inline}},
        {"credential": key},
        {"credential": f"{inline} " * 400},
        {"private_key": key},
        {"settings": {"http_login_password": inline}},
        {"settings": json.dumps({"ssh_password": inline})},
        {"settings": {"portscan_range": f"password={inline}"}},
        {"description": f"log in with password: {inline}"},
        {"description": f"log in with password: {inline}" + " please" * 2000},
        {"name": f"ssh://root:{inline}@192.0.2.4"},
        {"targets": [f"root:{inline}@192.0.2.4"]},
        {"auth": {"token": inline}},
    ]
    for arguments in tries:
        given = {"targets": TARGET, "template": "advanced", **arguments}
        assert await watch.ask(tools, "submit_custom_scan", **given) == {}, arguments
        assert "[inline_secret]" in watch.heard[-1][1].decode(), watch.heard[-1]


async def look_around(tools: Tools, watch: Watch, tasks: list[str]) -> None:
    for tool in (
        "list_tasks", "list_scanners", "get_queue_status", "list_credentials",
        "list_dead_letters", "list_scan_templates",
    ):  # fmt: skip
        await watch.ask(tools, tool)
    for task_id in tasks:
        for tool in ("get_scan_status", "get_scan_summary"):
            await watch.ask(tools, tool, task_id=task_id)
        await watch.ask(tools, "get_scan_results", task_id=task_id, profile="full")


async def reload_with_mistakes(place: Site, process: trio.Process, watch: Watch) -> None:
    """Files in which secrets stand where they do not belong; each is refused."""
    good = json.dumps(place.config)
    misplaced = CANARY["misplaced"]
    for broken in (
        {**place.config, "pasword": misplaced},
        {**place.config, "log": {"level": misplaced}},
        {**place.config, "credentials": [{"name": misplaced, "kind": misplaced}]},
        {**place.config, "notifications": [{"url": f"gopher://u:{misplaced}@example.com"}]},
        {**place.config, "scanners": [{**place.config["scanners"][0], "auth": misplaced}]},
    ):
        place.file.write_text(json.dumps(broken))
        rejected = log_of(place).count("config_rejected")
        process.send_signal(signal.SIGHUP)
        await until_logged(place, "config_rejected", rejected + 1)
        checked = await trio.run_process(
            [*PROGRAM, "config", "check", "--config", str(place.file)],
            capture_stdout=True, capture_stderr=True, check=False, env=place.environ,
        )  # fmt: skip
        watch.hear("config check", checked.stdout + checked.stderr)
    place.file.write_text(good)
    loaded = log_of(place).count("config_loaded")
    process.send_signal(signal.SIGHUP)
    await until_logged(place, "config_loaded", loaded + 1)


async def read_pages(place: Site, watch: Watch) -> None:
    address = re.findall(r'"http": ?"(http://127\.0\.0\.1:\d+)', log_of(place))[-1]
    async with httpx.AsyncClient(timeout=20) as pages:
        for path in ("/health", "/ready", "/live", "/metrics", "/"):
            watch.hear(path, (await pages.get(address + path)).text)


def read_files(place: Site, watch: Watch) -> None:
    """The database with journal and findings, reports, logs: every byte that was written."""
    for file in place.directory.rglob("*"):
        if file.is_file() and file not in (place.file, place.directory / "secret"):
            content = file.read_bytes()
            watch.hear(file.name, content)
            if content[:2] == b"\x1f\x8b":
                watch.hear(f"{file.name}, unpacked", gzip.decompress(content))


def log_of(place: Site) -> str:
    return (place.directory / "daemon.log").read_text()


async def until_logged(place: Site, event: str, count: int) -> None:
    with trio.fail_after(30):
        while log_of(place).count(event) < count:  # noqa: ASYNC110 - another process writes it
            await trio.sleep(0.05)


@pytest.mark.slow
async def test_no_secret_comes_out_anywhere(tmp_path: Path) -> None:
    watch = Watch()
    plain = SimOptions(seed=1, scans_take=0.2, export_takes=0.05)
    keyed = attrs.evolve(plain, access_key=CANARY["access_key"], secret_key=CANARY["secret_key"])
    options = (
        keyed,
        attrs.evolve(plain, seed=2, edition="professional", password=CANARY["ui_password"]),
        attrs.evolve(keyed, seed=3),
    )
    async with simulators(*options) as (good, ui, failing):
        place = make_site(tmp_path, good, ui, failing)
        async with daemon(place) as process, client(place) as tools:
            tasks = [
                *await submit_all_kinds(tools, watch, "good"),
                *await submit_all_kinds(tools, watch, "ui"),
            ]
            await bad_requests(tools, watch)
            for task_id in tasks:
                assert (await settled(tools, task_id))["status"] == "completed"
            for number, token in enumerate(ui.nessus.accounts.last_used):
                CANARY[f"session_token_{number}"] = token
            CANARY["ui_token"] = ui.nessus.accounts.ui_token
            told = [CANARY[word] for word in TOLD]
            tokens = [token for word, token in CANARY.items() if "_token" in word]
            inject(good, [*told, CANARY["access_key"], CANARY["secret_key"]], "/scans", 400, 2)
            inject(good, told, "/scans*", 500)
            inject(ui, [CANARY["ui_password"], *tokens, *told], "/scans", 400, 2)
            inject(ui, [*tokens, *told], "/scans*", 403)
            inject(failing, [CANARY["secret_key"], CANARY["access_key"]], "/scans", 500, 2)
            more = [
                task_id
                for name in ("good", "ui", "failing")
                for task_id in await submit_all_kinds(tools, watch, name, most=4)
            ]
            for task_id in more:
                await settled(tools, task_id)
            await watch.ask(tools, "submit_scan", targets=TARGET, scanner_instance="wrong")
            await look_around(tools, watch, [*tasks, *more])
            await reload_with_mistakes(place, process, watch)
            await read_pages(place, watch)
            for page in ("cmdline", "comm", "status"):
                watch.hear(page, Path(f"/proc/{process.pid}/{page}").read_bytes())
        read_files(place, watch)
    assert len(CANARY) >= 20
    assert "***" in log_of(place)
    assert any(state in log_of(place) for state in ("task_dead", "task_retry_scheduled"))
    assert watch.found() == []


QUOTED: tuple[Callable[[str], str], ...] = (
    str,
    lambda text: quote(text, safe=""),
    lambda text: json.dumps({"error": text}),
    lambda text: b64encode(f"scan:{text}".encode()).decode(),
    lambda text: f"accessKey={text}; secretKey={text};",
    lambda text: text.encode().hex(),
)


def report_of_a_host_that_repeats(secrets: Sequence[str]) -> str:
    """A report in which a host's names, banners and login evidence have the secrets in them."""
    said = escape(" ".join(quoted(secret) for secret in secrets for quoted in QUOTED))
    item = (
        f'<ReportItem port="22" svc_name="NAME" protocol="tcp" severity="4" pluginID="PLUGIN" '
        f'pluginName="NAME" pluginFamily="General"><plugin_output>{said}</plugin_output>'
        f"<solution>NAME {said}</solution><synopsis>{said}</synopsis></ReportItem>"
    )
    items = "".join(
        item.replace("NAME", escape(secrets[plugin % len(secrets)])).replace("PLUGIN", str(plugin))
        for plugin in (19506, 21745, 104410, 110385, 117887, 141118, 10267, 11936, 999999)
    )
    tags = "".join(
        f'<tag name="{name}">{escape(secrets[0])} {said}</tag>'
        for name in ("operating-system", "host-fqdn", "netbios-name")
    )
    return (
        '<?xml version="1.0" ?><NessusClientData_v2>'
        f'<Report name="{escape(secrets[0])}"><ReportHost name="192.0.2.4"><HostProperties>'
        f'<tag name="host-ip">192.0.2.4</tag>{tags}</HostProperties>{items}'
        "</ReportHost></Report></NessusClientData_v2>"
    )


async def command(place: Site, watch: Watch, *words: str) -> str:
    done = await trio.run_process(
        [*PROGRAM, *words, "--config", str(place.file)],
        capture_stdout=True, capture_stderr=True, check=False, env=place.environ,
    )  # fmt: skip
    watch.hear(" ".join(words), done.stdout + done.stderr)
    return done.stdout.decode()


async def read_all(place: Site, watch: Watch, tools: Tools, tasks: list[str]) -> None:
    """Every door, for every task; the last one has a report."""
    await look_around(tools, watch, tasks)
    for filters in (["severity=critical"], []):
        for history in (False, True):
            await watch.ask(
                tools, "search_findings", filters=filters, profile="full", history=history
            )
    await watch.ask(tools, "get_scan_summary", task_id=tasks[-1], detail="full")
    await read_pages(place, watch)
    for format_ in ("csv", "jsonl", "html"):
        written = await command(place, watch, "results", "export", tasks[-1], "--format", format_)
        assert "***" in written, format_
    await command(place, watch, "results", "summary", tasks[-1])
    await command(place, watch, "journal", "show", tasks[0], "--json")
    await command(place, watch, "status", tasks[0])


@pytest.mark.slow
async def test_quoted_secrets_stay_inside_before_and_after_a_kill(tmp_path: Path) -> None:
    """Scanner and host repeat every secret of the configuration, also of other scanners, and in
    other forms; and again to a daemon that was killed and has sent none of them yet."""
    watch = Watch()
    words = [word for word in TOLD if word != "private_key"]
    secrets = [CANARY[word] for word in (*words, "access_key", "secret_key", "ui_password",
                                         "webhook", "wrong_access", "wrong_secret")]  # fmt: skip
    told = [quoted(secret) for secret in secrets for quoted in QUOTED]
    told.append(f"bad key: {CANARY['private_key']}")  # a line of it, as it is
    options = SimOptions(seed=1, access_key=CANARY["access_key"], secret_key=CANARY["secret_key"])
    async with simulators(options) as (sim,):
        place = make_site(tmp_path, sim, sim, sim)
        report = tmp_path / "report.nessus"
        report.write_text(report_of_a_host_that_repeats(secrets))
        for part in range(0, len(told), 6):
            inject(sim, told[part : part + 6], "/scans*", (400, 500, 403)[part // 6 % 3], 2)
        async with daemon(place) as process, client(place) as tools:
            failed = await submit_all_kinds(tools, watch, "good", most=3)
            await command(place, watch, "results", "import", str(report), "--name", "told")
            listed = await watch.ask(tools, "list_tasks", states=["completed"])
            tasks = [*failed, listed["tasks"][0]["task_id"]]
            await until_logged(place, "***", 3)
            await read_all(place, watch, tools, tasks)
            process.kill()
            await process.wait()
        await command(place, watch, "status", tasks[0])  # from what it left
        inject(sim, told, "/*", 500, 1000)
        async with daemon(place), client(place) as tools:
            await read_all(place, watch, tools, tasks)
        watch.hear("daemon.log", log_of(place))
    assert watch.found() == []


def test_the_search_finds_what_is_there() -> None:
    watch = Watch()
    watch.hear("a log", f"... {CANARY['webhook']} ...")
    watch.hear("a blob", base64.b64encode(CANARY["file"].encode()))
    assert watch.found() == ["webhook in a log", "file in a blob"]
