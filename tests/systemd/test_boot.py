"""The service on a booted systemd, with real users. Takes minutes: set NESSUS_SCHED_BOOT to a
directory for the Debian it needs, which is kept there; NESSUS_SCHED_BOOT_SUITE names another
than Debian 12.

One machine for all tests. Each finds the service well and leaves it so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import pytest

from nessus_sched import __version__
from nessus_sched.core.clock import system_now
from nessus_sched.mcp.client import Tools, connected
from nessus_sched.sim.options import SimOptions
from nessus_sched.store.tasks.schema import TASKS
from support.booted import PROGRAM, Machine, base, booted, eventually, wheels
from support.processes import settled

CHECKOUT = Path(__file__).parents[2]
PLACE = os.environ.get("NESSUS_SCHED_BOOT", "")
SUITE = os.environ.get("NESSUS_SCHED_BOOT_SUITE", "bookworm")
SIM = SimOptions(seed=1)
SCAN = 12
"""Seconds that a simulated scan takes: enough to restart a daemon in the middle."""
DOWN = 150
"""Seconds without the service, in which a schedule is due: after two minutes it was missed."""
CONFIG = """\
state_directory: /var/lib/nessus-sched
targets: {{allow: [192.0.2.0/24]}}
polling: {{fastest: 0.5s, slowest: 1s, probe: 1s}}
scanners:
  - id: east
    url: https://127.0.0.1:8834
    auth:
      api_keys:
        access_key: ${{credential:east-access-key}}
        secret_key: ${{credential:east-secret-key}}
    tls: {{fingerprint: {fingerprint}}}
    max_concurrent_scans: {limit}
