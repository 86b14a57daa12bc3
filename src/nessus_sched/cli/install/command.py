"""`nessus-sched install` and `uninstall`: the systemd service."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

import nessus_sched
from nessus_sched.cli.install.plan import (
    CONFIG,
    STATE,
    out_of_reach,
    plan,
    put,
    remove,
    unfit,
)

F = TypeVar("F", bound=Callable[..., Any])

_RUNNING: Final = Path("/run/systemd/system")
"""Exists if systemd runs this machine (sd_booted(3))."""
_UNITS: Final = ("nessus-sched.socket", "nessus-sched.service")
_EXAMPLE: Final = "example.yaml beside it"
_ALWAYS: Final = (
    "for each USER allowed to use it: usermod --append --groups nessus-mcp USER",
    f"start it, now and at every boot: systemctl enable --now {' '.join(_UNITS)}",
    "or, if it is already running: systemctl restart nessus-sched (running scans continue)",
)
_INSTEAD: Final = """\
Install the program where every user can reach it; from a clone or with a wheel instead of .:
  python3 -m venv /opt/nessus-sched
  /opt/nessus-sched/bin/pip install .
  /opt/nessus-sched/bin/nessus-sched install --systemd"""


def _below_root(_ctx: click.Context, _parameter: click.Parameter, prefix: str) -> str:
    if ".." in Path(prefix).parts:
        raise click.BadParameter("a prefix has no '..'")
    return prefix


def _options(command: F) -> F:
    for option in (
        click.option("--dry-run", is_flag=True, help="Show what would be done."),
        click.option(
            "--prefix", default="/usr/local", show_default=True, metavar="DIR",
            callback=_below_root,
            help="Units go to DIR/lib, the command to DIR/bin. Packages use /usr.",
        ),
        click.option(
            "--root", default="/", show_default=True, metavar="DIR",
            type=click.Path(file_okay=False, path_type=Path),
            help="Install into another root, such as an image; nothing is started there.",
        ),
        click.option(
            "--program", metavar="PATH", help="What the service runs. Default: this program."
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command("install")
@click.option("--systemd", is_flag=True, help="Install as a systemd service; required.")
@_options
def install_command(
    systemd: bool, root: Path, prefix: str, program: str | None, dry_run: bool
) -> None:
    """Install the systemd service, running this program; start nothing.

    Run it again after an upgrade. Put your own changes into drop-ins (`systemctl edit
    nessus-sched`), which are never touched.
    """
    if not systemd:
        raise click.UsageError("give --systemd")
    path = _program(program, root)
    _needs_root(root, dry_run)
    _announce(dry_run)
    for item in plan(path, prefix):
        click.echo(f"{_done(put, item, root, dry_run):10} {_shown(root, item.path)}")
    live = root == Path("/") and _RUNNING.is_dir()
    for command in (
        ["systemd-sysusers", "nessus-sched.conf"],
        ["systemd-tmpfiles", "--create", "nessus-sched.conf"],
        ["systemctl", "daemon-reload"],
    ):
        _run(command, really=live and not dry_run)
    _left_to_do(root, live)


@click.command("uninstall")
@click.option("--purge", is_flag=True, help="Also delete tasks, results and configuration.")
@_options
def uninstall_command(
    purge: bool, root: Path, prefix: str, program: str | None, dry_run: bool
) -> None:
    """Stop and remove the systemd service; tasks, results and configuration stay.

    Running scans continue on their scanners. Your drop-ins stay, and so do the users and
    groups, so that no other account can inherit their files.
    """
    path = program or _this_program()
    _needs_root(root, dry_run)
    _announce(dry_run)
    live = root == Path("/") and _RUNNING.is_dir() and not dry_run
    if (root / prefix.strip("/") / "lib/systemd/system/nessus-sched.service").exists():
        _run(["systemctl", "disable", "--now", *_UNITS], really=live)
    for item in plan(path, prefix):
        if _done(remove, item, root, dry_run):
            click.echo(f"removed    {_shown(root, item.path)}")
    _run(["systemctl", "daemon-reload"], really=live)
    for kept in (STATE, CONFIG):
        if not (root / kept).exists():
            continue
        if purge and not dry_run:
            _delete(root / kept)
        click.echo(f"{'deleted' if purge else 'kept':10} {_shown(root, kept)}")


def _delete(directory: Path) -> None:
    if directory.is_symlink():
        raise click.ClickException(
            f"{directory} is a symbolic link: delete the link and what it points to yourself"
        )
    try:
        shutil.rmtree(directory)
    except OSError as error:
        raise click.ClickException(f"{error.filename or directory}: {error.strerror}") from None


def _program(given: str | None, root: Path) -> str:
    """The program's path for the unit. Raises if the service could not run it."""
    path = given or _this_program()
    trouble = unfit(path)
    if trouble is None and given is None and root == Path("/"):
        package = Path(nessus_sched.__file__)
        trouble = out_of_reach([Path(path), Path(sys.executable), package])
    if trouble is not None:
        raise click.ClickException(f"{trouble}.\n{_INSTEAD}")
    return path


def _this_program() -> str:
    called = shutil.which(sys.argv[0]) or ""
    if Path(called).name == "nessus-sched":
        return os.path.abspath(called)
    return str(Path(sys.executable).with_name("nessus-sched"))


def _needs_root(root: Path, dry_run: bool) -> None:
    if root == Path("/") and os.geteuid() != 0 and not dry_run:
        raise click.ClickException(
            "only root can do that: use sudo, or --dry-run to see what it would do"
        )


def _announce(dry_run: bool) -> None:
    if dry_run:
        click.echo("Dry run: nothing is changed.")


def _done(work: Callable[..., Any], item: object, root: Path, dry_run: bool) -> Any:
    try:
        return work(item, root, pretend=dry_run)
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None


def _run(command: Sequence[str], *, really: bool) -> None:
    if not really:
        return
    click.echo(f"run        {' '.join(command)}")
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise click.ClickException(f"{command[0]} failed: {error}") from None


def _shown(root: Path, path: str) -> str:
    return str(root / path)


def _left_to_do(root: Path, live: bool) -> None:
    steps = []
    if not (root / CONFIG / "config.yaml").exists():
        steps.append(f"write /{CONFIG}/config.yaml: `nessus-sched config init`, or from {_EXAMPLE}")
        if live:
            steps.append("let the service read it: run this command again")
    if not live:
        steps.append("on the running system: run this command again")
    steps += [*_ALWAYS, "check it: systemctl status nessus-sched"]
    click.echo("\nNext steps:")
    for number, step in enumerate(steps, 1):
        click.echo(f"  {number}. {step}")
