"""Programs on the machines of a network, as a supervisor would run them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import trio


def start(
    argv: Sequence[str], log: Path, *, environ: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """From this thread, which has to be the main one (see `Network.inside`)."""
    with log.open("ab") as output:
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environ
        )


async def ended(process: subprocess.Popen[bytes]) -> int:
    """Waits for the exit code; negative for a signal."""
    if process.poll() is None:
        descriptor = os.pidfd_open(process.pid)
        try:
            await trio.lowlevel.wait_readable(descriptor)
        finally:
            os.close(descriptor)
    return process.wait()


async def stop(process: subprocess.Popen[bytes], number: int, *, within: float) -> None:
    """Sends the signal, and SIGKILL after `within` seconds."""
    send(process, number)
    with trio.move_on_after(within) as patience:
        await ended(process)
    if patience.cancelled_caught:
        send(process, signal.SIGKILL)
        with trio.CancelScope(shield=True):
            await ended(process)


def send(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)
