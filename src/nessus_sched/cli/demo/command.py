"""`nessus-sched demo`: a full tour on this machine, without a scanner."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from random import SystemRandom
from typing import Final

import click

from nessus_sched.cli.demo.config import written_config
from nessus_sched.cli.demo.ports import free_ports
from nessus_sched.cli.mcp import client_of, program
from nessus_sched.cli.options import json_option
from nessus_sched.cli.output_file import whole_file
from nessus_sched.cli.trio_run import run_trio

_SEEDS: Final = SystemRandom()


@click.command("demo")
@json_option
@click.option(
    "--replay", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
    help="Let the scanners return the .nessus files of a directory, one per scan.",
)  # fmt: skip
@click.option(
    "--stay", is_flag=True, help="Keep running afterwards, to connect a client of your own."
)
@click.option(
    "--write-config", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Only write the demo's configuration, to use with sim, serve and mcp.",
)  # fmt: skip
def demo_command(as_json: bool, replay: Path | None, stay: bool, write_config: Path | None) -> None:
    """Show everything on this machine in under half a minute; needs no scanner.

    Starts two simulated Nessus scanners and a daemon on a temporary state directory, submits
    scans through MCP as Claude Desktop does, follows them, and shows what they found. Nothing
    is scanned, and everything is deleted afterwards.
    """
    if write_config is not None:
        _write(write_config)
        return
    from nessus_sched.cli.demo.run import run_demo

    run_trio(run_demo, as_json, replay, stay)


def _write(path: Path) -> None:
    state = path.absolute().with_name(path.stem + "-state")
    # Its own ports and keys, so that two demos on one machine do not collide.
    *ports, http = free_ports(3)
    seeds = [_SEEDS.randrange(2**31) for _ in ports]
    with whole_file(path, force=False) as file:
        file.write(written_config(state, ports=ports, seeds=seeds, http=f"127.0.0.1:{http}"))
    us = shlex.join(program())
    click.echo(f"Wrote {path}. Start its scanners and the daemon, each in its own terminal:")
    for seed, port in zip(seeds, ports, strict=True):
        click.echo(f"  {us} sim --port {port} --seed {seed}")
    click.echo(f"  {us} serve --config {shlex.quote(os.path.abspath(path))}")
    click.echo(f"and connect a client with:\n  {shlex.join(client_of(path))}")
