"""A booted Debian in a container (systemd-nspawn) with our wheel in it, and nothing of the
network: what a machine does with the service, for real."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,curl,openssh-server,openssh-client"
PROGRAM = "/opt/nessus-sched/bin/nessus-sched"
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
_BOOT = """
for tree in unified systemd; do
  lab=/sys/fs/cgroup/$tree/nessus-sched-boot
  if [ -d /sys/fs/cgroup/$tree ]; then mkdir -p $lab && echo $$ > $lab/cgroup.procs; fi
done
exec systemd-nspawn -q -D "$1" --boot --register=no --keep-unit --private-network \
  --console=read-only
"""
"""Its own cgroup first: systemd would otherwise take over ours."""
_POWER_OFF = 38  # SIGRTMIN+4, systemd(1)


@attrs.frozen(kw_only=True)
class Machine:
    """A machine that runs; `leader` is its PID 1 as we see it, `root` its file system."""

    leader: int
    root: Path

    def argv(self, *words: str, user: str | None = None) -> list[str]:
        """What to start here for a command to run there, with our stdin and stdout."""
        enter = ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C"]
        become = ["runuser", "-u", user, "--"] if user else []
        clean = ["env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin", "LANG=C.UTF-8"]
        return [*enter, "--root", "--wd", *clean, *become, *words]

    def run(
        self, *words: str, user: str | None = None, rc: int | None = 0, within: float = 120
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.argv(*words, user=user),
            capture_output=True,
            text=True,
            timeout=within,
            stdin=subprocess.DEVNULL,
        )
        assert rc is None or done.returncode == rc, (words, done.returncode, done.stdout, done)
        return done

    def out(self, *words: str, user: str | None = None) -> str:
        return self.run(*words, user=user).stdout.strip()

    def of(self, name: str, unit: str = "nessus-sched.service") -> str:
        """A property of a unit."""
        return self.out("systemctl", "show", "--value", "-p", name, unit)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def install(self, wheel: Path) -> None:
        """Installs this wheel, or changes to it, with the rest of what is in its folder."""
        shutil.copytree(wheel.parent, self.root / "opt/wheels", dirs_exist_ok=True)
        self.run(
            "/opt/nessus-sched/bin/pip", "install", "-q", "--no-index", "--force-reinstall",
            "--no-deps", f"/opt/wheels/{wheel.name}",
        )  # fmt: skip


def eventually(found: object, seconds: float = 30.0) -> None:
    """Waits until `found()` is true."""
    assert callable(found)
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, found
        time.sleep(0.2)  # noqa: TID251 - a machine outside has no virtual time


def base(place: Path, suite: str) -> Path:
    """The file system of a Debian below `place`; made once, which takes a minute or so."""
    root = place / suite
    if not root.exists():
        fresh = place / f"{suite}.new"
        place.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)  # of a run that was interrupted
        ours = SOURCES.exists() and suite in SOURCES.read_text()
        options = ["--variant=minbase", f"--include={PACKAGES}", suite, str(fresh)]
        subprocess.run(["mmdebstrap", *options, *([str(SOURCES)] if ours else [])], check=True)
        fresh.rename(root)
    return root


def wheels(checkout: Path, place: Path, root: Path) -> Path:
    """A wheel of the checkout, in a folder with all that it needs for the Python there."""
    pip = ["/usr/bin/python3", "-m", "pip"]
    build = ["wheel", "-q", "--no-deps", "-w", str(place), str(checkout)]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = place.glob("nessus_sched-*.whl")
    version = (root / "usr/bin/python3").readlink().name.removeprefix("python")
    there = ["--only-binary=:all:", "--python-version", version]
    subprocess.run([*pip, "download", "-q", *there, "-d", str(place), str(wheel)], check=True)
    return wheel


@contextmanager
def booted(root: Path) -> Iterator[Machine]:
    """The machine while it runs; switched off at the end."""
    environ = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
    with (root.parent / "console.log").open("wb") as console:
        process = subprocess.Popen(
            ["sh", "-c", _BOOT, "sh", str(root)],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            env=environ,
        )
        try:
            eventually(lambda: _children(process.pid) or process.poll() is not None)
            assert process.poll() is None, (root.parent / "console.log").read_text()
            machine = Machine(leader=_children(process.pid)[0], root=root)
            # Not with --wait, which returns at once while there is no bus: /tmp is emptied later.
            eventually(lambda: _state(machine) in ("running", "degraded"), 90)
            yield machine
        finally:
            for leader in _children(process.pid):
                os.kill(leader, _POWER_OFF)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _state(machine: Machine) -> str:
    return machine.run("systemctl", "is-system-running", rc=None).stdout.strip()


def _children(pid: int) -> Sequence[int]:
    """Of a process, as far as it runs."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return ()
    return [int(word) for word in text.split()]
