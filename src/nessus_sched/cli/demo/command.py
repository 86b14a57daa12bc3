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
@click.option("--quick", is_flag=True, help="Show a few scans instead, run by a separate daemon.")
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write the management report to FILE. Default: a temporary file.",
)  # fmt: skip
@click.option("--open", "open_report", is_flag=True, help="Open the report in a browser.")
@click.option(
    "--replay", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
    help="As --quick, with scanners that return the .nessus files of a directory, one per scan.",
)  # fmt: skip
@click.option(
    "--stay", is_flag=True,
    help="As --quick, and keep running afterwards, to connect a client of your own.",
)  # fmt: skip
@click.option(
    "--write-config", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Only write a configuration for simulated scanners, to use with sim, serve and mcp.",
)  # fmt: skip
def demo_command(
    as_json: bool, quick: bool, report: Path | None, open_report: bool, replay: Path | None,
    stay: bool, write_config: Path | None,
) -> None:  # fmt: skip
    """Show two weeks of a scanning program in under a minute; needs no scanner.

    The real scheduler, ledger and reports work with simulated scanners and networks on a clock that
    skips idle time: a schedule fires, a large scan is split, a window closes and opens, an
    exception is approved, a fix is verified, a scanner is lost, and digests are sent. What is shown
    comes from the daemon's journal and answers. At the end, there is a management report.

    With --quick, the daemon and two simulated scanners run as in production, and scans are
    submitted through MCP as Claude Desktop does. Nothing is ever scanned, and everything but the
    report is deleted afterwards.
    """
    if write_config is not None:
        _write(write_config)
        return
    if quick or stay or replay is not None:
        if report is not None or open_report:
            raise click.UsageError("--report and --open are not for --quick, --replay and --stay")
        from nessus_sched.cli.demo.run import run_demo

        run_trio(run_demo, as_json, replay, stay)
        return
    from nessus_sched.cli.demo.story.run import tell_story

    tell_story(as_json=as_json, report=report, open_report=open_report)


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