"""
DROP_IN = """\
[Service]
LoadCredential=east-access-key:/etc/nessus-sched/credentials/east-access-key
LoadCredential=east-secret-key:/etc/nessus-sched/credentials/east-secret-key
"""
TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PLACE, reason="NESSUS_SCHED_BOOT is not set"),
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, TOOLS)),
        reason=f"needs root and {', '.join(TOOLS)}",
    ),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels(CHECKOUT, tmp_path_factory.mktemp("wheels"), base(Path(PLACE), SUITE))


@pytest.fixture(scope="module")
def machine(wheel: Path) -> Iterator[Machine]:
    """A machine as an administrator leaves it who followed the README."""
    root = Path(PLACE) / "root"
    shutil.rmtree(root, ignore_errors=True)
    fresh = str(base(Path(PLACE), SUITE))
    subprocess.run(["cp", "-a", "--reflink=auto", fresh, str(root)], check=True)
    with booted(root) as running:
        set_up(running, wheel)
        yield running


def set_up(machine: Machine, wheel: Path) -> None:
    machine.run("python3", "-m", "venv", "/opt/nessus-sched")
    shutil.copytree(wheel.parent, machine.root / "opt/wheels")
    machine.run(
        "/opt/nessus-sched/bin/pip", "install", "-q", "--no-index",
        "--find-links", "/opt/wheels", "nessus-sched",
    )  # fmt: skip
    machine.run(PROGRAM, "install", "--systemd")
    words = ["sim", "--scans-take", str(SCAN)]
    machine.run("systemd-run", "-q", "--unit=sim", PROGRAM, *words)
    eventually(lambda: "fingerprint" in machine.out("journalctl", "-u", "sim", "-o", "cat"))
    for name, key in (("access", SIM.effective_access_key), ("secret", SIM.effective_secret_key)):
        machine.write(f"/etc/nessus-sched/credentials/east-{name}-key", key + "\n", 0o600)
    machine.write("/etc/systemd/system/nessus-sched.service.d/secrets.conf", DROP_IN)
    configure(machine)
    machine.run(PROGRAM, "install", "--systemd")
    for user, groups in (("alice", ["-G", "nessus-mcp"]), ("mallory", [])):
        machine.run("useradd", "-m", "-s", "/bin/bash", *groups, user)
    machine.run("systemctl", "enable", "-q", "--now", "nessus-sched.socket", "nessus-sched.service")
    eventually(lambda: healthy(machine))


def configure(machine: Machine, limit: int = 2) -> None:
    said = machine.out("journalctl", "-u", "sim", "-o", "cat")
    fingerprint = said.split("fingerprint:")[1].split()[0]
    path = machine.root / "etc/nessus-sched/config.yaml"
    path.write_text(CONFIG.format(fingerprint=fingerprint, limit=limit))


def healthy(machine: Machine) -> bool:
    asked = machine.run("curl", "-sf", "http://127.0.0.1:9834/health", rc=None)
    return asked.returncode == 0


def replaced(machine: Machine, pid: str) -> bool:
    """Whether systemd has put another process in the place of this one."""
    return machine.of("MainPID") not in ("0", pid) and healthy(machine)


def nowhere() -> TextIO:
    return Path(os.devnull).open("w")


@asynccontextmanager
async def client(machine: Machine, *words: str, user: str | None = None) -> AsyncIterator[Tools]:
    """An MCP client of `nessus-sched mcp`, which a user runs there."""
    argv = machine.argv(*(words or ("nessus-sched", "mcp")), user=user)
    with nowhere() as errors:
        async with connected(argv, os.environ, errors) as tools:
            yield tools


def ask(machine: Machine, *words: str, user: str = "alice") -> Any:
    return json.loads(machine.out("nessus-sched", *words, "--json", user=user))


def started(machine: Machine, target: str) -> str:
    """The id of a scan that runs now."""
    task_id = ask(machine, "submit", target)["task_id"]
    assert isinstance(task_id, str)
    eventually(lambda: standing(machine, task_id)["status"] == "running")
    return task_id


def standing(machine: Machine, task_id: str) -> dict[str, Any]:
    task: dict[str, Any] = ask(machine, "status", task_id)
    return task


def scans_on_scanner(machine: Machine) -> int:
    keys = f"accessKey={SIM.effective_access_key}; secretKey={SIM.effective_secret_key}"
    url = "https://127.0.0.1:8834/scans"
    answer = machine.out("curl", "-sk", "-H", f"X-ApiKeys: {keys}", url)
    return len(json.loads(answer)["scans"] or [])


def completes_at_first_attempt(machine: Machine, task_id: str, scans_before: int) -> None:
    eventually(lambda: standing(machine, task_id)["status"] == "completed", SCAN + 30)
    assert standing(machine, task_id)["attempt"] == 1
    assert scans_on_scanner(machine) == scans_before + 1


def test_systemd_has_nothing_to_complain_about(machine: Machine) -> None:
    found = machine.run("systemd-analyze", "--man=no", "verify", "nessus-sched.service")
    assert found.stdout + found.stderr == ""


def test_its_exposure_is_low(machine: Machine) -> None:
    said = machine.out("systemd-analyze", "security", "--no-pager", "nessus-sched.service")
    overall = said.splitlines()[-1]
    print(overall)
    assert float(overall.split(":")[1].split()[0]) <= 1.5


def test_health_is_told_to_curl(machine: Machine) -> None:
    health = json.loads(machine.out("curl", "-s", "http://127.0.0.1:9834/health"))
    assert health["status"] in ("ok", "healthy"), health
    assert "process_resident_memory_bytes" in machine.out(
        "curl", "-s", "http://127.0.0.1:9834/metrics"
    )


async def test_a_user_of_the_group_does_a_whole_scan(machine: Machine) -> None:
    async with client(machine, user="alice") as tools:
        submitted = await tools.call("submit_scan", targets=["192.0.2.1"], name="by alice")
        task = await settled(tools, submitted["task_id"])
        assert task["status"] == "completed"
        page = await tools.call("get_scan_results", task_id=task["task_id"])
    assert page["total"] > 0


async def test_a_user_of_the_group_does_so_through_ssh(machine: Machine) -> None:
    machine.run(
        "sh", "-c",
        "test -e ~root/.ssh/id_ed25519 || { ssh-keygen -q -t ed25519 -N '' -f ~root/.ssh/id_ed25519"
        " && install -d -o alice -g alice -m 0700 /home/alice/.ssh && install -o alice -g alice"
        " -m 0600 ~root/.ssh/id_ed25519.pub /home/alice/.ssh/authorized_keys; }",
    )  # fmt: skip
    words = "ssh -T -o BatchMode=yes -o StrictHostKeyChecking=accept-new alice@127.0.0.1"
    async with client(machine, *words.split(), "nessus-sched", "mcp") as tools:
        submitted = await tools.call("submit_quick_scan", targets=["192.0.2.2"])
        assert (await settled(tools, submitted["task_id"]))["status"] == "completed"


async def test_a_user_outside_the_group_is_told_why_not(machine: Machine) -> None:
    refused = machine.run("nessus-sched", "tasks", user="mallory", rc=3)
    assert "not in the socket's group" in refused.stderr
    with pytest.raises(BaseExceptionGroup) as found:
        async with client(machine, user="mallory") as tools:
            await tools.names()
    assert "not in the socket's group" in repr(found.value)


@pytest.mark.parametrize(
    "path", ["/var/lib/nessus-sched/tasks.db", "/etc/nessus-sched/config.yaml"]
)
@pytest.mark.parametrize("user", ["alice", "mallory"])
def test_users_read_neither_store_nor_configuration(machine: Machine, user: str, path: str) -> None:
    assert "denied" in machine.run("cat", path, user=user, rc=1).stderr


def test_it_dumps_no_core_and_tells_no_secret(machine: Machine) -> None:
    limits = machine.out("cat", f"/proc/{machine.of('MainPID')}/limits")
    assert "Max core file size        0                    0" in limits
    said = machine.out("journalctl", "-u", "nessus-sched", "-o", "cat")
    assert SIM.effective_secret_key not in said
    assert SIM.effective_access_key not in said


def test_a_killed_service_comes_back_and_adopts_its_scan(machine: Machine) -> None:
    before = scans_on_scanner(machine)
    task_id = started(machine, "192.0.2.10")
    pid = machine.of("MainPID")
    machine.run("systemctl", "kill", "-s", "KILL", "nessus-sched")
    eventually(lambda: replaced(machine, pid))
    completes_at_first_attempt(machine, task_id, before)


def test_a_restart_leaves_running_scans_running(machine: Machine) -> None:
    before = scans_on_scanner(machine)
    task_id = started(machine, "192.0.2.11")
    machine.run("systemctl", "restart", "nessus-sched")
    completes_at_first_attempt(machine, task_id, before)


def test_a_stop_is_final(machine: Machine) -> None:
    machine.run("systemctl", "stop", "nessus-sched")
    assert machine.of("Result") == "success"
    refused = machine.run("nessus-sched", "tasks", user="alice", rc=3)
    assert "no daemon answers" in refused.stderr
    assert machine.of("ActiveState") == "inactive"
    machine.run("systemctl", "start", "nessus-sched")
    eventually(lambda: healthy(machine))


def test_a_firing_that_was_due_while_the_service_was_down_is_made_up_for(machine: Machine) -> None:
    due = datetime.fromtimestamp(system_now() + 20, UTC)
    for name, missed in (("made-up", "once"), ("left-out", "skip")):
        when = ("--at", due.isoformat(timespec="seconds"), "--catch-up", "1h")
        ask(machine, "schedules", "add", name, "192.0.2.13", *when, "--missed", missed)
    machine.run("systemctl", "stop", "nessus-sched")
    machine.run("sleep", str(DOWN), within=DOWN + 60)
    machine.run("systemctl", "start", "nessus-sched")
    eventually(lambda: healthy(machine))
    eventually(lambda: latest(machine, "made-up") and latest(machine, "left-out"))
    fired = latest(machine, "made-up")
    assert (fired["outcome"], fired["due"][:16]) == ("submitted", due.isoformat()[:16])
    assert "missed by 2 min" in fired["reason"]
    assert "missed by 2 min" in machine.out("nessus-sched", "schedules", "show", "made-up")
    assert latest(machine, "left-out")["outcome"] == "skipped"
    eventually(lambda: standing(machine, fired["task_id"])["status"] == "completed", SCAN + 30)
    machine.run("systemctl", "restart", "nessus-sched")
    eventually(lambda: healthy(machine))
    submitted = [
        ask(machine, "schedules", "show", each)["tasks"] for each in ("made-up", "left-out")
    ]
    assert submitted == [1, 0]
    said = machine.out("journalctl", "-u", "nessus-sched", "-o", "cat")
    assert said.count('"schedule_fired"') == 1


def latest(machine: Machine, name: str) -> Any:
    """The latest firing of a schedule."""
    return ask(machine, "schedules", "show", name)["last"]


def test_reload_changes_a_limit_and_keeps_the_old_file_when_the_new_one_is_wrong(
    machine: Machine,
) -> None:
    pid = machine.of("MainPID")
    configure(machine, limit=1)
    machine.run("systemctl", "reload", "nessus-sched")
    eventually(lambda: limit_of(machine) == 1)
    configure(machine, limit=-1)
    machine.run("systemctl", "reload", "nessus-sched")
    eventually(lambda: "max_concurrent_scans" in machine.out("journalctl", "-u", "nessus-sched"))
    assert limit_of(machine) == 1
    configure(machine)
    machine.run("systemctl", "reload", "nessus-sched")
    eventually(lambda: limit_of(machine) == 2)
    assert machine.of("MainPID") == pid


def limit_of(machine: Machine) -> int:
    (scanner,) = ask(machine, "scanners", "list")["scanners"]
    limit = scanner["max_concurrent_scans"]
    assert isinstance(limit, int)
    return limit


def test_a_service_that_hangs_is_replaced(machine: Machine) -> None:
    drop_in = "/etc/systemd/system/nessus-sched.service.d/watchdog.conf"
    machine.write(drop_in, "[Service]\nWatchdogSec=4\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "nessus-sched")
    pid = machine.of("MainPID")
    machine.run("sleep", "9")  # it is fed, or systemd would have acted by now
    assert machine.of("MainPID") == pid
    machine.run("kill", "-STOP", pid)
    eventually(lambda: replaced(machine, pid), 60)
    assert "watchdog" in machine.out("journalctl", "-u", "nessus-sched", "-o", "cat").lower()
    (machine.root / drop_in.lstrip("/")).unlink()
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "nessus-sched")


def test_a_mistake_in_the_configuration_is_told_and_not_tried_again(machine: Machine) -> None:
    configure(machine, limit=-1)
    machine.run("systemctl", "restart", "nessus-sched", rc=1)
    assert machine.of("ExecMainStatus") == "78"
    assert machine.of("ActiveState") == "failed"
    assert "max_concurrent_scans" in machine.run("systemctl", "status", "nessus-sched", rc=3).stdout
    configure(machine)
    machine.run("systemctl", "reset-failed", "nessus-sched.service", "nessus-sched.socket")
    machine.run("systemctl", "start", "nessus-sched")
    eventually(lambda: healthy(machine))


def test_a_missing_secret_is_told_and_not_tried_again(machine: Machine) -> None:
    key = machine.root / "etc/nessus-sched/credentials/east-access-key"
    key.rename(key.with_suffix(".away"))
    machine.run("systemctl", "restart", "nessus-sched", rc=1)
    assert (machine.of("ExecMainStatus"), machine.of("ActiveState")) == ("243", "failed")
    key.with_suffix(".away").rename(key)
    machine.run("systemctl", "reset-failed", "nessus-sched.service", "nessus-sched.socket")
    machine.run("systemctl", "start", "nessus-sched")
    eventually(lambda: healthy(machine))


def test_an_upgrade_keeps_tasks_and_running_scans_and_a_downgrade_is_refused(
    machine: Machine, wheel: Path, tmp_path: Path
) -> None:
    before = scans_on_scanner(machine)
    task_id = started(machine, "192.0.2.12")
    machine.install(later(tmp_path))
    machine.run(PROGRAM, "install", "--systemd")
    machine.run("systemctl", "restart", "nessus-sched")
    assert "99.0" in machine.out("nessus-sched", "--version")
    completes_at_first_attempt(machine, task_id, before)
    machine.install(wheel)
    machine.run("systemctl", "restart", "nessus-sched", rc=1)
    said = machine.out("journalctl", "-u", "nessus-sched", "-o", "cat", "-n", "20")
    assert "written by a newer nessus-sched" in said
    machine.run("systemctl", "stop", "nessus-sched")
    machine.install(next(tmp_path.glob("*.whl")))
    machine.run("systemctl", "reset-failed", "nessus-sched.service", "nessus-sched.socket")
    machine.run("systemctl", "start", "nessus-sched")
    assert standing(machine, task_id)["status"] == "completed"


def later(place: Path) -> Path:
    """A wheel of a later version, which has added a table to the store."""
    source = place / "source"
    source.mkdir()
    for name in ("src", "etc", "systemd"):
        shutil.copytree(CHECKOUT / name, source / name)
    for name in ("README.md", "LICENSE", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, source)
    change(source / "pyproject.toml", f'\nversion = "{__version__}"', '\nversion = "99.0"')
    change(source / "src/nessus_sched/__init__.py", f'"{__version__}"', '"99.0"')
    schema = source / "src/nessus_sched/store/tasks/schema.py"
    change(schema, f"_V{TASKS.version})", f'_V{TASKS.version}, "CREATE TABLE later (word TEXT);")')
    subprocess.run(
        ["/usr/bin/python3", "-m", "pip", "wheel", "-q", "--no-deps", "-w", place, source],
        check=True,
    )
    return next(place.glob("*.whl"))


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def test_uninstall_keeps_the_state_and_purge_does_not(machine: Machine) -> None:
    machine.run(PROGRAM, "uninstall")
    assert machine.of("LoadState") == "not-found"
    assert not (machine.root / "usr/local/bin/nessus-sched").is_symlink()
    assert (machine.root / "var/lib/nessus-sched/tasks.db").exists()
    assert (machine.root / "etc/nessus-sched/config.yaml").exists()
    machine.run(PROGRAM, "install", "--systemd")
    machine.run("systemctl", "enable", "-q", "--now", "nessus-sched.socket", "nessus-sched.service")
    eventually(lambda: healthy(machine))
    assert ask(machine, "tasks")["tasks"]
    machine.run(PROGRAM, "uninstall", "--purge")
    assert not (machine.root / "var/lib/nessus-sched").exists()
    assert not (machine.root / "etc/nessus-sched").exists()
