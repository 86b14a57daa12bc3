"""`nessus-sched completion`: click's own completion scripts."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print shell completion code: commands, options, and names that the daemon knows.

    \b
    bash: eval "$(nessus-sched completion bash)"          in ~/.bashrc
    zsh:  eval "$(nessus-sched completion zsh)"           in ~/.zshrc
    fish: nessus-sched completion fish > ~/.config/fish/completions/nessus-sched.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    script = found(ctx.find_root().command, {}, "nessus-sched", "_NESSUS_SCHED_COMPLETE")
    click.echo(script.source())
