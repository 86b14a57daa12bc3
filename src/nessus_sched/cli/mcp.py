"""`nessus-sched mcp`, and the entry for Claude Desktop."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from nessus_sched.cli.options import default_config
from nessus_sched.cli.output import print_note


@click.command("mcp")
@click.option("--config", "-c", metavar="FILE", help="Configuration of the daemon to reach.")
@click.option(
    "--socket",
    metavar="PATH",
    multiple=True,
    help="Reach the daemon at this socket, or ssh://HOST, instead; of several, the one that leads.",
)
@click.option("--no-start", is_flag=True, help="Never start a daemon when none runs.")
@click.option("--leading", is_flag=True, hidden=True)
@click.option("--print-config", is_flag=True, help="Print the entry for Claude Desktop, and exit.")
@click.option(
    "--ssh", metavar="HOST", help="With --print-config: the daemon is on HOST, reached by ssh."
)
def mcp_command(
    config: str | None,
    socket: tuple[str, ...],
    no_start: bool,
    leading: bool,
    print_config: bool,
    ssh: str | None,
) -> None:
    """Relay MCP between stdin/stdout and the daemon; Claude Desktop starts this.

    If no daemon is running for your configuration, one is started, which exits when idle. Without a
    configuration of your own, the system's daemon is used.

    \b
    nessus-sched mcp --print-config            for a daemon on this machine
    nessus-sched mcp --print-config --ssh HOST for a daemon on HOST; run this anywhere

    In Claude Desktop, open Settings > Developer > Edit Config, paste the output into that file
    (merge it into an existing "mcpServers"), and restart Claude Desktop.
    """
    if ssh is not None and not print_config:
        raise click.UsageError("--ssh needs --print-config")
    if print_config:
        words = _by_ssh(ssh, config) if ssh else _local(config, socket, no_start)
        click.echo(desktop_entry(words))
        return
    from nessus_sched.ipc import relay

    words = ["--no-start"] if no_start else []
    words += ["--config", config] if config else []
    words += [word for each in socket for word in ("--socket", each)]
    words += ["--leading"] if leading else []
    sys.exit(relay.main(words))


def _local(config: str | None, sockets: Sequence[str], no_start: bool) -> list[str]:
    found = config or (None if sockets else default_config())
    words = [*program(), "mcp"] if found is None else client_of(found)
    if found is not None and not Path(found).exists():
        print_note(f"warning: {found} does not exist yet")
    for each in sockets:
        words += ["--socket", each if "://" in each else os.path.abspath(each)]
    words += ["--no-start"] if no_start else []
    return words


def _by_ssh(host: str, config: str | None) -> list[str]:
    """Keys without a prompt and no terminal: only MCP may be on stdout."""
    if host.startswith("-"):
        raise click.UsageError("--ssh takes a host name or user@host")
    remote = ["nessus-sched", "mcp", *(["--config", config] if config else [])]
    ssh = shutil.which("ssh") or "/usr/bin/ssh"
    return [ssh, "-T", "-o", "BatchMode=yes", host, *remote]


def program() -> list[str]:
    """The command line of this program."""
    beside = Path(sys.executable).with_name("nessus-sched")
    called = shutil.which(sys.argv[0]) or ""
    for path in (called, str(beside), shutil.which("nessus-sched") or ""):
        if Path(path).name == "nessus-sched" and os.access(path, os.X_OK):
            return [os.path.abspath(path)]
    return [sys.executable, "-m", "nessus_sched"]


def typed_program() -> str:
    """This program as a user types it: its name if the shell finds it, otherwise its path."""
    path, *rest = program()
    name = Path(path).name
    return shlex.join([name if shutil.which(name) == path else path, *rest])


def client_of(config: str | Path) -> list[str]:
    """The command that connects to a configuration's daemon."""
    return [*program(), "mcp", "--config", os.path.abspath(config)]


def desktop_entry(words: Sequence[str]) -> str:
    """The JSON to paste for a command line."""
    entry = {"command": words[0], "args": list(words[1:])}
    return json.dumps({"mcpServers": {"nessus": entry}}, indent=2)
