"""Runs asynchronous work for a command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import click
import trio

from nessus_sched.core.error_groups import flatten_exceptions

T = TypeVar("T")


PLAIN: Final = (KeyboardInterrupt, click.ClickException, SystemExit, BrokenPipeError)
"""Exceptions that end a command without a traceback; the first of these wins."""


def run_trio(
    work: Callable[..., Awaitable[T]],
    *args: object,
    expected: tuple[type[Exception], ...] = (),
    clock: trio.abc.Clock | None = None,
) -> T:
    """`trio.run` that raises these exceptions, and `expected` ones, by themselves instead of in a
    group."""
    try:
        return trio.run(work, *args, clock=clock)
    except BaseExceptionGroup as group:
        found = list(flatten_exceptions(group))
        for kind in (*PLAIN, *expected):
            for error in found:
                if isinstance(error, kind):
                    raise error from None
        raise
