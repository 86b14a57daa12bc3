"""`nessus-sched sim`: a simulated Nessus scanner."""

from __future__ import annotations

import math
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import trio

from nessus_sched.cli.formatting import fingerprint_text
from nessus_sched.cli.trio_run import run_trio
from nessus_sched.sim.assumptions import ASSUMPTIONS
from nessus_sched.sim.assumptions import parse as parse_assumptions
from nessus_sched.sim.options import EDITIONS, SimOptions
from nessus_sched.sim.refusals import Refusal
from nessus_sched.sim.serve import RunningSim, serve_sim


class Finite(click.FloatRange):
    """A finite number, zero or more, and at most `most`; click's range lets nan and inf through."""

    def __init__(self, what: str, most: float | None = None) -> None:
        super().__init__(min=0, max=most)
        self._what = what

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a {self._what}.", param, ctx)
        return number


SECONDS: Final = Finite("number of seconds")


def _assumed(
    ctx: click.Context, _param: click.Parameter, entries: Sequence[str]
) -> dict[str, bool]:
    """NAME=yes or NAME=no each; `list` prints all of them and exits."""
    if "list" in entries:
        click.echo(assumptions_table())
        ctx.exit()
    try:
        return parse_assumptions(entries)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def assumptions_table() -> str:
    """Each with its default, meaning and evidence."""
    return "\n".join(
        f"{each.name} ({'yes' if each.default else 'no'})\n"
        f"    {each.meaning}\n    Evidence: {each.evidence}"
        for each in ASSUMPTIONS.values()
    )


@click.command("sim")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8834, show_default=True,
    help="Port; 0 for a free one.",
)  # fmt: skip
@click.option("--seed", default=1, show_default=True, help="Determines keys, hosts and findings.")
@click.option(
    "--edition", type=click.Choice(list(EDITIONS)), default="manager", show_default=True,
    help="Edition; all but manager refuse API writes.",
)  # fmt: skip
@click.option("--trial", is_flag=True, help="An evaluation license, which cannot export.")
@click.option(
    "--scans-take", type=SECONDS, default=10.0, show_default=True, metavar="SECONDS",
    help="How long a scan runs.",
)  # fmt: skip
@click.option(
    "--max-scans", type=click.IntRange(min=0), default=0, show_default=True,
    help="Limit of concurrent scans; 0 for none.",
)  # fmt: skip
@click.option(
    "--loading-seconds", type=SECONDS, default=0.0, show_default=True, metavar="SECONDS",
    help="How long it loads plugins after starting.",
)  # fmt: skip
@click.option(
    "--pause-takes", type=SECONDS, metavar="SECONDS",
    help="How long a scan takes to pause; a real one may take minutes.",
)  # fmt: skip
@click.option(
    "--drift", type=Finite("share", 1), default=0.0, show_default=True, metavar="SHARE",
    help="Share of findings, 0 to 1, decided again each week; see the documentation.",
)  # fmt: skip
@click.option(
    "--refuse", "refuses", multiple=True, type=click.Choice(list(map(str, Refusal))),
    help="Refuse work for this reason from the start; repeatable.",
)  # fmt: skip
@click.option(
    "--replay", "replay_directory", type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR", help="Answer scans with the .nessus files of a directory, in turn.",
)  # fmt: skip
@click.option(
    "--recording", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="Answer from the recording of 'scanners certify'; certify it with --target 192.0.2.1.",
)  # fmt: skip
@click.option("--username", default="admin", show_default=True, help="User name.")
@click.option("--password", default="nessus", show_default=True, help="Password.")
@click.option(
    "--assume", multiple=True, callback=_assumed, metavar="NAME=yes|no",
    help="Choose an undocumented behavior; repeatable, `list` prints them.",
)  # fmt: skip
@click.option("--control", is_flag=True, help="Serve /_sim/ to inject faults (loopback only).")
def sim_command(refuses: Sequence[str], **options: Any) -> None:
    """Run a simulated Nessus scanner over HTTPS, for trials and tests.

    It prints its URL, certificate fingerprint and API keys, and serves until interrupted.
    Nothing is scanned: findings are generated from the seed and the targets.
    """
    run_trio(_run, SimOptions(refuses=frozenset(map(Refusal, refuses)), **options))


async def _run(options: SimOptions) -> None:
    async with trio.open_nursery() as nursery:
        try:
            running: RunningSim = await nursery.start(serve_sim, options)
        except ValueError as error:  # what it was told to replay
            raise click.ClickException(str(error)) from error
        except OSError as error:
            raise click.ClickException(
                f"cannot listen on {options.host}:{options.port}: {error.strerror or error}"
            ) from error
        click.echo(f"url:          {running.url}")
        click.echo(f"fingerprint:  {fingerprint_text(running.fingerprint)}")
        click.echo(f"access_key:   {running.access_key}")
        click.echo(f"secret_key:   {running.secret_key}")
        click.echo(f"login:        {running.username} / {running.password}")
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            async for _ in received:
                break
        nursery.cancel_scope.cancel(reason="interrupted")
